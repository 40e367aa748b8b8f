"""Makes the whole library, on as many processors as there are.

The work is done in plain child processes rather than a pool: they start light, and a terminal's Ctrl-C ends
them too.
"""

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from antiphon_cli.demo.records import SONGS, Song

Progress = Callable[[int, int, str], None]
"""Is told (tracks done, tracks in all, title of the one just finished)."""


@dataclass(frozen=True, slots=True)
class DemoTrack:
    """One file of the library and what its tags say."""

    path: Path
    song: Song


class LibraryNotMade(RuntimeError):
    """A child process failed; its last words are the message."""


def make_library(directory: Path, on_progress: Progress, *, seed: int = 0) -> list[DemoTrack]:
    """Write what is missing of the library into `directory`. Raises `LibraryNotMade`."""
    directory.mkdir(parents=True, exist_ok=True)
    count = min(os.cpu_count() or 1, 4)
    finished: queue.Queue[int | None] = queue.Queue()
    children = [_start(directory, seed, _share(first, count)) for first in range(count)]
    threads = [threading.Thread(target=_listen, args=(child, finished), daemon=True) for child in children]
    for thread in threads:
        thread.start()
    try:
        done, ended = 0, 0
        while ended < count:
            index = finished.get()
            if index is None:
                ended += 1
                continue
            done += 1
            on_progress(done, len(SONGS), SONGS[index].title)
        _check(children)
    finally:
        for child in children:
            child.kill()
            child.wait()
    return [DemoTrack(directory / song.path, song) for song in SONGS]


def _share(first: int, count: int) -> list[int]:
    """Whole albums, so that each cover is drawn once."""
    records = list(dict.fromkeys(song.record for song in SONGS))[first::count]
    return [index for index, song in enumerate(SONGS) if song.record in records]


def _start(directory: Path, seed: int, indices: list[int]) -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        "-m",
        "antiphon_cli.demo.worker",
        str(directory),
        str(seed),
        *map(str, indices),
    ]
    # One thread a child: there is a child for every processor.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(  # noqa: S603 - our own module and our own numbers
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _listen(child: "subprocess.Popen[str]", finished: "queue.Queue[int | None]") -> None:
    for line in child.stdout or ():
        finished.put(int(line))
    finished.put(None)


def _check(children: list["subprocess.Popen[str]"]) -> None:
    for child in children:
        if child.wait() != 0:
            words = (child.stderr.read() if child.stderr else "").strip().splitlines()
            raise LibraryNotMade(words[-1] if words else f"a child ended with {child.returncode}")
