"""The child process: reads one job after the other from standard input and answers on standard output.

Started as `python -m antiphon_file.adapters.child`. It holds no secret, opens no socket and writes no file;
it ends when its input ends, so it never outlives the service. Whatever it prints by accident goes to
standard error.
"""

import os
import sys
from typing import BinaryIO

from antiphon_file.adapters import limits, wire
from antiphon_file.adapters.probe import analyse, cover_of, picture
from antiphon_file.domain import Picture, Refused


def main() -> None:
    """Serve jobs until the input ends."""
    source = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library that prints must not garble the wire
    limits.confine()
    while (job := _receive(source)) is not None:
        limits.allow_seconds(int(job["cpu_seconds"]))
        answers.write(_answer(job))
        answers.flush()


def _answer(job: wire.Message) -> bytes:
    try:
        if job["job"] == "analyse":
            return wire.pack({"done": analyse(job["path"], max_seconds=job["max_seconds"])}, [])
        rendered = cover_of(job["path"]) if job["job"] == "cover" else picture(job["path"])
    except Refused as refusal:
        return wire.pack({"refused": refusal.reason}, [])
    except Exception as error:  # noqa: BLE001 - a hostile file may raise anything; the job fails, not the child
        print(f"job failed: {type(error).__name__}: {error}"[:500], file=sys.stderr)  # noqa: T201
        return wire.pack({"failed": type(error).__name__}, [])
    return _picture_answer(rendered)


def _picture_answer(rendered: Picture) -> bytes:
    sizes = sorted(rendered.renditions)
    body = {
        "width": rendered.width,
        "height": rendered.height,
        "dominant_color": rendered.dominant_color,
        "sizes": sizes,
    }
    return wire.pack({"done": body}, [rendered.renditions[size] for size in sizes])


def _receive(source: BinaryIO) -> wire.Message | None:
    raw = source.read(wire.LENGTH.size)
    if len(raw) < wire.LENGTH.size:
        return None
    message, _ = wire.unpack(source.read(wire.header_length(raw)))
    return message


if __name__ == "__main__":
    main()
