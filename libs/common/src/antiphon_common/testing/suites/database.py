"""What every database does. The subclass gives `database_url`, the address of an empty database."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select, update
from sqlalchemy.exc import IntegrityError, StatementError

from antiphon_common.db import Database, Json, Serial, UtcDateTime, is_conflict
from antiphon_common.lifecycle import run_together

METADATA = MetaData()
THING = Table(
    "thing",
    METADATA,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("name", String(40), unique=True),
    Column("count", Integer, nullable=False, default=0),
    Column("at", UtcDateTime),
    Column("facts", Json),
)


async def count(database: Database) -> int:
    """The sum of all counts."""
    async with database.read() as connection:
        return sum((await connection.execute(select(THING.c.count))).scalars())


class DatabaseSuite:
    """Subclass it and define the fixture `database_url`."""

    @pytest.fixture
    async def database(self, database_url: str) -> AsyncIterator[Database]:
        database = Database(database_url)
        await database.start()
        async with database.write() as session:
            await (await session.connection()).run_sync(METADATA.create_all)
        yield database
        async with database.write() as session:
            await (await session.connection()).run_sync(METADATA.drop_all)
        await database.stop()

    async def test_what_was_committed_can_be_read(self, database: Database) -> None:
        async with database.write() as session:
            await session.execute(insert(THING).values(name="a", count=1))
        assert await count(database) == 1

    async def test_a_block_that_raises_changes_nothing(self, database: Database) -> None:
        with pytest.raises(RuntimeError):
            async with database.write() as session:
                await session.execute(insert(THING).values(name="a", count=1))
                raise RuntimeError
        assert await count(database) == 0

    async def test_a_reader_sees_only_what_was_committed_and_waits_for_nobody(
        self, database: Database
    ) -> None:
        async with database.write() as session:
            await session.execute(insert(THING).values(name="a", count=1))
            assert await asyncio.wait_for(count(database), 1) == 0
        assert await count(database) == 1

    async def test_writers_at_the_same_time_lose_no_update(self, database: Database) -> None:
        async with database.write() as session:
            await session.execute(insert(THING).values(name="a", count=0))

        async def increment(database: Database) -> None:
            async with database.write() as session:
                query = select(THING.c.count).with_for_update()
                before = (await session.execute(query)).scalar_one()
                await session.execute(update(THING).values(count=before + 1))

        other = Database(database.url)  # as another process would
        async with run_together(other):
            await asyncio.gather(*(increment(each) for each in [database, other] * 12))
        assert await count(database) == 24

    async def test_cancelled_work_leaves_no_lock_and_no_half_change(self, database: Database) -> None:
        async def change(number: int) -> None:
            async with database.write() as session:
                await session.execute(insert(THING).values(name=f"{number}-a", count=1))
                await session.execute(insert(THING).values(name=f"{number}-b", count=1))

        for number in range(60):
            task = asyncio.create_task(change(number))
            reader = asyncio.create_task(count(database))
            await asyncio.sleep(0.0002 * (number % 20))
            task.cancel()
            reader.cancel()
            await asyncio.wait([task, reader])
        await asyncio.wait_for(change(1000), 2)
        total = await asyncio.wait_for(count(database), 2)
        assert total >= 2
        assert total % 2 == 0

    async def test_a_moment_comes_back_in_utc(self, database: Database) -> None:
        moment = datetime(2026, 3, 29, 2, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=45)))
        async with database.write() as session:
            await session.execute(insert(THING).values(at=moment))
        async with database.read() as connection:
            found = (await connection.execute(select(THING.c.at))).scalar_one()
        assert found == moment
        assert found.tzinfo is UTC

    async def test_a_moment_without_a_time_zone_is_refused(self, database: Database) -> None:
        naive = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
        with pytest.raises(StatementError, match="time zone"):
            async with database.write() as session:
                await session.execute(insert(THING).values(at=naive))

    async def test_json_comes_back_as_it_was(self, database: Database) -> None:
        facts = {"a": [1, 2.5, None, True], "ключ": {"b": "\u2028\U0001f3b5"}}
        async with database.write() as session:
            await session.execute(insert(THING).values(facts=facts))
        async with database.read() as connection:
            assert (await connection.execute(select(THING.c.facts))).scalar_one() == facts

    async def test_a_conflict_can_be_told_by_its_column(self, database: Database) -> None:
        async with database.write() as session:
            await session.execute(insert(THING).values(name="a"))
        with pytest.raises(IntegrityError) as caught:
            async with database.write() as session:
                await session.execute(insert(THING).values(name="a"))
        assert is_conflict(caught.value, "name")
        assert not is_conflict(caught.value, "count")

    async def test_an_error_does_not_repeat_what_people_wrote(self, database: Database) -> None:
        with pytest.raises(IntegrityError) as caught:
            async with database.write() as session:
                for _ in range(2):
                    values = {"name": "a", "facts": {"password": "hunter2"}}
                    await session.execute(insert(THING).values(values))
        assert "hunter2" not in str(caught.value)

    async def test_a_database_that_is_there_answers_and_can_be_opened_again(self, database: Database) -> None:
        await database.ping()
        await database.stop()
        await database.ping()
