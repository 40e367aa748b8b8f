"""Search in 200,000 tracks of Elasticsearch through the gateway: p95 at most 90 ms at 8 clients, misspelt and unfinished.

The documents (`ROWS`) are written straight into search's tables and the index is made of them by `reindex`, whose rate is
printed too. Words follow Zipf's law, so that some beginnings match tens of thousands of tracks. No question is
asked twice, and the gateway's limits are out of the way. `TARGET=http://host:port` measures a stack (or a search
service) that is already there and filled like this.
"""

import asyncio
import itertools
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import httpx

from bench._stack import ServerPlatform, server_platform

ROWS = int(os.environ.get("ROWS", "200000"))
QUESTIONS = int(os.environ.get("QUESTIONS", "1200"))
CLIENTS, WARM_UP, TARGET_MS = 8, 300, 90.0
WORDS = 60_000
CONSONANTS = (*"bcdfghjklmnprstvwz", "st", "tr", "br", "ch", "sh", "th", "gr")
VOWELS = (*"aeiou", "ai", "ou", "ea")


@dataclass(frozen=True, slots=True)
class Track:
    """What is made up of a track."""

    title: str
    artist: str
    album: str


class Library:
    """Made-up tracks, the same in every run."""

    def __init__(self) -> None:
        self._random = random.Random(7)
        self._vocabulary = sorted({self._word() for _ in range(WORDS)})
        self._random.shuffle(self._vocabulary)
        self._weights = list(itertools.accumulate(1 / (place + 10) for place in range(len(self._vocabulary))))
        artists = [self._words(1, 2) for _ in range(20_000)]
        self.tracks = [
            Track(self._words(1, 4), self._random.choice(artists), self._words(1, 2)) for _ in range(ROWS)
        ]

    def unfinished(self) -> Iterator[str]:
        """A title as far as somebody has typed it, from two letters."""
        for track in self._random.sample(self.tracks, min(ROWS, 10 * QUESTIONS)):
            yield track.title[: self._random.randint(2, max(2, len(track.title) - 1))].lower()

    def misspelt(self) -> Iterator[str]:
        """A word of the title with a mistake in it, and every other time the artist's name as well."""
        for number, track in enumerate(self._random.sample(self.tracks, min(ROWS, 10 * QUESTIONS))):
            longest = max(track.title.split(), key=len).lower()
            if len(longest) >= 5:
                yield self._mistake(longest) + (f" {track.artist.lower()}" if number % 2 else "")

    def _mistake(self, word: str) -> str:
        at = self._random.randrange(1, len(word) - 1)
        kind = self._random.randrange(3)
        if kind == 0:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        return word[:at] + ("" if kind == 1 else self._random.choice("aeioutrs")) + word[at + 1 :]

    def _word(self) -> str:
        syllables = self._random.choice((1, 2, 2, 3, 3, 3, 4))
        body = "".join(
            self._random.choice(CONSONANTS) + self._random.choice(VOWELS) for _ in range(syllables)
        )
        return body + self._random.choice(("", "n", "r", "s", "t", ""))

    def _words(self, least: int, most: int) -> str:
        count = self._random.randint(least, most)
        return " ".join(self._random.choices(self._vocabulary, cum_weights=self._weights, k=count)).title()


async def fill(platform: ServerPlatform, library: Library) -> None:
    """The documents into search's tables, then the index out of them."""
    own = platform.environment("search")
    url = own["SEARCH_DATABASE_URL"].replace("+asyncpg", "")
    rows = [
        {
            "id": UUID(int=random.Random(number).getrandbits(128)), "kind": "track", "revision": 1, "deleted": False,
            "owner_id": UUID(int=1), "public": True, "title": track.title, "artists": json.dumps([track.artist]),
            "extra": track.album, "genres": '["Rock"]', "year": 1960 + number % 60,
            "popularity": number * 7919 % 100_000, "version": 1, "dirty": False,
            "shown": json.dumps({"title": track.title, "artists": [{"name": track.artist}], "album": None}),
        }
        for number, track in enumerate(library.tracks)
    ]  # fmt: skip
    database = await asyncpg.connect(url)
    # The copy is binary: a version, then the text.
    await database.set_type_codec(
        "jsonb", schema="pg_catalog", format="binary", encoder=lambda text: b"\x01" + text.encode(),
        decoder=bytes.decode,
    )  # fmt: skip
    await database.copy_records_to_table(
        "document", records=[tuple(row.values()) for row in rows], columns=list(rows[0])
    )
    await database.execute("ANALYZE document")
    await database.close()
    started = time.monotonic()
    command = (sys.executable, "-m", "antiphon_search", "reindex")
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **own})
    assert await process.wait() == 0
    took = time.monotonic() - started
    print(f"reindex of {ROWS:,} tracks: {took:.0f} s, {ROWS / took:,.0f} a second")


async def ask(http: httpx.AsyncClient, text: str) -> str:
    """What came of one question."""
    answer = await http.get("/api/search", params={"q": text})
    body = answer.json()
    if answer.status_code != 200:
        return f"failed: {body.get('code')}"
    return "found" if body["tracks"]["total"] else "nothing"


async def measure(url: str, questions: Iterator[str]) -> tuple[list[float], Counter[str]]:
    """Milliseconds of each question, and how often it found something."""
    took, seen = list[float](), Counter[str]()
    unique = iter(dict.fromkeys(questions))

    async def client() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=10) as http:
            for text in itertools.islice(unique, WARM_UP // CLIENTS):
                # A cold engine may be too slow at first, and is then left in peace for a moment.
                if (await ask(http, text)).startswith("failed"):
                    await asyncio.sleep(0.5)
            for text in itertools.islice(unique, QUESTIONS // CLIENTS):
                started = time.perf_counter()
                came = await ask(http, text)
                took.append((time.perf_counter() - started) * 1000)
                seen[came] += 1

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return sorted(took), seen


async def report(url: str, name: str, library: Library) -> bool:
    """Print a line for each kind of question; whether all reach the target."""
    good = True
    for kind, questions in (("unfinished", library.unfinished()), ("misspelt", library.misspelt())):
        took, seen = await measure(url, questions)
        p50, p95 = (took[int(len(took) * share)] for share in (0.5, 0.95))
        answered = set(seen) <= {"found", "nothing"} and seen["found"] > seen["nothing"]
        good = good and answered and p95 <= TARGET_MS
        print(
            f"{name:8} {kind:10} {CLIENTS} clients: p50 {p50:5.1f} ms, p95 {p95:5.1f} ms (target <= {TARGET_MS:.0f}), "
            f"{dict(seen)}"
        )
    return good


async def main() -> int:
    """Measure a stack of our own, or the one that is named; 1 when the target is missed."""
    library = Library()
    if target := os.environ.get("TARGET"):
        return 0 if await report(target, urlsplit(target).netloc, library) else 1
    with server_platform() as platform:
        await fill(platform, library)
        await report(platform.address("search"), "service", library)
        return 0 if await report(platform.url, "gateway", library) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
