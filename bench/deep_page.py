"""A page 900,000 tracks deep against the first one: at most 1.5 times as long, in every order and in a genre.

Rows are written straight into a migrated SQLite file (`ROWS`, a million); pages are asked of the catalogue's own
query, first and deep in turn, and the ratio is the median of these pairs, so that whatever else the machine does
disturbs both alike.
"""

import asyncio
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

from antiphon_catalog.queries.paging import Slice, scope_of
from antiphon_catalog.queries.tracks import TrackFilter, list_tracks
from antiphon_common.db import Database
from antiphon_common.db.migrations import migrate
from antiphon_common.pages import encode_cursor

ROWS = int(os.environ.get("ROWS", "1000000"))
DEPTH = ROWS * 9 // 10
ROUNDS, LIMIT, TARGET = 200, 50, 1.5

# Ids at random, as far as an index is concerned; many ties in every order.
TRACKS = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)
INSERT INTO track (
    id, owner_id, upload_id, upload_revision, status, visibility, listed, title, title_key, credits, position,
    genres, explicit, release_date, release_year, duration_ms, gain_db, peak, audio, created_at, published_at,
    like_count, play_count, revision)
SELECT
    lower(hex(randomblob(16))), printf('%032x', i % 1000), lower(hex(randomblob(16))), 1, 'published', 'public', 1,
    'Track ' || i, 'track ' || (i / 3),
    '[{"id": "00000000-0000-7000-8000-000000000001", "name": "Ada", "role": "main", "join_phrase": ""}]',
    i, '["Jazz"]', 0, '2024', 2024, 200000, -3.5, 0.9, '{}',
    strftime('%Y-%m-%d %H:%M:%f', 1700000000 + i / 4, 'unixepoch') || '000',
    strftime('%Y-%m-%d %H:%M:%f', 1700000000 + i / 4, 'unixepoch') || '000',
    i * 7919 % 1000, i * 104729 % 100000, 1
FROM n
"""
GENRES = """
INSERT INTO track_genre (genre_key, track_id, listed, published_at, play_count, like_count, title_key)
SELECT 'jazz', id, 1, published_at, play_count, like_count, title_key FROM track
"""
ORDERS = {
    "recent": ("published_at", "DESC"),
    "popular": ("play_count", "DESC"),
    "most_liked": ("like_count", "DESC"),
    "title": ("title_key", "ASC"),
}


def seed(path: Path) -> None:
    """Fill the tables without their indexes, then make these: minutes become seconds."""
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("PRAGMA foreign_keys = OFF")
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL AND tbl_name LIKE 'track%'"
        indexes = database.execute(query).fetchall()
        for name, _ in indexes:
            database.execute(f"DROP INDEX {name}")
        database.execute(TRACKS, {"rows": ROWS})
        database.execute(GENRES)
        for _, statement in indexes:
            database.execute(statement)


def deep_cursor(path: Path, sort: str, wanted: TrackFilter) -> str:
    """The cursor after `DEPTH` tracks."""
    column, direction = ORDERS[sort]
    query = f"SELECT {column}, id FROM track WHERE listed = 1 ORDER BY {column} {direction}, id {direction} LIMIT 1 OFFSET ?"
    with sqlite3.connect(path) as database:
        value, key = database.execute(query, (DEPTH - 1,)).fetchone()
    moment = f"{value.replace(' ', 'T')}+00:00" if sort == "recent" else value
    return encode_cursor(scope_of(f"tracks:{sort}", wanted), (moment, key))


async def timed(database: Database, wanted: TrackFilter, sort: str, cursor: str | None) -> float:
    """Milliseconds of one page."""
    started = time.perf_counter()
    page = await list_tracks(database, wanted, sort, Slice(LIMIT, cursor))  # type: ignore[arg-type]
    took = (time.perf_counter() - started) * 1000
    assert len(page.items) == LIMIT
    return took


async def measure(path: Path) -> bool:
    """Print one line a list; whether all of them reach the target."""
    database = Database(f"sqlite+aiosqlite:///{path}")
    good = True
    for sort in ORDERS:
        for name, wanted in (("all", TrackFilter()), ("genre", TrackFilter(genre="Jazz"))):
            cursor = deep_cursor(path, sort, wanted)
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
            good = good and ratio <= TARGET
            print(
                f"{name:5} {sort:10} first {statistics.median(first):6.2f} ms, "
                f"{DEPTH:,} deep {statistics.median(deep):6.2f} ms, ratio {ratio:.2f} (target <= {TARGET})"
            )
    await database.stop()
    return good


def main() -> int:
    """Seed, measure, and say 1 when a list is over the target."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "catalog.db"
        migrate("antiphon_catalog", f"sqlite+aiosqlite:///{path}")
        started = time.perf_counter()
        seed(path)
        size = path.stat().st_size / 1e6
        print(f"{ROWS:,} tracks seeded in {time.perf_counter() - started:.0f} s, {size:,.0f} MB")
        return 0 if asyncio.run(measure(path)) else 1


if __name__ == "__main__":
    sys.exit(main())
