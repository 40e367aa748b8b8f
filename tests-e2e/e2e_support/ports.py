"""Listen ports for platforms of one's own."""

import os
import socket

_BLOCK = 200


def first_free_block() -> int:
    """The first of 200 free listen ports below the range that the system gives to outgoing connections."""
    for number in range(60):
        port = 18_000 + (os.getpid() + number) % 70 * _BLOCK
        if all(_is_free(port + offset) for offset in range(0, _BLOCK, 10)):
            return port
    raise AssertionError("no free listen ports")


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
