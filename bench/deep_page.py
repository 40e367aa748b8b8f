"""A page 900,000 tracks deep against the first one: at most 1.5 times as long, in every order and in a genre.

Rows are written straight into a migrated database (`ROWS`, a million), here SQLite; pages are asked of the
catalogue's own query, first and deep in turn, and the ratio is the median of these pairs, so that whatever else
the machine does disturbs both alike.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from sqlalchemy import Index, Table, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from antiphon_catalog.queries.paging import Slice, scope_of
from antiphon_catalog.queries.tracks import TrackFilter, list_tracks
from antiphon_catalog.tables import TrackGenreRow, TrackRow
from antiphon_common.db import Database
from antiphon_common.db.migrations import migrate
from antiphon_common.pages import encode_cursor

ROWS = int(os.environ.get("ROWS", "1000000"))
DEPTH = ROWS * 9 // 10
ROUNDS, LIMIT, TARGET = int(os.environ.get("ROUNDS", "200")), 50, 1.5

# Ids at random, as far as an index is concerned; many ties in every order.
TRACKS = """
INSERT INTO track (
    id, owner_id, upload_id, upload_revision, status, visibility, listed, title, title_key, credits, position,
    genres, explicit, release_date, release_year, duration_ms, gain_db, peak, audio, created_at, published_at,
    like_count, play_count, revision)
SELECT
    {id}, {owner}, {id}, 1, 'published', 'public', true, 'Track ' || i, 'track ' || (i / 3),
    '[{{"id": "00000000-0000-7000-8000-000000000001", "name": "Ada", "role": "main", "join_phrase": ""}}]',
    i, '["Jazz"]', false, '2024', 2024, 200000, -3.5, 0.9, '{{}}', {moment}, {moment},
    i * 7919 % 1000, i * 104729 % 100000, 1
FROM {numbers}
"""
GENRES = """
INSERT INTO track_genre (genre_key, track_id, listed, published_at, play_count, like_count, title_key)
SELECT 'jazz', id, true, published_at, play_count, like_count, title_key FROM track
"""
WORDS = {
    "sqlite": {
        "id": "lower(hex(randomblob(16)))",
        "owner": "printf('%032x', i % 1000)",
        "moment": "strftime('%Y-%m-%d %H:%M:%f', 1700000000 + i / 4, 'unixepoch') || '000'",
        "numbers": f"(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) SELECT i FROM n)",
        "after": "ANALYZE",
    },
    "postgresql": {
        "id": "gen_random_uuid()",
        "owner": "lpad(to_hex(i % 1000), 32, '0')::uuid",
        "moment": "to_timestamp(1700000000 + i / 4)",
        "numbers": f"generate_series(1::bigint, {ROWS}) i",
        "after": "VACUUM ANALYZE",
    },
}
ORDERS = {
    "recent": TrackRow.published_at.desc(),
    "popular": TrackRow.play_count.desc(),
    "most_liked": TrackRow.like_count.desc(),
    "title": TrackRow.title_key.asc(),
}


async def seed(url: str) -> None:
    """Fill the tables without their indexes, then make these: minutes become seconds."""
    engine = create_async_engine(url)
    words = WORDS[engine.dialect.name]
    tables = (table for table in (TrackRow.__table__, TrackGenreRow.__table__) if isinstance(table, Table))
    indexes: list[Index] = [index for table in tables for index in table.indexes]
    async with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            await connection.execute(text("PRAGMA synchronous = OFF"))
        for index in indexes:
            await connection.run_sync(index.drop)
        await connection.exec_driver_sql(TRACKS.format(**words))
        await connection.exec_driver_sql(GENRES)
        for index in indexes:
            await connection.run_sync(index.create)
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        await connection.execute(text(words["after"]))
    await engine.dispose()


async def deep_cursor(database: Database, sort: str, wanted: TrackFilter) -> str:
    """The cursor after `DEPTH` tracks."""
    order = ORDERS[sort]
    ties = TrackRow.id.asc() if sort == "title" else TrackRow.id.desc()
    query = select(order.element, TrackRow.id).where(TrackRow.listed).order_by(order, ties)
    async with database.read() as connection:
        value, key = (await connection.execute(query.limit(1).offset(DEPTH - 1))).one()
    if isinstance(value, datetime):
        value = value.isoformat()
    return encode_cursor(scope_of(f"tracks:{sort}", wanted), (value, str(key)))


async def timed(database: Database, wanted: TrackFilter, sort: str, cursor: str | None) -> float:
    """Milliseconds of one page."""
    started = time.perf_counter()
    page = await list_tracks(database, wanted, sort, Slice(LIMIT, cursor))  # type: ignore[arg-type]
    took = (time.perf_counter() - started) * 1000
    assert len(page.items) == LIMIT
    return took


async def compare(database: Database, sort: str, name: str, wanted: TrackFilter) -> bool:
    """Print one line of one list; whether it reaches the target."""
    cursor = await deep_cursor(database, sort, wanted)
    first, deep = [], []
    for number in range(ROUNDS + 10):
        # In turn, and each of them first every other time; the first rounds only fill caches.
        took = {}
        for where in (None, cursor) if number % 2 else (cursor, None):
            took[where] = await timed(database, wanted, sort, where)
        if number >= 10:
            first.append(took[None])
            deep.append(took[cursor])
    ratio = statistics.median(far / near for near, far in zip(first, deep, strict=True))
    print(
        f"{name:5} {sort:10} first {statistics.median(first):6.2f} ms, {DEPTH:,} deep "
        f"{statistics.median(deep):6.2f} ms, ratio {ratio:.2f} (target <= {TARGET})", flush=True
    )  # fmt: skip
    return ratio <= TARGET


async def measure(url: str) -> bool:
    """Fill a migrated database, and print one line a list; whether all of them reach the target."""
    started = time.perf_counter()
    await seed(url)
    print(f"{ROWS:,} tracks seeded in {time.perf_counter() - started:.0f} s", flush=True)
    database = Database(url)
    filters = {"all": TrackFilter(), "genre": TrackFilter(genre="Jazz")}
    good = [
        await compare(database, sort, name, wanted) for sort in ORDERS for name, wanted in filters.items()
    ]
    await database.stop()
    return all(good)


def measured(url: str) -> int:
    """Migrate, measure, and say 1 when a list is over the target."""
    migrate("antiphon_catalog", url)
    return 0 if asyncio.run(measure(url)) else 1


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        sys.exit(measured(f"sqlite+aiosqlite:///{Path(directory)}/catalog.db"))
