"""Resident memory of the embedded platform: idle, and while 1 GB streams up and down.

Idle must be at most 350 MB; streaming may add 32 MB. The platform's own process is counted (analysis happens
in children that end when idle; they are printed beside it).
"""

import asyncio
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from bench._stack import Person, PlatformProcess, make_audio

MB = 1024 * 1024
PIECES, PIECE = 5, 200 * MB
IDLE_TARGET, STREAMING_TARGET = 350 * MB, 32 * MB


class Sampler:
    """The largest resident size of a process while the block lasts."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.peak = max(self.peak, self._process.memory_info().rss)
            time.sleep(0.02)


def resident(pid: int) -> tuple[int, int]:
    """The process's own resident bytes, and those of its children."""
    process = psutil.Process(pid)
    return process.memory_info().rss, sum(
        child.memory_info().rss for child in process.children(recursive=True)
    )


async def measure(directory: Path) -> bool:
    """Print the figures; whether the targets were met."""
    platform = PlatformProcess(directory / "data")
    platform.start()
    try:
        async with Person(platform.url, "Ada") as ada:
            await ada.register()
            song = make_audio(directory / "song.wav", seconds=230)
            track_id = await ada.publish(song, title="Long", artist="Bench")
            signed = (await ada.call("POST", "/api/stream/resolve", json={"track_ids": [track_id]})).json()[
                0
            ]["url"]
            await asyncio.sleep(40)
            samples = []
            for _ in range(5):
                samples.append(resident(platform.pid))
                await asyncio.sleep(0.5)
            idle = int(statistics.median(own for own, _ in samples))
            print(f"idle: {idle / MB:.0f} MB resident (target <= 350), children {samples[-1][1] / MB:.0f} MB")
            noise = directory / "noise.bin"
            with noise.open("wb") as file:
                for _ in range(PIECE // MB):
                    file.write(os.urandom(MB))
            with Sampler(platform.pid) as up:
                for _ in range(PIECES):
                    upload = await ada.upload(noise)
                    await ada.finished(upload["id"])
            print(f"1 GB up: +{(up.peak - idle) / MB:.0f} MB at its peak (target <= 32)")
            size = song.stat().st_size
            with Sampler(platform.pid) as down:
                for _ in range(1024 * MB // size + 1):
                    async with ada.http.stream("GET", signed) as answer:
                        async for _ in answer.aiter_raw(65536):
                            pass
            print(f"1 GB down: +{(down.peak - idle) / MB:.0f} MB at its peak (target <= 32)")
    finally:
        platform.stop()
    return idle <= IDLE_TARGET and max(up.peak, down.peak) - idle <= STREAMING_TARGET


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        met = asyncio.run(measure(Path(folder)))
    sys.exit(0 if met else 1)
