"""What everybody did and was answered: one line before a request is sent, one after; the checker reads it.

An outcome is true (2xx), false (a definite refusal, which must have had no effect), or none: nobody knows.
"""

import json
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx
from e2e_support.people import Person

DEADLINE_SECONDS = 10.0
# Our own scheduling on a busy machine is no fault of the platform's.
_SLACK_SECONDS = 1.5


@dataclass(slots=True)
class Op:
    """One thing that somebody tried. `key` says on what, `value` what it should become."""

    client: str
    kind: str
    key: tuple[str, ...]
    value: Any
    began: float
    ended: float | None = None
    outcome: bool | None = None
    status: int | None = None
    answer: Any = None


@dataclass
class History:
    """All operations, and what was wrong with answers at the moment they were given."""

    file: IO[str]
    ops: list[Op] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)

    @classmethod
    def at(cls, path: Path) -> "History":
        return cls(path.open("w", encoding="utf-8", buffering=1))

    def begin(self, client: str, kind: str, *key: str, value: Any = None) -> Op:
        op = Op(client, kind, key, value, time.monotonic())
        self.ops.append(op)
        self.file.write(
            json.dumps({"n": len(self.ops), "c": client, "f": kind, "k": key, "v": value, "t0": op.began})
            + "\n"
        )
        return op

    def end(self, op: Op, answer: httpx.Response | None) -> None:
        """Note the answer; a server's failure and a lost connection leave it open what happened."""
        op.ended = time.monotonic()
        if answer is not None:
            op.status = answer.status_code
            op.outcome = True if answer.is_success else (None if answer.status_code >= 500 else False)
        self.file.write(json.dumps({**asdict(op), "answer": None}, default=str) + "\n")

    def of(self, kind: str) -> list[Op]:
        return [op for op in self.ops if op.kind == kind]


class Caller:
    """One person's requests, each of them looked at: does it end in time, is a refusal a problem document?"""

    def __init__(self, person: Person, history: History, name: str) -> None:
        self.person = person
        self.history = history
        self.name = name

    async def call(
        self, method: str, path: str, *, streaming: bool = False, **options: Any
    ) -> httpx.Response | None:
        """The answer, or none when the connection failed."""
        began = time.monotonic()
        where = f"{method} {path.partition('?')[0]}"
        kind = "stream" if streaming else "read" if method == "GET" else "write"
        try:
            answer = await self.person.call(method, path, **options)
        except httpx.TransportError as error:
            self._in_time(where, began, streaming=streaming)
            self.history.statuses[kind, type(error).__name__] += 1
            return None
        self._in_time(where, began, streaming=streaming)
        self.history.statuses[kind, str(answer.status_code)] += 1
        if answer.status_code >= 400:
            self._is_a_problem(where, answer)
        return answer

    async def attempt(self, op: Op, method: str, path: str, **options: Any) -> httpx.Response | None:
        """`call` for an operation that is noted."""
        answer = await self.call(method, path, **options)
        self.history.end(op, answer)
        return answer

    async def get(self, path: str, **params: Any) -> Any:
        """The JSON of a 200, or none."""
        answer = await self.call("GET", path, params=params)
        return answer.json() if answer is not None and answer.status_code == 200 else None

    def _in_time(self, where: str, began: float, *, streaming: bool) -> None:
        took = time.monotonic() - began
        if not streaming and took > DEADLINE_SECONDS + _SLACK_SECONDS:
            self.history.complaints.append(f"I15 {where} took {took:.1f} s")

    def _is_a_problem(self, where: str, answer: httpx.Response) -> None:
        kind = answer.headers.get("content-type", "")
        try:
            body = answer.json() if answer.request.method != "HEAD" else {"trace_id": "-"}
        except ValueError:
            body = {}
        if not kind.startswith("application/problem+json") or not body.get("trace_id"):
            self.history.complaints.append(f"I14 {where}: {answer.status_code} {kind} {answer.text[:120]!r}")
        for leak in ("Traceback", "sqlalchemy", "asyncpg", "aio_pika", "SELECT ", "127.0.0.1:"):
            if leak in answer.text:
                self.history.complaints.append(f"I14 {where}: {answer.status_code} shows {leak}")
