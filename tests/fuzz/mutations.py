"""Damage to valid inputs, drawn from a seeded generator: equal seeds give equal inputs."""

from __future__ import annotations

import random
import re
import struct

# What offsets, counts, codes and scales do not expect.
WORDS = (0, 1, 127, 128, 255, 256, 2**16, 2**20, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1)
FLOATS = (1e-45, 1e-38, 1e38, -1.0, float("inf"), float("nan"))
# What numbers and texts in files do not expect.
HOSTILE = (
    *("", "-1", "0", "1e999", "nan", "inf", "1e-320", "9" * 40, "9" * 5000, "0x7", "true", "null"),
    *(
        "[/b]",
        "[red]",
        "a" * 300,
        "../../etc",
        "/dev/null",
        "\x1b[31m",
        "\u202e",
        "\ufeff",
        "é" * 9,
    ),
    *("[" * 3000, "{}", "[]", '"', "'", "\n", ",", ";", "\t", "=SUM(A1)", "NaN", "-0", "2**64"),
)
_TOKEN = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|[A-Za-z_]\w*|\"[^\"\n]*\"")


def damaged(data: bytes, rng: random.Random) -> bytes:
    """`data` with bits flipped, words replaced or swapped, a part copied or removed, or cut off."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        if len(found) < 8:
            return bytes(found)
        place, word = rng.randrange(len(found)), 4 * rng.randrange(len(found) // 4)
        match rng.randrange(6):
            case 0:
                found[place] ^= 1 << rng.randrange(8)
            case 1:
                struct.pack_into("<I", found, word, rng.choice(WORDS))
            case 2:
                struct.pack_into("<f", found, word, rng.choice(FLOATS))
            case 3:
                other = 4 * rng.randrange(len(found) // 4)
                found[word : word + 4], found[other : other + 4] = (
                    found[other : other + 4],
                    found[word : word + 4],
                )
            case 4:
                part = found[place : place + rng.randrange(1, 64)]
                target = rng.randrange(len(found))
                found[target : target + len(part)] = part
            case _:
                del found[place : place + rng.randrange(1, 16)]
    if found and rng.randrange(10) == 0:
        del found[rng.randrange(len(found)) :]
    return bytes(found)


def damaged_text(text: str, rng: random.Random) -> bytes:
    """`text` with some numbers, names and strings replaced by hostile ones; sometimes its bytes."""
    if rng.randrange(5) == 0:
        return damaged(text.encode(), rng)
    for _ in range(rng.choice((1, 1, 2, 4))):
        tokens = list(_TOKEN.finditer(text))
        if not tokens:
            break
        token = rng.choice(tokens)
        new = rng.choice((*HOSTILE, rng.choice(tokens)[0]))
        if token[0].startswith('"') and rng.randrange(2):
            new = '"' + new.replace("\\", "").replace('"', "").replace("\n", " ") + '"'
        text = text[: token.start()] + new + text[token.end() :]
    return text.encode("utf-8", "surrogatepass")
