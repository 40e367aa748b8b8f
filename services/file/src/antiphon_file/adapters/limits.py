"""The bounds a child process lives in: memory, processor time, and no way to write a file.

`RLIMIT_DATA` counts what a process really allocates (address space that libraries merely reserve is not
memory), so it is the bound on memory; the limits are soft where a job may need its own, and can never be
raised past the hard one.
"""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MEMORY_BYTES: Final = 512 * 1024 * 1024
TAG_MEMORY_BYTES: Final = 96 * 1024 * 1024


def confine() -> None:
    """Bind this process for good. Call it after all libraries are imported."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bound = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def allow_seconds(seconds: int) -> None:
    """Let this process use so much more processor time from now; beyond it the kernel kills the process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime) + 1 + seconds, hard))


@contextlib.contextmanager
def at_most(extra_bytes: int) -> Iterator[None]:
    """Within this block, allocations beyond `extra_bytes` on top of the present ones raise `MemoryError`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    used = _data_bytes()
    if used is None:
        yield
        return
    bound = used + extra_bytes if soft == resource.RLIM_INFINITY else min(used + extra_bytes, soft)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int | None:
    """What the kernel counts against RLIMIT_DATA; none where it does not say."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return None
