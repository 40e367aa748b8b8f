"""`antiphon import`: from a folder to the platform, four files at a time, nothing twice.

What is already there is known by its SHA-256 from the list of my uploads, so an import that was interrupted
goes on where it stopped without a journal of its own, on any machine.
"""

import asyncio
import hashlib
import mimetypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from antiphon_cli.client import ApiError, Client

AUDIO_SUFFIXES = frozenset({".mp3", ".flac", ".ogg", ".oga", ".opus", ".m4a", ".mp4", ".aac", ".wav"})
IN_FLIGHT = 4
_POLL_SECONDS = 0.5
_CHUNK = 1 << 20


@dataclass(slots=True)
class Outcome:
    """What became of one file: `state` is ready, duplicate, rejected or analysing; `reason` says why."""

    path: str
    state: str
    reason: str | None = None
    upload_id: str | None = None
    track_id: str | None = None


@dataclass(slots=True)
class Report:
    """What became of all of them, in the order of their paths."""

    outcomes: list[Outcome] = field(default_factory=list)

    def count(self, state: str) -> int:
        return sum(outcome.state == state for outcome in self.outcomes)


class Progress(Protocol):
    """Is told how an import goes on."""

    def found(self, files: int, bytes_: int) -> None:
        """So much there is to do."""

    def sent(self, bytes_: int) -> None:
        """So many bytes more have been sent, or need not be."""

    def finished(self, outcome: Outcome) -> None:
        """One file is uploaded, or need not be."""

    def analysed(self, done: int, of: int) -> None:
        """The platform has looked at so many of the uploaded files."""


def find_audio(directory: Path) -> list[Path]:
    """The audio files below a directory (or the one file), by their names' endings, sorted."""
    if directory.is_file():
        return [directory]
    found = (path for path in directory.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


async def import_folder(client: Client, directory: Path, progress: Progress) -> Report:
    """Upload what is not there yet and wait until the platform has looked at everything.

    The report names files as they are called inside the folder.
    """
    files = await asyncio.to_thread(find_audio, directory)
    sizes = {path: path.stat().st_size for path in files}
    progress.found(len(files), sum(sizes.values()))
    known = await _known(client)
    base = directory.parent if files == [directory] else directory
    report = Report([Outcome(str(path.relative_to(base)), "waiting") for path in files])
    waiting = iter(zip(files, report.outcomes, strict=True))
    await asyncio.gather(*(_work(client, waiting, known, progress, sizes) for _ in range(IN_FLIGHT)))
    await _settle(client, report, progress)
    return report


async def _work(
    client: Client,
    waiting: Iterator[tuple[Path, Outcome]],
    known: dict[str, Outcome],
    progress: Progress,
    sizes: dict[Path, int],
) -> None:
    for path, outcome in waiting:
        try:
            digest = await asyncio.to_thread(_sha256, path)
        except OSError as error:
            outcome.state, outcome.reason = "rejected", f"unreadable: {error.strerror}"
            progress.sent(sizes[path])
            progress.finished(outcome)
            continue
        before = known.get(digest)
        if before is None:
            known[digest] = outcome
            await _upload(client, path, outcome, progress)
        else:
            _take_over(outcome, before)
            progress.sent(sizes[path])
        progress.finished(outcome)


def _take_over(outcome: Outcome, before: Outcome) -> None:
    """The same bytes are there: from an earlier run this counts as its result, from this run as a copy."""
    outcome.upload_id, outcome.track_id = before.upload_id, before.track_id
    if before.path:
        outcome.state, outcome.reason = "duplicate", f"the same bytes as {before.path}"
    else:
        outcome.state, outcome.reason = before.state, before.reason


async def _upload(client: Client, path: Path, outcome: Outcome, progress: Progress) -> None:
    mime = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    opened: list[_Counted] = []

    def files() -> dict[str, Any]:
        for earlier in opened:
            progress.sent(-earlier.count)
            earlier.close()
        opened[:] = [_Counted(path.open("rb"), progress.sent)]
        return {"file": (path.name, opened[0], mime)}

    try:
        answer = await client.request("POST", "/api/uploads", upload=files)
    except ApiError as error:
        outcome.state, outcome.reason = "rejected", f"{error.code}: {error}"
        return
    finally:
        for file in opened:
            file.close()
    outcome.upload_id, outcome.state = answer["id"], answer["state"]


class _Counted:
    """A file that says how much of it was read."""

    def __init__(self, file: BinaryIO, tell: Callable[[int], None]) -> None:
        self._file = file
        self._tell = tell
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.count += len(data)
        self._tell(len(data))
        return data

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()


async def _known(client: Client) -> dict[str, Outcome]:
    known: dict[str, Outcome] = {}
    async for upload in client.pages("/api/uploads"):
        if upload.get("sha256") and upload["state"] != "duplicate":
            known[upload["sha256"]] = Outcome(
                "", upload["state"], upload.get("reason"), upload["id"], upload.get("track_id")
            )
    return known


async def _settle(client: Client, report: Report, progress: Progress) -> None:
    """Poll until no upload of this import is being analysed any more."""
    open_ = {outcome.upload_id: outcome for outcome in report.outcomes if outcome.state == "analysing"}
    total = len(open_)
    while open_:
        still = {upload["id"] async for upload in client.pages("/api/uploads", params={"state": "analysing"})}
        for upload_id in [key for key in open_ if key not in still]:
            upload = await client.request("GET", f"/api/uploads/{upload_id}")
            if upload["state"] in ("analysing", "receiving"):
                continue
            outcome = open_.pop(upload_id)
            outcome.state, outcome.reason = upload["state"], upload.get("reason")
            outcome.track_id = upload.get("track_id")
        progress.analysed(total - len(open_), total)
        if open_:
            await asyncio.sleep(_POLL_SECONDS)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
