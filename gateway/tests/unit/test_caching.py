"""The rules of remembering, one by one, without a socket."""

import asyncio
from collections.abc import Collection

from antiphon_common.cache.memory import MemoryCache
from antiphon_common.logs import open_log
from antiphon_gateway.caching import AnswerCache, Fetched, Remembered

TAGS = ("track:1", "tracks")


def answer(body: bytes) -> Fetched:
    return Fetched(200, [(b"content-type", b"a/b")], body)


class Store(MemoryCache):
    """A store that is as slow as a test wants it to be."""

    def __init__(self) -> None:
        super().__init__()
        self.writing = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def set(
        self, key: str, value: bytes, *, seconds: float, tags: Collection[str] = (), mark: str | None = None
    ) -> None:
        self.writing.set()
        await self.go_on.wait()
        await super().set(key, value, seconds=seconds, tags=tags, mark=mark)


def cache(store: Store) -> AnswerCache:
    return AnswerCache(store, now=lambda: 1000.0, log=open_log("gateway", level="error"))


async def ask(answers: AnswerCache, body: bytes, release: asyncio.Event | None = None) -> bytes:
    async def fetch() -> Fetched:
        if release:
            await release.wait()
        return answer(body)

    return (await answers.get("k", seconds=30, tags=TAGS, fetch=fetch)).body


async def test_a_purge_while_the_store_is_writing_is_not_missed() -> None:
    store = Store()
    answers = cache(store)
    store.go_on.clear()
    first = asyncio.create_task(ask(answers, b"old"))
    await store.writing.wait()
    await answers.purge(["track:1"])
    store.go_on.set()
    assert await first == b"old"
    assert await ask(answers, b"new") == b"new"


async def test_one_who_gives_up_does_not_stop_the_others() -> None:
    answers, release = cache(Store()), asyncio.Event()
    first = asyncio.create_task(ask(answers, b"one", release))
    await asyncio.sleep(0)
    second = asyncio.create_task(ask(answers, b"two", release))
    await asyncio.sleep(0)
    first.cancel()
    release.set()
    assert await second == b"one"


async def test_a_purge_of_something_else_changes_nothing() -> None:
    answers = cache(Store())
    assert await ask(answers, b"one") == b"one"
    await answers.purge(["track:2", "albums"])
    assert await ask(answers, b"two") == b"one"
    await answers.purge(["tracks"])
    assert await ask(answers, b"two") == b"two"


async def test_a_failure_is_told_to_everybody_and_kept_for_nobody() -> None:
    answers, calls = cache(Store()), 0

    async def fetch() -> Fetched:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        raise ConnectionError

    results = await asyncio.gather(
        *(answers.get("k", seconds=30, tags=TAGS, fetch=fetch) for _ in range(5)), return_exceptions=True
    )
    assert [type(result) for result in results] == [ConnectionError] * 5
    assert calls == 1
    assert await ask(answers, b"well") == b"well"


def test_what_is_written_can_be_read_again() -> None:
    one = Remembered([(b"etag", b'"\xff"'), (b"a", b"1")], b"body\n\x00\n", b'"\xff"', 1.5, 2.5)
    assert Remembered.from_bytes(one.to_bytes()) == one
