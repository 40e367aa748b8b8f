"""Remembers documents, counts and what the index does not hold yet: rows in, dataclasses out."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_common.clock import Clock
from antiphon_common.db import Database, inbox
from antiphon_search.domain import Counts, Document, Entry, Kind
from antiphon_search.ports import Change
from antiphon_search.tables import INBOX, CountsRow, DocumentRow, IndexStateRow

_ONLY = 1


class SqlDocuments:
    """`Documents` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self.changed = False

    async def revision(self, document_id: UUID) -> int:
        row = await self._session.get(DocumentRow, document_id, with_for_update=True)
        return row.revision if row else 0

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
        self.changed = True


class SqlCounts:
    """`AllCounts` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, track_id: UUID) -> Counts:
        row = await self._session.get(CountsRow, track_id, with_for_update=True)
        return Counts(row.plays, row.plays_revision, row.likes, row.likes_revision) if row else Counts()

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

    async def stamp(self) -> int:
        row = await self._session.get(IndexStateRow, _ONLY)
        return row.stamp if row else 0

    async def next_changes(self, limit: int) -> Sequence[Change]:
        query = select(DocumentRow).where(DocumentRow.dirty).limit(limit)
        return [_change(row) for row in await self._session.scalars(query)]

    async def done(self, changes: Sequence[Change], *, stamp: int) -> None:
        await self._session.merge(IndexStateRow(id=_ONLY, stamp=stamp))
        table = DocumentRow.__table__
        clean = (
            update(DocumentRow)
            .where(table.c.id == bindparam("which"), table.c.version == bindparam("at"))
            .values(dirty=False)
            .execution_options(synchronize_session=False)
        )
        connection = await self._session.connection()
        await connection.execute(clean, [{"which": change.id, "at": change.version} for change in changes])

    async def begin_anew(self) -> None:
        await self._session.merge(IndexStateRow(id=_ONLY, stamp=0))
        again = update(DocumentRow).where(~DocumentRow.deleted)
        await self._session.execute(again.values(dirty=True, version=DocumentRow.version + 1))


class SqlUnit:
    """One transaction of this service."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self.documents = SqlDocuments(session)
        self.counts = SqlCounts(session)
        self.backlog = SqlBacklog(session)

    async def first_time(self, consumer: str, event_id: UUID) -> bool:
        return await inbox.first_time(self._session, INBOX, consumer, event_id, self._clock)


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
