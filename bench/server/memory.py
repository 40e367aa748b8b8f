"""Resident memory of the nine processes together, idle after the start and idle with the demo library: at most 1.1 GB.

Two sums, children included. RSS counts a page again in every process that has it mapped and is what the target is
held against; PSS divides such pages among them and is what the machine really spends. The edge and the servers
are printed beside it.
"""

import statistics
import sys
import time

import psutil

from bench._stack import PROCESSES, ServerPlatform, server_platform

MB, SETTLED_SECONDS, SAMPLES, TARGET = 1e6, 40, 5, 1_100e6


def sizes(pid: int) -> tuple[int, int]:
    """RSS and PSS of a process and of its children."""
    process = psutil.Process(pid)
    family = [one.memory_full_info() for one in (process, *process.children(recursive=True))]
    return sum(one.rss for one in family), sum(one.pss for one in family)


def shown(platform: ServerPlatform, when: str) -> float:
    """Print the sums once everything is idle; the sum of RSS."""
    time.sleep(SETTLED_SECONDS)
    samples = []
    for _ in range(SAMPLES):
        samples.append({name: sizes(platform.pid(name)) for name in PROCESSES})
        time.sleep(1)
    middle = {
        name: [statistics.median(values) for values in zip(*(each[name] for each in samples), strict=True)]
        for name in PROCESSES
    }
    rss, pss = (sum(each[kind] for each in middle.values()) for kind in (0, 1))
    each = ", ".join(f"{name} {size / MB:.0f}" for name, (size, _) in middle.items())
    print(f"{when}: {rss / MB:,.0f} MB (target <= {TARGET / MB:,.0f}), by shares {pss / MB:,.0f} MB: {each}")
    print(f"{'':{len(when)}}  beside them the edge {sizes(platform.pid('edge'))[1] / MB:.0f} MB", flush=True)
    return rss


def main() -> int:
    with server_platform() as platform:
        idle = shown(platform, "idle")
        platform.stack("demo")
        used = shown(platform, "with the demo library")
    return 0 if max(idle, used) <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
