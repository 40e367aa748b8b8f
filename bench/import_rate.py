"""`antiphon import` against the bare analysis of the same files: at least 0.7 of its rate.

The peer is the analysis alone, in the same kind and number of child processes, without HTTP, storage,
database, events or search. Rounds alternate; the ratio is that of the medians.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

from antiphon_file.adapters.pool import ReaderPool
from antiphon_file.adapters.reader import ChildReader
from bench._stack import PASSWORD, Person, PlatformProcess, antiphon, make_audio

FILES, SECONDS, ROUNDS, CHILDREN = 24, 120, 3, 2
TARGET_RATIO = 0.7


async def bare(files: list[Path]) -> float:
    """Seconds for the analysis alone."""
    pool = ReaderPool(size=CHILDREN)
    await pool.start()
    reader = ChildReader(pool, max_seconds=3600)
    waiting = iter(files)

    async def work() -> None:
        for file in waiting:
            await reader.analyse(file)

    began = time.monotonic()
    await asyncio.gather(*(work() for _ in range(CHILDREN)))
    took = time.monotonic() - began
    await pool.stop()
    return took


async def whole(platform: PlatformProcess, music: Path, home: Path) -> float:
    """Seconds for the import, as a new person, from the start of the command to its report."""
    async with Person(platform.url, email=f"{uuid4().hex}@example.org") as person:
        await person.register()
    login = ("login", person.email, "--server", platform.url, "--stdin")
    antiphon(*login, stdin=PASSWORD + "\n", home=home)
    began = time.monotonic()
    done = await asyncio.to_thread(
        antiphon, "import", str(music), "--server", platform.url, home=home, seconds=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return time.monotonic() - began


async def measure(directory: Path) -> bool:
    """Print the figures; whether the target was met."""
    music = directory / "music"
    music.mkdir()
    endings = (".mp3", ".flac", ".ogg", ".opus", ".m4a")
    files = [
        make_audio(
            music / f"{n:02d}{endings[n % 5]}",
            seconds=SECONDS,
            pitch=200 + n,
            title=f"T{n}",
            artist=f"A{n % 4}",
            album=f"B{n % 6}",
        )
        for n in range(FILES)
    ]
    platform = PlatformProcess(directory / "data")
    platform.start()
    alone, imported = [], []
    try:
        for _ in range(ROUNDS):
            alone.append(await bare(files))
            imported.append(await whole(platform, music, directory))
    finally:
        platform.stop()
    a, b = statistics.median(alone), statistics.median(imported)
    print(
        f"bare analysis {FILES / a:.2f} files/s, import {FILES / b:.2f} files/s: ratio {a / b:.2f} (target >= {TARGET_RATIO:.2f})"
    )
    return a / b >= TARGET_RATIO


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        met = asyncio.run(measure(Path(folder)))
    sys.exit(0 if met else 1)
