/* Wire protocol v1, the firmware's side. A frame is COBS(body) 0x00; a body is
 *
 *   version u8 | type u8 | sequence u16 | payload, u32 words | CRC-32 of all before, u32
 *
 * little-endian. Every request gets one reply with its sequence number. An invalid frame gets
 * WIRE_ERROR; an empty frame gets nothing: both sides also send a 0x00 before each frame, so that
 * noise between two frames corrupts neither.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stddef.h>
#include <stdint.h>

enum { WIRE_VERSION = 1, WIRE_MAX_WORDS = 7 };

enum wire_type {
    WIRE_HELLO = 0x01,
    WIRE_RUN = 0x02,
    WIRE_HELLO_REPLY = 0x81,
    WIRE_RUN_REPLY = 0x82,
    WIRE_ERROR = 0xFE,
    WIRE_FAULT = 0xFF,
};

enum wire_error {
    WIRE_OK = 0,
    WIRE_BAD_VERSION = 1,
    WIRE_BAD_CRC = 2, /* also: bad COBS, too short, too long */
    WIRE_BAD_TYPE = 3,
    WIRE_BAD_ARGUMENTS = 4,
};

struct wire_request {
    uint8_t type;
    uint16_t sequence;
    uint32_t words[WIRE_MAX_WORDS];
    uint32_t count; /* of words */
};

/* Sleeps until a frame arrives. On errors, `sequence` is that of the frame, or 0 if unreadable. */
enum wire_error wire_receive(struct wire_request *request);

/* Sends a frame of at most WIRE_MAX_WORDS words. */
void wire_send(enum wire_type type, uint16_t sequence, const uint32_t *words, uint32_t count);

/* CRC-32 (IEEE 802.3, as zlib's crc32) of `data`, continuing from `crc`; start with 0. */
uint32_t wire_crc32(uint32_t crc, const void *data, size_t size);

#endif
