"""Postgres: the contract of every database, outbox and inbox on it, and each sentence of its failure policy."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text, update

from antiphon_common.db import Database, hold
from antiphon_common.errors import Unavailable
from antiphon_common.testing.proxy import FaultProxy
from antiphon_common.testing.running import eventually
from antiphon_common.testing.servers import PrivateServer
from antiphon_common.testing.suites.database import METADATA, THING, DatabaseSuite, count
from antiphon_common.testing.suites.outbox import OutboxSuite

Proxying = Callable[[str, int], Awaitable[FaultProxy]]


@pytest.fixture
def database_url(postgres_url: str) -> str:
    return postgres_url


@pytest.fixture
def bus_url(tmp_path: Path) -> str:
    return f"inproc://{tmp_path}/bus.db"


class TestPostgres(DatabaseSuite):
    pass


class TestOutboxOnPostgresAndJournal(OutboxSuite):
    pass


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    database = Database(postgres_url)
    async with database.write() as session:
        await (await session.connection()).run_sync(METADATA.create_all)
    yield database
    await database.stop()


async def write(database: Database) -> None:
    async with database.write() as session:
        await session.execute(insert(THING).values(count=1))


async def seconds_until_unavailable(call: Callable[[], Awaitable[Any]]) -> float:
    started = time.monotonic()
    with pytest.raises(Unavailable):
        await call()
    return time.monotonic() - started


async def test_a_connection_of_a_full_pool_is_waited_for_two_seconds(postgres_url: str) -> None:
    database = Database(f"{postgres_url}?pool_size=2")
    async with database.read(), database.read():
        assert 1.8 < await seconds_until_unavailable(database.ping) < 3
    await database.ping()
    await database.stop()


async def test_a_lock_is_waited_for_three_seconds(database: Database) -> None:
    await write(database)

    async def change() -> None:
        async with database.write() as session:
            await session.execute(update(THING).values(count=2))

    async with database.write() as session:
        await session.execute(update(THING).values(count=3))
        assert 2.8 < await seconds_until_unavailable(change) < 4
    await change()


async def test_a_statement_has_four_seconds(database: Database) -> None:
    async def sleep() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT pg_sleep(30)"))

    assert 3.8 < await seconds_until_unavailable(sleep) < 5
    await database.ping()


async def test_a_deadlock_ends_as_unavailable_for_one_and_well_for_the_other(database: Database) -> None:
    async with database.write() as session:
        await session.execute(insert(THING), [{"id": 1, "count": 0}, {"id": 2, "count": 0}])
    both = asyncio.Barrier(2)

    async def crosswise(first: int, second: int) -> None:
        async with database.write() as session:
            await session.execute(update(THING).where(THING.c.id == first).values(count=first))
            await both.wait()
            await session.execute(update(THING).where(THING.c.id == second).values(count=first))

    ends = await asyncio.gather(crosswise(1, 2), crosswise(2, 1), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["NoneType", "Unavailable"]


async def test_no_free_connection_slots_are_unavailable_and_later_there_are(database: Database) -> None:
    name = database.url.rpartition("/")[2]
    async with database.write() as session:
        await session.execute(text(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0'))
        await session.execute(text("DROP ROLE IF EXISTS crowded_one"))
        await session.execute(text("CREATE ROLE crowded_one LOGIN PASSWORD 'x'"))
    from sqlalchemy import make_url

    url = make_url(database.url).set(username="crowded_one", password="x")
    other = Database(url.render_as_string(hide_password=False))
    with pytest.raises(Unavailable) as caught:
        await other.ping()
    assert caught.value.code == "database_unavailable"
    async with database.write() as session:
        await session.execute(text(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1'))
    await other.ping()
    await other.stop()
    async with database.write() as session:
        await session.execute(text("DROP ROLE crowded_one"))


async def test_a_mistake_of_ours_is_not_taken_for_an_outage(database: Database) -> None:
    for values in ({"count": "seven"}, {"count": 2**40}):
        with pytest.raises(Exception) as caught:
            async with database.write() as session:
                await session.execute(insert(THING).values(**values))
        assert not isinstance(caught.value, Unavailable)


async def test_a_statement_prepared_before_its_table_changed_is_prepared_anew(database: Database) -> None:
    await write(database)
    assert await count(database) == 1
    other = Database(database.url)
    async with other.write() as session:
        await session.execute(text('ALTER TABLE thing ALTER COLUMN "count" TYPE bigint'))
    await other.stop()
    with pytest.raises(Unavailable):
        await count(database)
    assert await count(database) == 1


async def test_what_has_no_row_can_be_held(database: Database) -> None:
    entered = asyncio.Event()
    order: list[str] = []

    async def first() -> None:
        async with database.write() as session:
            await hold(session, "name", 1)
            entered.set()
            await asyncio.sleep(0.1)
            order.append("first")

    async def second(name: int) -> None:
        await entered.wait()
        async with database.write() as session:
            await hold(session, "name", name)
            order.append(f"second {name}")

    await asyncio.gather(first(), second(1), second(2))
    assert order == ["second 2", "first", "second 1"]


async def test_ids_come_back_as_plain_ones(database: Database) -> None:
    async with database.read() as connection:
        value = (
            await connection.execute(text("SELECT '0190a0a0-0000-7000-8000-000000000001'::uuid"))
        ).scalar_one()
    assert type(value) is UUID
    assert str(value) == "0190a0a0-0000-7000-8000-000000000001"


async def test_a_snapshot_sees_one_moment_and_streams(database: Database) -> None:
    await write(database)
    async with database.read(snapshot=True) as connection:
        before = (await connection.execute(select(THING.c.count))).all()
        await write(database)
        streamed = [row async for row in await connection.stream(select(THING.c.count))]
    assert len(before) == len(streamed) == 1
    assert await count(database) == 2


@pytest.fixture(scope="module")
def breakable(private_server: Callable[[str], PrivateServer]) -> PrivateServer:
    return private_server("postgres")


@pytest.fixture
async def fragile(breakable: PrivateServer) -> AsyncIterator[Database]:
    database = Database(breakable.url)
    async with database.write() as session:
        await (await session.connection()).run_sync(METADATA.drop_all)
        await (await session.connection()).run_sync(METADATA.create_all)
    yield database
    await asyncio.wait_for(database.stop(), 5)


async def filled(database: Database) -> None:
    """Eight connections in the pool."""
    await asyncio.gather(*(count(database) for _ in range(8)))


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_after_a_restart_the_next_call_works(
    fragile: Database, breakable: PrivateServer, end: str
) -> None:
    await filled(fragile)
    await write(fragile)
    await asyncio.to_thread(getattr(breakable, end))
    try:
        assert await seconds_until_unavailable(lambda: count(fragile)) < 1
        assert await seconds_until_unavailable(lambda: write(fragile)) < 1
    finally:
        await asyncio.to_thread(breakable.start)
    # What was acknowledged is there, and none of the calls meets a connection from before.
    assert await asyncio.gather(*(count(fragile) for _ in range(16))) == [1] * 16
    await write(fragile)
    assert await count(fragile) == 2


async def test_a_frozen_server_ends_every_call_within_five_seconds_and_goes_on_after_it(
    fragile: Database, breakable: PrivateServer
) -> None:
    await filled(fragile)
    await asyncio.to_thread(breakable.freeze)
    try:
        calls = [seconds_until_unavailable(lambda: count(fragile)) for _ in range(6)]
        calls += [seconds_until_unavailable(lambda: write(fragile)) for _ in range(6)]
        ended = await asyncio.gather(*calls)
        assert max(ended) < 5.5, ended
        assert await seconds_until_unavailable(fragile.ping) < 5.5
    finally:
        await asyncio.to_thread(breakable.thaw)

    async def works() -> bool:
        try:
            await write(fragile)
        except Unavailable:
            return False
        return True

    await eventually(works, seconds=10)
    tasks = [task for task in asyncio.all_tasks() if "cancel" in repr(task.get_coro()).lower()]
    assert tasks == []


async def test_a_server_out_of_reach_ends_every_call_within_five_seconds(
    postgres_url: str, fault_proxy: Proxying
) -> None:
    from sqlalchemy import make_url

    at = make_url(postgres_url)
    proxy = await fault_proxy(at.host or "", at.port or 5432)
    database = Database(at.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False))
    await database.ping()
    proxy.blackhole()
    assert await seconds_until_unavailable(database.ping) < 5.5
    assert await seconds_until_unavailable(database.ping) < 5.5
    proxy.heal()

    async def works() -> bool:
        try:
            await database.ping()
        except Unavailable:
            return False
        return True

    await eventually(works, seconds=10)
    proxy.reset()
    await eventually(lambda: _fails(database), seconds=5)
    proxy.heal()
    await eventually(works, seconds=5)
    await asyncio.wait_for(database.stop(), 5)


async def _fails(database: Database) -> bool:
    try:
        await database.ping()
    except Unavailable:
        return True
    return False
