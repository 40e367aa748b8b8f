"""Units of the same listeners and tracks at the same moment: who waits for whom, and what is there afterwards.

What a unit locks for long, it must not share with others: these run on a database that lets units run at
once, and elsewhere at least show that one after the other is right, too.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from uuid import UUID

import pytest
from sqlalchemy import func, select

from antiphon_common.clock import FixedClock
from antiphon_common.db import Database
from antiphon_common.errors import Unauthenticated
from antiphon_common.ids import new_id
from antiphon_common.principal import Principal
from antiphon_common.testing.races import raced
from antiphon_contracts.auth import AccountDeleted
from antiphon_contracts.stream import AudioServed
from antiphon_library import usecases
from antiphon_library.domain import Item, Report
from antiphon_library.ports import Unit
from antiphon_library.tables import CounterRow, CreditRow, KeepRow, PlayRow

OpenUnit = Callable[[], AbstractAsyncContextManager[Unit]]
Work = Callable[[Unit], Awaitable[object]]
NOW = FixedClock().now()
AT_ONCE = 1.0  # seconds: less than the database takes to find a deadlock, or to give up a lock
ONE, OTHER = (
    Principal(
        user_id=new_id(), roles=frozenset(), session=new_id(), verified=True, issued_at=NOW,
        authenticated_at=NOW,
    )
    for _ in range(2)
)  # fmt: skip
SONG, SECOND = new_id(), new_id()


@pytest.fixture(autouse=True)
async def tracks(open_unit: OpenUnit) -> None:
    """Two tracks that everybody may see."""
    async with open_unit() as unit:
        for track_id in (SONG, SECOND):
            item = Item("track", track_id, new_id(), reachable=True, card={}, revision=1, duration_ms=60_000)
            await unit.items.save(item)


@pytest.fixture
def side_by_side(database: Database) -> None:
    """Only where units run at once is there anything to see."""
    if database.is_sqlite:
        pytest.skip("SQLite has one writer")


def like(user: Principal, track_id: UUID) -> Work:
    return lambda unit: usecases.keep_item(unit, user, "track", item_id=track_id, now=NOW)


def play(user: Principal, track_id: UUID, play_id: UUID | None = None) -> Work:
    report = Report(play_id or new_id(), track_id, 30_000, NOW)
    return lambda unit: usecases.report_play(unit, user, report, now=NOW)


def served(user: Principal, track_id: UUID) -> Work:
    event = AudioServed(
        subject=new_id(), revision=1, user_id=user.user_id, track_id=track_id, served_ms=30_000,
        started_at=NOW, served_at=NOW,
    )  # fmt: skip
    return lambda unit: usecases.apply_credit(unit, event)


def to_the_end(work: Work) -> Work:
    """All that a unit does before it commits."""

    async def whole(unit: Unit) -> None:
        await work(unit)
        await usecases.finish(unit)

    return whole


async def do(open_unit: OpenUnit, *works: Work) -> None:
    async with open_unit() as unit:
        for work in works:
            await work(unit)


async def counts(database: Database) -> tuple[int, int, int, int]:
    """Likes and their counters, counted plays and their counters."""
    backed = PlayRow.credit_id.is_not(None)
    likes, plays = (
        select(func.coalesce(func.sum(CounterRow.value), 0)).where(CounterRow.name == name)
        for name in ("likes", "plays")
    )
    async with database.read() as connection:
        found = [
            (await connection.execute(query)).scalar_one()
            for query in (select(func.count()).select_from(KeepRow), likes,
                          select(func.count()).select_from(PlayRow).where(backed), plays)
        ]  # fmt: skip
    return found[0], found[1], found[2], found[3]


@pytest.mark.usefixtures("side_by_side")
async def test_what_one_listener_writes_does_not_wait_for_what_else_he_writes(
    open_unit: OpenUnit, database: Database
) -> None:
    async with AsyncExitStack() as stack:
        for work in (like(ONE, SONG), play(ONE, SONG), play(ONE, SECOND), like(ONE, SECOND)):
            unit = await stack.enter_async_context(open_unit())
            async with asyncio.timeout(AT_ONCE):
                await work(unit)
    assert await counts(database) == (2, 2, 0, 0)


@pytest.mark.usefixtures("side_by_side")
async def test_a_request_waits_for_no_batch_that_is_still_at_work(open_unit: OpenUnit) -> None:
    await do(open_unit, play(ONE, SONG))
    async with open_unit() as batch:
        await served(ONE, SONG)(batch)
        async with asyncio.timeout(AT_ONCE):
            await do(open_unit, like(ONE, SONG))
            await do(open_unit, play(ONE, SONG))


@pytest.mark.usefixtures("side_by_side")
async def test_a_batch_of_many_listeners_and_what_they_do_never_wait_in_a_circle(
    open_unit: OpenUnit, database: Database
) -> None:
    await do(open_unit, play(ONE, SONG), served(OTHER, SONG))

    async def batch() -> None:
        async with open_unit() as unit:
            await served(ONE, SONG)(unit)
            holding.set()
            await asyncio.sleep(0.1)
            await served(OTHER, SONG)(unit)

    holding = asyncio.Event()
    async with asyncio.timeout(AT_ONCE):
        handling = asyncio.create_task(batch())
        await holding.wait()
        await do(open_unit, play(OTHER, SONG))
        await handling
    assert await counts(database) == (0, 0, 2, 2)


@pytest.mark.usefixtures("side_by_side")
async def test_two_batches_with_the_same_listeners_never_wait_in_a_circle(
    open_unit: OpenUnit, database: Database
) -> None:
    pairs = [(user, track_id) for user in (ONE, OTHER) for track_id in (SONG, SECOND)]
    for _ in range(5):
        await do(open_unit, *(play(*pair) for pair in pairs * 2))
        async with asyncio.timeout(AT_ONCE):
            await asyncio.gather(
                do(open_unit, *(served(*pair) for pair in pairs)),
                do(open_unit, *(served(*pair) for pair in reversed(pairs))),
            )
    assert await counts(database) == (0, 0, 40, 40)


@pytest.mark.parametrize("first", ["play", "credit"])
async def test_a_play_and_its_credit_at_the_same_moment_count_once(
    open_unit: OpenUnit, database: Database, first: str
) -> None:
    works = [to_the_end(play(ONE, SONG)), to_the_end(served(ONE, SONG))]
    await raced(open_unit, *(works if first == "play" else works[::-1]))
    assert await counts(database) == (0, 0, 1, 1)


async def test_two_credits_for_one_play_at_the_same_moment_count_it_once(
    open_unit: OpenUnit, database: Database
) -> None:
    await do(open_unit, play(ONE, SONG))
    await raced(open_unit, to_the_end(served(ONE, SONG)), to_the_end(served(ONE, SONG)))
    assert await counts(database) == (0, 0, 1, 1)
    async with database.read() as connection:
        spent = (await connection.execute(select(CreditRow.spent))).scalars().all()
    assert sorted(spent) == [False, True]


async def test_one_report_twice_at_the_same_moment_is_one_play_and_no_conflict(
    open_unit: OpenUnit, database: Database
) -> None:
    await do(open_unit, served(ONE, SONG), served(ONE, SONG))
    again = new_id()
    await raced(open_unit, to_the_end(play(ONE, SONG, again)), to_the_end(play(ONE, SONG, again)))
    assert await counts(database) == (0, 0, 1, 1)


async def test_one_like_twice_at_the_same_moment_is_counted_once(
    open_unit: OpenUnit, database: Database
) -> None:
    await raced(open_unit, to_the_end(like(ONE, SONG)), to_the_end(like(ONE, SONG)))
    assert await counts(database) == (1, 1, 0, 0)


@pytest.mark.parametrize("work", [like, play, served])
@pytest.mark.parametrize("erased_first", [True, False])
async def test_nothing_is_left_of_what_a_listener_does_while_the_account_is_deleted(
    open_unit: OpenUnit, database: Database, work: Callable[[Principal, UUID], Work], *, erased_first: bool
) -> None:
    async def erase(unit: Unit) -> None:
        await usecases.erase_account(unit, AccountDeleted(subject=ONE.user_id, revision=2))

    works = [to_the_end(erase), to_the_end(work(ONE, SONG))]
    with suppress(Unauthenticated):
        await raced(open_unit, *(works if erased_first else works[::-1]))
    assert await counts(database) == (0, 0, 0, 0)
    async with database.read() as connection:
        for column in (KeepRow.user_id, PlayRow.user_id, CreditRow.user_id):
            assert not any((await connection.execute(select(column))).scalars())
