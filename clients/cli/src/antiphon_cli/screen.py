"""What people see: progress and errors on standard error, results on standard output."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Self

import orjson
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from antiphon_cli.importing import Outcome, Report

console = Console(stderr=True, highlight=False)
out = Console(highlight=False)


def print_json(body: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.buffer.write(orjson.dumps(body, option=orjson.OPT_INDENT_2) + b"\n")
    sys.stdout.flush()


class ImportScreen:
    """Progress of an import: bytes with rate and time left, files, then the analysis."""

    def __init__(self, *, quiet: bool = False) -> None:
        # Into a file, a bar that vanishes is an empty line.
        quiet = quiet or not console.is_terminal
        self._bytes = Progress(
            TextColumn("[bold]uploading"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[files]}"),
            console=console, disable=quiet, transient=True,
        )  # fmt: skip
        self._analysis = Progress(
            TextColumn("[bold]listening"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=console, disable=quiet, transient=True,
        )  # fmt: skip
        self._upload = self._bytes.add_task("upload", total=None, files="")
        self._listen = self._analysis.add_task("listen", total=None)
        self._done = self._total = 0
        self._analysing = False

    def __enter__(self) -> Self:
        self._bytes.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bytes.stop()
        self._analysis.stop()

    def found(self, files: int, bytes_: int) -> None:
        self._total = files
        self._bytes.update(self._upload, total=bytes_, files=f"0/{files} files")

    def sent(self, bytes_: int) -> None:
        self._bytes.advance(self._upload, bytes_)

    def finished(self, outcome: Outcome) -> None:  # noqa: ARG002 - the port tells more than this screen shows
        self._done += 1
        self._bytes.update(self._upload, files=f"{self._done}/{self._total} files")

    def analysed(self, done: int, of: int) -> None:
        if not self._analysing:
            self._analysing = True
            self._bytes.stop()
            self._analysis.start()
        self._analysis.update(self._listen, completed=done, total=of)


def show_report(report: Report, *, as_json: bool) -> None:
    """The end of an import: a table of what was not simply taken, and the sums."""
    sums = {state: report.count(state) for state in ("ready", "duplicate", "rejected")}
    if as_json:
        print_json({**sums, "files": [asdict(outcome) for outcome in report.outcomes]})
        return
    notable = [outcome for outcome in report.outcomes if outcome.state != "ready"]
    if notable:
        table = Table("file", "result", "why")
        for outcome in notable:
            table.add_row(outcome.path, outcome.state, outcome.reason or "")
        out.print(table)
    out.print("  ".join(f"[bold]{count}[/] {state}" for state, count in sums.items()))


def show_hits(answer: Mapping[str, Any]) -> None:
    """The answer of a search, a table a kind."""
    for kind in ("tracks", "artists", "albums", "playlists"):
        items = answer[kind]["items"]
        if not items:
            continue
        table = Table(kind, "", "id", title_justify="left")
        for item in items:
            table.add_row(item.get("title") or item.get("name"), _by(item), item["id"])
        out.print(table)
    if not any(answer[kind]["items"] for kind in ("tracks", "artists", "albums", "playlists")):
        meant = answer.get("did_you_mean")
        out.print("nothing found" + (f"; did you mean “{meant}”?" if meant else ""))


def _by(item: Mapping[str, Any]) -> str:
    artists = item.get("artists") or []
    return "".join(f"{artist['name']}{artist.get('join_phrase') or ''}" for artist in artists)
