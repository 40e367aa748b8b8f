"""Deadlines: they end what is late, stand still when told to, and never swallow another's cancellation."""

import asyncio

import pytest

from antiphon_gateway.deadlines import Deadlines


async def test_what_is_late_is_ended() -> None:
    deadlines = Deadlines()
    await deadlines.start()
    # The loop's own clock, which deadlines go by: another may be some microseconds behind.
    clock = asyncio.get_running_loop().time
    began = clock()
    with pytest.raises(TimeoutError):
        async with deadlines.within(0.2):
            await asyncio.sleep(10)
    assert began + 0.2 <= clock() < began + 1
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0
    await asyncio.sleep(0)
    await deadlines.stop()


async def test_what_is_in_time_is_left_alone() -> None:
    deadlines = Deadlines()
    await deadlines.start()
    async with deadlines.within(0.2):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.4)
    assert deadlines._running == set()
    await deadlines.stop()


async def test_a_clock_that_stands_still_ends_nothing_and_starts_anew() -> None:
    deadlines = Deadlines()
    await deadlines.start()
    async with deadlines.within(0.1) as deadline:
        deadline.pause()
        await asyncio.sleep(0.4)
        deadline.restart()
        await asyncio.sleep(0.02)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(5)
        timed_out = asyncio.current_task()
        assert timed_out is not None
        assert timed_out.uncancel() == 0
        deadline._expired = False
    await deadlines.stop()


async def test_another_error_goes_through() -> None:
    deadlines = Deadlines()
    with pytest.raises(KeyError):
        async with deadlines.within(1):
            raise KeyError
    assert deadlines._running == set()


async def test_a_cancellation_from_outside_stays_one() -> None:
    deadlines = Deadlines()
    await deadlines.start()

    async def work() -> None:
        async with deadlines.within(0.1):
            try:
                await asyncio.sleep(10)
            finally:
                # The deadline passes while the cancellation is being handled.
                await asyncio.sleep(0)

    task = asyncio.create_task(work())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await deadlines.stop()


async def test_the_later_of_two_deadlines_does_not_take_the_place_of_the_first() -> None:
    deadlines = Deadlines()
    await deadlines.start()
    inner_timed_out = False
    async with deadlines.within(5):
        try:
            async with deadlines.within(0.1):
                await asyncio.sleep(10)
        except TimeoutError:
            inner_timed_out = True
    assert inner_timed_out
    await deadlines.stop()
