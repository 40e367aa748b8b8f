"""`make up` of what is installed: at most 60 s until all nine processes are ready, at first and again after `make down`.

The first time makes databases, accounts, indices and tables; both start five servers, nginx and nine processes.
"""

import statistics
import sys
import time

from bench._stack import ServerPlatform, server_platform

ROUNDS, TARGET = 3, 60.0


def seconds_up(platform: ServerPlatform) -> float:
    began = time.monotonic()
    platform.start()
    return time.monotonic() - began


def main() -> int:
    took: dict[str, list[float]] = {"at first": [], "again": []}
    for _ in range(ROUNDS):
        platform = server_platform()
        try:
            took["at first"].append(seconds_up(platform))
            platform.stack("down")
            platform.servers("down")
            took["again"].append(seconds_up(platform))
        finally:
            platform.remove()
    middle = {when: statistics.median(seconds) for when, seconds in took.items()}
    for when, seconds in took.items():
        rounds = ", ".join(f"{each:.0f}" for each in seconds)
        print(f"ready {when}: {middle[when]:.1f} s (target <= {TARGET:.0f}; {rounds})")
    return 0 if max(middle.values()) <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
