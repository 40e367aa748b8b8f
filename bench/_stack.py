"""A platform to measure, and somebody to use it: the same ones that the journeys use."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests-e2e"))

from e2e_support.audio import make_audio
from e2e_support.people import PASSWORD, Person
from e2e_support.platform import PlatformProcess, antiphon
from e2e_support.ports import first_free_block
from e2e_support.server_platform import PROCESSES, ServerPlatform

__all__ = [
    "PASSWORD", "PROCESSES", "Person", "PlatformProcess", "ServerPlatform", "antiphon", "make_audio",
    "server_platform", "servers",
]  # fmt: skip


def server_platform() -> ServerPlatform:
    """Nine processes on five servers, on free listen ports; what is written is synced to disk."""
    # Whoever is ended removes its servers, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return ServerPlatform(port=first_free_block(), overrides={"SERVERS_FAST": "0"})


@contextmanager
def servers(*names: str) -> Iterator[Mapping[str, str]]:
    """Only these servers, as a platform of our own would have them, removed afterwards; their URLs by name."""
    platform = server_platform()
    try:
        platform.servers("up", *names)
        print(f"{', '.join(names)}: our own, synced to disk, load {os.getloadavg()[0]:.1f}", flush=True)
        yield platform.variables(*names)
    finally:
        platform.remove()
