"""The journal behind `inproc:`: deliveries in one SQLite file, and one thread for all of it."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

from antiphon_common.bus import DeadLetter, Envelope
from antiphon_common.errors import Unavailable

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS binding (consumer TEXT, type TEXT, PRIMARY KEY (consumer, type)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS delivery (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    consumer TEXT NOT NULL,
    message_id TEXT NOT NULL,
    type TEXT NOT NULL,
    body BLOB NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at REAL NOT NULL DEFAULT 0,
    died_at REAL,
    code TEXT,
    detail TEXT
);
CREATE INDEX IF NOT EXISTS ix_delivery_waiting ON delivery (consumer, seq) WHERE died_at IS NULL;
CREATE INDEX IF NOT EXISTS ix_delivery_dead ON delivery (consumer, seq) WHERE died_at IS NOT NULL;
"""
_DEAD = " WHERE consumer = ? AND died_at IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message on its way to one consumer; `attempts` counts this one."""

    seq: int
    body: bytes
    attempts: int


class Journal:
    """All queues of one platform. Opened once per user of it, closed when the last one leaves."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._users = 0
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._watchers: dict[str, asyncio.Event] = {}

    async def open(self) -> None:
        self._users += 1
        if self._users == 1:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="bus-journal")
            await _run(self._thread, self._connect)

    async def close(self) -> None:
        if self._users == 0:
            return
        self._users -= 1
        if self._users == 0 and self._thread:
            # Let go of both before waiting: somebody may open it again meanwhile.
            thread, self._thread = self._thread, None
            connection, self._connection = self._connection, None
            self._watchers.clear()
            if connection:
                await _run(thread, connection.close)
            thread.shutdown(wait=False)

    def watch(self, consumer: str) -> asyncio.Event:
        """Set whenever a message arrives for this consumer."""
        return self._watchers.setdefault(consumer, asyncio.Event())

    async def ping(self) -> None:
        await self._do(lambda db: db.execute("SELECT 1").fetchone())

    async def bind(self, consumer: str, types: Sequence[str]) -> None:
        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM binding WHERE consumer = ?", (consumer,))
            db.executemany("INSERT INTO binding VALUES (?, ?)", [(consumer, name) for name in types])

        await self._do(work)

    async def append(self, envelopes: Sequence[Envelope], *, consumer: str | None = None) -> None:
        """Store the messages for every bound queue, or for one consumer only."""

        def work(db: sqlite3.Connection) -> set[str]:
            reached: set[str] = set()
            for envelope in envelopes:
                message = (str(envelope.id), envelope.type, envelope.to_bytes())
                bound = db.execute("SELECT consumer FROM binding WHERE type = ?", (envelope.type,)).fetchall()
                for target in [consumer] if consumer else [row[0] for row in bound]:
                    db.execute(
                        "INSERT INTO delivery (consumer, message_id, type, body) VALUES (?, ?, ?, ?)",
                        (target, *message),
                    )
                    reached.add(target)
            return reached

        for name in await self._do(work):
            self.watch(name).set()

    async def take(self, consumer: str, limit: int) -> tuple[list[Delivery], float | None]:
        """Up to `limit` messages that are due, in order; with none, the seconds until one will be."""

        def work(db: sqlite3.Connection) -> tuple[list[Delivery], float | None]:
            now = time.time()
            rows = db.execute(
                "SELECT seq, body, attempts + 1 FROM delivery"
                " WHERE consumer = ? AND died_at IS NULL AND due_at <= ? ORDER BY seq LIMIT ?",
                (consumer, now, limit),
            ).fetchall()
            # What was delivered before may be what killed the process, so it comes alone: otherwise its
            # neighbours would count the same attempts and be dead with it.
            rows = list(takewhile(lambda row: row[2] == 1, rows)) or rows[:1]
            if not rows:
                query = "SELECT min(due_at) FROM delivery WHERE consumer = ? AND died_at IS NULL"
                due = db.execute(query, (consumer,)).fetchone()[0]
                return [], None if due is None else due - now
            # Counted before it is handled: a message that kills the process reaches the limit all the same.
            db.executemany(
                "UPDATE delivery SET attempts = attempts + 1 WHERE seq = ?", [(row[0],) for row in rows]
            )
            return [Delivery(*row) for row in rows], None

        return await self._do(work)

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            keys = [(delivery.seq,) for delivery in deliveries]
            await self._do(lambda db: db.executemany("DELETE FROM delivery WHERE seq = ?", keys))

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Take back what was not tried."""
        keys = [(delivery.seq,) for delivery in deliveries]
        query = "UPDATE delivery SET attempts = attempts - 1 WHERE seq = ?"
        await self._do(lambda db: db.executemany(query, keys))

    async def postpone(self, delivery: Delivery, seconds: float) -> None:
        due = time.time() + seconds
        await self._do(
            lambda db: db.execute("UPDATE delivery SET due_at = ? WHERE seq = ?", (due, delivery.seq))
        )

    async def bury(self, delivery: Delivery, code: str, detail: str) -> None:
        values = (time.time(), code, detail, delivery.seq)
        query = "UPDATE delivery SET died_at = ?, code = ?, detail = ? WHERE seq = ?"
        await self._do(lambda db: db.execute(query, values))

    async def depth(self, consumer: str) -> int:
        query = "SELECT count(*) FROM delivery WHERE consumer = ? AND died_at IS NULL"
        return int(await self._do(lambda db: db.execute(query, (consumer,)).fetchone()[0]))

    async def dead_count(self, consumer: str) -> int:
        query = "SELECT count(*) FROM delivery WHERE consumer = ? AND died_at IS NOT NULL"
        return int(await self._do(lambda db: db.execute(query, (consumer,)).fetchone()[0]))

    async def dead_letters(self, consumer: str, limit: int) -> list[DeadLetter]:
        query = (
            "SELECT seq, type, code, detail, died_at, body FROM delivery"
            " WHERE consumer = ? AND died_at IS NOT NULL ORDER BY seq LIMIT ?"
        )
        rows = await self._do(lambda db: db.execute(query, (consumer, limit)).fetchall())
        return [
            DeadLetter(str(seq), consumer, kind, code, detail, datetime.fromtimestamp(died_at, UTC), body)
            for seq, kind, code, detail, died_at, body in rows
        ]

    async def redrive(self, consumer: str, ids: Sequence[str] | None) -> int:
        query = "UPDATE delivery SET died_at = NULL, code = NULL, detail = NULL, attempts = 0, due_at = 0"
        count = await self._dead(query, consumer, ids)
        self.watch(consumer).set()
        return count

    async def discard(self, consumer: str, ids: Sequence[str] | None) -> int:
        return await self._dead("DELETE FROM delivery", consumer, ids)

    async def _dead(self, change: str, consumer: str, ids: Sequence[str] | None) -> int:
        """Change these dead letters, or all."""
        if ids is None:
            return await self._do(lambda db: db.execute(change + _DEAD, (consumer,)).rowcount)
        keys = [(consumer, int(key)) for key in ids if key.isdecimal()]
        query = change + _DEAD + " AND seq = ?"
        return await self._do(lambda db: db.executemany(query, keys).rowcount if keys else 0)

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._thread is None:
            raise Unavailable("bus_closed", "The bus is not open.")

        def transaction() -> T:
            assert self._connection is not None
            with self._connection:
                return work(self._connection)

        return await _run(self._thread, transaction)

    def _connect(self) -> None:
        if self._path != ":memory:":
            Path(self._path).parent.mkdir(parents=True, exist_ok=True)
        # Made and used in the one thread, closed there or, when that is gone, by whoever lets go of it.
        connection = sqlite3.connect(self._path, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA busy_timeout=4000")
        connection.executescript(_SCHEMA)
        self._connection = connection


async def _run(thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    try:
        return await asyncio.get_running_loop().run_in_executor(thread, work)
    except sqlite3.OperationalError as error:
        raise Unavailable("bus_unavailable", "The bus cannot be read or written.") from error
