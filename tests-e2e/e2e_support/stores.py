"""What lies on the disk of an embedded platform, compared with itself: objects with rows, counters with sets."""

import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

# Each finds rows whose number is not the size of the set it counts.
COUNTED = {
    "library": {
        "likes and counted plays": """
            SELECT track_id, name, value FROM counter WHERE value != CASE name
                WHEN 'likes' THEN (SELECT count(*) FROM keep k WHERE k.kind = 'track' AND k.item_id = counter.track_id)
                ELSE (SELECT count(*) FROM play p WHERE p.credit_id IS NOT NULL AND p.track_id = counter.track_id)
            END""",
        "likes without a counter": """
            SELECT item_id FROM keep WHERE kind = 'track' AND item_id NOT IN
                (SELECT track_id FROM counter WHERE name = 'likes')""",
    },
    "catalog": {
        "tracks of an artist": """
            SELECT name, track_count FROM artist WHERE track_count !=
                (SELECT count(*) FROM track_artist t WHERE t.artist_id = artist.id AND t.listed)""",
        "tracks of an album": """
            SELECT title, track_count FROM album WHERE track_count !=
                (SELECT count(*) FROM track t WHERE t.album_id = album.id AND t.listed)""",
        "tracks of a genre": """
            SELECT key, track_count FROM genre WHERE track_count !=
                (SELECT count(*) FROM track_genre t WHERE t.genre_key = genre.key AND t.listed)""",
        "plays of an artist": """
            SELECT name, play_count FROM artist WHERE play_count != (SELECT coalesce(sum(k.play_count), 0)
                FROM track_artist k JOIN track t ON t.id = k.track_id WHERE k.artist_id = artist.id AND t.listed)""",
        "plays of an album": """
            SELECT title, play_count FROM album WHERE play_count !=
                (SELECT coalesce(sum(t.play_count), 0) FROM track t WHERE t.album_id = album.id AND t.listed)""",
        "what library counted": """
            SELECT t.id, t.like_count, t.play_count FROM track t JOIN counter c ON c.track_id = t.id
                WHERE (t.like_count, t.play_count) != (c.like_count, c.play_count)""",
    },
    "playlist": {
        "items of a playlist": """
            SELECT id, item_count FROM playlist WHERE item_count !=
                (SELECT count(*) FROM item i WHERE i.playlist_id = playlist.id)""",
    },
    "file": {
        "what a person keeps": """
            SELECT owner_id, size, files, images FROM usage WHERE (size, files, images) != (
                SELECT coalesce(sum(u.size), 0), count(*),
                    (SELECT count(*) FROM image i WHERE i.owner_id = usage.owner_id)
                FROM upload u WHERE u.owner_id = usage.owner_id AND u.state NOT IN ('rejected', 'duplicate'))""",
    },
}


def rows(data: Path, service: str, query: str) -> list[tuple[Any, ...]]:
    """What a service's database answers; nothing is written to it."""
    connection = sqlite3.connect(f"file:{data}/{service}.db?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def complaints(data: Path) -> list[str]:
    """Everything that does not fit, in words; none when the house is in order."""
    found = [*_objects(data), *_queues(data)]
    for service, queries in COUNTED.items():
        for what, query in queries.items():
            found += [f"{service}: {what}: {row}" for row in rows(data, service, query)]
    return found


def _objects(data: Path) -> list[str]:
    """No object without a row, no row without its objects. The keys are those of the file service's domain."""
    wanted = {}
    for upload_id, size, state in rows(data, "file", "SELECT id, size, state FROM upload"):
        if state in ("analysing", "ready"):
            key = UUID(upload_id)
            wanted[f"audio/{key.hex[-2:]}/{key}"] = size
    for image_id, sizes in rows(data, "file", "SELECT id, sizes FROM image"):
        key = UUID(image_id)
        wanted |= {f"images/{key.hex[-2:]}/{key}/{size}": None for size in json.loads(sizes)}
    blobs = data / "blobs"
    there = {
        path.relative_to(blobs).as_posix(): path.stat().st_size
        for kind in ("audio", "images")
        for path in (blobs / kind).rglob("*")
        if path.is_file()
    }
    return [
        *(f"object without a row: {key}" for key in sorted(there.keys() - wanted.keys())),
        *(f"row without an object: {key}" for key in sorted(wanted.keys() - there.keys())),
        *(
            f"object of another size: {key}"
            for key, size in wanted.items()
            if size not in (None, there.get(key, size))
        ),
        *(
            f"image without renditions: {row}"
            for row in rows(data, "file", "SELECT id FROM image WHERE width = 0")
        ),
        *(f"doomed and not deleted: {row}" for row in rows(data, "file", "SELECT key FROM doomed")),
    ]


def _queues(data: Path) -> list[str]:
    """Outboxes and queues are empty, and there is no dead letter."""
    found = []
    for database in sorted(data.glob("*.db")):
        tables = Counter(row[0] for row in rows(data, database.stem, "SELECT name FROM sqlite_master"))
        for table in ("outbox", "delivery"):
            if table in tables:
                left = rows(data, database.stem, f"SELECT * FROM {table}")
                found += [f"{database.stem}: {table}: {row}" for row in left]
    return found
