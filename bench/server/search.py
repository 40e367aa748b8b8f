"""Search in 200,000 tracks of Elasticsearch through the gateway: p95 at most 90 ms at 8 clients, misspelt and unfinished.

The documents (`ROWS`) are written straight into search's tables and the index is made of them by `reindex`, whose rate is
printed too. Words follow Zipf's law, so that some beginnings match tens of thousands of tracks. No question is
asked twice, and the gateway's limits are out of the way. The engine compiles itself during its first thousands of
questions, so that many are asked first. With the times comes the processor time a question of each process, which
other work on the machine disturbs less. `TARGET=http://host:port` measures a stack (or a search service) that is
already there and filled like this.
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
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import asyncpg
import orjson
import psutil

from bench._stack import PROCESSES, ServerPlatform, server_platform

ROWS = int(os.environ.get("ROWS", "200000"))
QUESTIONS = int(os.environ.get("QUESTIONS", "1200"))
CLIENTS, WARM_UP, TARGET_MS = 8, 3_000, 90.0
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
        for track in self._random.sample(self.tracks, ROWS):
            yield track.title[: self._random.randint(2, max(2, len(track.title) - 1))].lower()

    def misspelt(self) -> Iterator[str]:
        """A word of the title with a mistake in it, and every other time the artist's name as well."""
        for number, track in enumerate(self._random.sample(self.tracks, ROWS)):
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


async def ask(http: aiohttp.ClientSession, text: str) -> str:
    """What came of one question."""
    async with http.get("/api/search", params={"q": text}) as answer:
        body = orjson.loads(await answer.read())
    if answer.status != 200:
        return f"failed: {body.get('code')}"
    return "found" if body["tracks"]["total"] else "nothing"


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds of each question in order, what came of them, and the processor time of each process."""

    took: list[float]
    seen: Counter[str]
    spent: str

    def __str__(self) -> str:
        p50, p95 = self._at(0.5), self._at(0.95)
        figures = f"p50 {p50:5.1f} ms, p95 {p95:5.1f} ms (target <= {TARGET_MS:.0f}), {dict(self.seen)}"
        return figures + (f"\n         processor ms a question: {self.spent}" if self.spent else "")

    @property
    def is_good(self) -> bool:
        answered = set(self.seen) <= {"found", "nothing"} and self.seen["found"] > self.seen["nothing"]
        return answered and self._at(0.95) <= TARGET_MS

    def _at(self, share: float) -> float:
        return self.took[int(len(self.took) * share)]


class Spent:
    """Processor time of a platform's processes since this was made, by name; nothing is known of others' platforms."""

    def __init__(self, platform: ServerPlatform | None) -> None:
        self._processes = _processes(platform) if platform else {}
        self._before = self._seconds()

    def each(self, questions: int) -> str:
        """Milliseconds a question, the largest first; what spends less than a tenth is left out."""
        spent = {name: seconds - self._before[name] for name, seconds in self._seconds().items()}
        shown = sorted(((1000 * each / questions, name) for name, each in spent.items()), reverse=True)
        return ", ".join(f"{name} {each:.1f}" for each, name in shown if each >= 0.1)

    def _seconds(self) -> Counter[str]:
        sums = Counter[str]()
        for name, processes in self._processes.items():
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    times = process.cpu_times()
                    sums[name] += times.user + times.system
        return sums


def _processes(platform: ServerPlatform) -> dict[str, list[psutil.Process]]:
    """The edge, the nine and the servers, each with its children; and ourselves, who ask."""
    found = {name: _family(platform.pid(name)) for name in (*PROCESSES, "edge")}
    for name in ("postgres", "redis", "rabbitmq", "elasticsearch"):
        home = str(platform.data / "servers" / name)
        found[name] = [one for one in psutil.process_iter() if _is_of(one, home)]
    return found | {"client": [psutil.Process()]}


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _is_of(process: psutil.Process, home: str) -> bool:
    with suppress(psutil.Error):
        return process.cwd().startswith(home) or any(home in word for word in process.cmdline())
    return False


async def measure(url: str, questions: Iterator[str], platform: ServerPlatform | None) -> Measured:
    """Ask, and look at the clocks."""
    took, seen = list[float](), Counter[str]()
    unique = iter(dict.fromkeys(questions))
    warm = asyncio.Barrier(CLIENTS)
    spent: list[Spent] = []

    async def client() -> None:
        async with aiohttp.ClientSession(url) as http:
            for text in itertools.islice(unique, WARM_UP // CLIENTS):
                # A cold engine may be too slow at first, and is then left in peace for a moment.
                if (await ask(http, text)).startswith("failed"):
                    await asyncio.sleep(0.5)
            if await warm.wait() == 0:
                spent.append(Spent(platform))
            for text in itertools.islice(unique, QUESTIONS // CLIENTS):
                started = time.perf_counter()
                came = await ask(http, text)
                took.append((time.perf_counter() - started) * 1000)
                seen[came] += 1

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return Measured(sorted(took), seen, spent[0].each(len(took)))


async def report(url: str, name: str, library: Library, platform: ServerPlatform | None = None) -> bool:
    """Print a line for each kind of question; whether all reach the target."""
    good = True
    for kind, questions in (("unfinished", library.unfinished()), ("misspelt", library.misspelt())):
        measured = await measure(url, questions, platform)
        good = good and measured.is_good
        print(f"{name:8} {kind:10} {CLIENTS} clients: {measured}", flush=True)
    return good


async def main() -> int:
    """Measure a stack of our own, or the one that is named; 1 when the target is missed."""
    library = Library()
    if target := os.environ.get("TARGET"):
        return 0 if await report(target, urlsplit(target).netloc, library) else 1
    with server_platform() as platform:
        await fill(platform, library)
        await report(platform.address("search"), "service", library, platform)
        return 0 if await report(platform.url, "gateway", library, platform) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
