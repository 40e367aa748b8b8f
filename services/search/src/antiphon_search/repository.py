"""Remembers documents, counts and what the index does not hold yet: rows in, dataclasses out."""

import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_common.clock import Clock
from antiphon_common.db import Database, inbox, insert_for
from antiphon_search.domain import Counts, Document, Entry, Kind
from antiphon_search.ports import Batch, Change
from antiphon_search.tables import INBOX, CountsRow, DocumentRow, IndexStateRow

_ONLY = 1
_BEFORE_ALL = UUID(int=0)


class SqlDocuments:
    """`Documents` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self.changed = False

    async def revision(self, document_id: UUID) -> int:
        # Two instances may hear of a new thing at once: with an empty row there is one that both can lock.
        empty = insert_for(self._session, DocumentRow).values(
            id=document_id, kind="", revision=0, deleted=True, public=False, title="", artists=[], extra="",
            genres=[], popularity=0, shown={}, version=0, dirty=False,
        )  # fmt: skip
        await self._session.execute(empty.on_conflict_do_nothing())
        row = await self._session.get_one(DocumentRow, document_id, with_for_update=True)
        return row.revision

    async def put(self, entry: Entry) -> None:
        document = entry.document
        await self._save(
            document.id, entry.revision, kind=document.kind, owner_id=document.owner_id,
            public=document.public, title=document.title, artists=list(document.artists),
            extra=document.extra, genres=list(document.genres), year=document.year,
            popularity=document.popularity, shown=dict(entry.shown), deleted=False,
        )  # fmt: skip

    async def bury(self, document_id: UUID, kind: Kind, *, revision: int) -> None:
        await self._save(
            document_id, revision, kind=kind, owner_id=None, public=False, title="", artists=[], extra="",
            genres=[], year=None, popularity=0, shown={}, deleted=True,
        )  # fmt: skip

    async def set_popularity(self, document_id: UUID, popularity: int) -> None:
        row = await self._session.get(DocumentRow, document_id, with_for_update=True)
        if row and not row.deleted and row.popularity != popularity:
            row.popularity = popularity
            self._touch(row)

    async def _save(self, document_id: UUID, revision: int, **values: object) -> None:
        row = await self._session.get(DocumentRow, document_id)
        if row is None:
            row = DocumentRow(id=document_id, version=0)
            self._session.add(row)
        row.revision = revision
        for name, value in values.items():
            setattr(row, name, value)
        self._touch(row)

    def _touch(self, row: DocumentRow) -> None:
        row.version += 1
        row.dirty = True
        row.refused = None
        self.changed = True


class SqlCounts:
    """`AllCounts` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, track_id: UUID) -> Counts:
        none = insert_for(self._session, CountsRow).values(
            track_id=track_id, plays=0, plays_revision=0, likes=0, likes_revision=0
        )
        await self._session.execute(none.on_conflict_do_nothing())
        row = await self._session.get_one(CountsRow, track_id, with_for_update=True)
        return Counts(row.plays, row.plays_revision, row.likes, row.likes_revision)

    async def save(self, track_id: UUID, counts: Counts) -> None:
        await self._session.merge(
            CountsRow(
                track_id=track_id, plays=counts.plays, plays_revision=counts.plays_revision,
                likes=counts.likes, likes_revision=counts.likes_revision,
            )
        )  # fmt: skip


class SqlBacklog:
    """`Backlog` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def next_batch(self, limit: int) -> Batch:
        row = await self._session.get(IndexStateRow, _ONLY)
        after = row.walked_to if row else None
        # Half of a batch is the walk's, so that neither it nor what changes meanwhile waits for the other.
        query = select(DocumentRow).where(DocumentRow.dirty).limit(limit if after is None else limit // 2)
        waiting = {_change(row) for row in await self._session.scalars(query)}
        walked: Sequence[Change] = ()
        if after is not None:
            walked = await self.walk(after, limit // 2)
        full = len(walked) == limit // 2
        return Batch(
            stamp=row.stamp if row else None,
            waiting=tuple(waiting),
            walked=tuple(change for change in walked if change not in waiting),
            walking=after is not None,
            walked_to=walked[-1].id if full else None,
            more=full or len(waiting) >= limit // 2,
        )

    async def done(self, batch: Batch, refused: Mapping[UUID, str]) -> bool:
        state = update(IndexStateRow).where(IndexStateRow.id == _ONLY, IndexStateRow.stamp == batch.stamp)
        connection = await self._session.connection()
        moved = await connection.execute(
            state.values(stamp=IndexStateRow.stamp + 1, walked_to=batch.walked_to)
        )
        if moved.rowcount != 1:
            return False
        table = DocumentRow.__table__
        clean = (
            update(DocumentRow)
            .where(table.c.id == bindparam("which"), table.c.version == bindparam("at"))
            .values(dirty=False, refused=bindparam("why"))
        )
        noted = [*batch.waiting, *(change for change in batch.walked if change.id in refused)]
        # In one order, so that two instances never wait for each other.
        marks = [
            {"which": change.id, "at": change.version, "why": refused.get(change.id)}
            for change in sorted(noted, key=lambda change: change.id)
        ]
        if marks:
            await connection.execute(clean, marks)
        return True

    async def locked_stamp(self) -> int:
        # An index of another database never has a stamp like ours, because the first one is any number.
        first = insert_for(self._session, IndexStateRow).values(id=_ONLY, stamp=secrets.randbelow(2**30))
        await self._session.execute(first.on_conflict_do_nothing())
        row = await self._session.get_one(IndexStateRow, _ONLY, with_for_update=True)
        return row.stamp

    async def begin_anew(self, *, stamp: int) -> None:
        await self._session.merge(IndexStateRow(id=_ONLY, stamp=stamp, walked_to=_BEFORE_ALL))

    async def walk(self, after: UUID | None, limit: int) -> Sequence[Change]:
        row = DocumentRow
        query = select(row).where(row.id > (after or _BEFORE_ALL)).order_by(row.id).limit(limit)
        return [_change(row) for row in await self._session.scalars(query)]


class SqlUnit:
    """One transaction of this service."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self.documents = SqlDocuments(session)
        self.counts = SqlCounts(session)
        self.backlog = SqlBacklog(session)

    async def first_time(self, consumer: str, event_ids: Sequence[UUID]) -> set[UUID]:
        return await inbox.first_time(self._session, INBOX, consumer, event_ids, self._clock)


@asynccontextmanager
async def unit_of_work(
    database: Database, clock: Clock, on_change: Callable[[], None]
) -> AsyncIterator[SqlUnit]:
    """Open a unit; it is committed when the block ends, and then the indexer is told of changes."""
    async with database.write() as session:
        unit = SqlUnit(session, clock)
        yield unit
    if unit.documents.changed:
        on_change()


def _change(row: DocumentRow) -> Change:
    if row.deleted or row.owner_id is None:
        return Change(row.id, row.version, None)
    return Change(row.id, row.version, _document(row))


def _document(row: DocumentRow) -> Document:
    kind: Kind = row.kind  # type: ignore[assignment]  # the column holds only what `put` wrote
    assert row.owner_id is not None
    return Document(
        id=row.id,
        kind=kind,
        owner_id=row.owner_id,
        public=row.public,
        title=row.title,
        artists=tuple(row.artists),
        extra=row.extra,
        genres=tuple(row.genres),
        year=row.year,
        popularity=row.popularity,
    )
