"""Which addresses a farm may use: TLS, or this machine alone.

Dask runs whatever code it is sent. Without TLS it asks nobody who they are, so that such a farm
must not be reachable from other machines.
"""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress

from distributed.comm.addressing import get_address_host_port

from compress.errors import UserError

_ENCRYPTED = ("tls", "wss")
_ADVICE = (
    "without TLS anyone there could run code on all workers: give tls://{host} with certificates "
    "(docs/farm.md, Security), or keep the farm on one machine (127.0.0.1)"
)


def check_host(host: str) -> None:
    """Raise UserError if a scheduler at `host` would serve other machines without TLS."""
    scheme, _, name = host.rpartition("://")
    if scheme not in _ENCRYPTED and not _is_local(name.strip("[]")):
        raise UserError(f"--host {host!r}: {_ADVICE.format(host=name or '0.0.0.0')}")


def check_address(address: str) -> None:
    """Raise UserError if a farm at `address` is on another machine and without TLS.

    An address that cannot be understood is left to Dask, which says why.
    """
    if address.partition("://")[0] in _ENCRYPTED:
        return
    with suppress(ValueError, TypeError, RuntimeError):
        host, port = get_address_host_port(address)
        if not _is_local(host):
            raise UserError(f"the farm at {address!r}: {_ADVICE.format(host=f'{host}:{port}')}")


def _is_local(host: str) -> bool:
    """True if every address of `host` is of this machine's loopback, or if it has none."""
    if not host:
        return False  # all interfaces
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return True  # nothing can listen or be reached there
    return all(
        ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_loopback for entry in found
    )
