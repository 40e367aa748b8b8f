"""A process that makes some of the library: `python -m antiphon_cli.demo.worker DIRECTORY SEED INDEX ...`.

It prints the index of each track on a line of its own when the file is whole.
"""

import sys
from pathlib import Path

from antiphon_cli.demo.composing import compose
from antiphon_cli.demo.covers import draw
from antiphon_cli.demo.records import SONGS
from antiphon_cli.demo.writing import rate_of, write


def main() -> None:
    """Compose, encode and tag; what is there already is left alone."""
    directory, seed = Path(sys.argv[1]), int(sys.argv[2])
    for index in map(int, sys.argv[3:]):
        song = SONGS[index]
        target = directory / song.path
        if not target.exists():
            samples = compose(song, rate=rate_of(song.format), seed=seed)
            write(song, samples, draw(song.record), target)
        print(index, flush=True)  # noqa: T201 - this line is the protocol


if __name__ == "__main__":
    main()
