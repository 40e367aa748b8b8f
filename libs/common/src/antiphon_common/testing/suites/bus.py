"""What every bus does. The subclass gives `bus_url`, the address of a bus with no queues yet."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from antiphon_common.bus import DELIVERY_LIMIT, Bus, DeadLetter, Envelope, Handler, NotNow, open_bus
from antiphon_common.errors import Conflict, Unavailable
from antiphon_common.testing.running import eventually
from antiphon_common.testing.suites.events import Changed, Removed, changed, envelope, envelopes, values

CHANGES = [Changed.type]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Bus]:
    """A bus that is started, and stopped in the end."""
    bus = open_bus(url)
    await bus.start()
    try:
        yield bus
    finally:
        await bus.stop()


class Inbox:
    """A handler that keeps what it gets, and raises what it is told to for messages of some values."""

    def __init__(self, **raising: Exception) -> None:
        self.bodies: list[bytes] = []
        self.batches: list[list[str]] = []
        self._raising = raising

    async def __call__(self, bodies: Sequence[bytes]) -> None:
        batch = values(bodies)
        self.batches.append(batch)
        for value in batch:
            if value in self._raising:
                raise self._raising[value]
        self.bodies += bodies

    @property
    def calls(self) -> int:
        return len(self.batches)

    async def holds(self, count: int) -> list[str]:
        async def seen() -> list[str]:
            return values(self.bodies)

        return await eventually(seen, lambda found: len(found) >= count)


async def letters(bus: Bus, consumer: str, count: int) -> list[DeadLetter]:
    """The dead letters of a consumer, once there are as many."""

    async def dead() -> list[DeadLetter]:
        return list(await bus.dead_letters(consumer))

    return await eventually(dead, lambda found: len(found) >= count)


class BusSuite:
    """Subclass it and define the fixture `bus_url`."""

    @pytest.fixture
    async def bus(self, bus_url: str) -> AsyncIterator[Bus]:
        async with opened(bus_url) as bus:
            yield bus

    async def test_a_message_reaches_every_queue_of_its_type_and_no_other(self, bus: Bus) -> None:
        one, two, other = Inbox(), Inbox(), Inbox()
        await bus.consume("one", CHANGES, one)
        await bus.consume("two", [Changed.type, Removed.type], two)
        await bus.consume("other", [Removed.type], other)
        await bus.publish([envelope("a")])
        assert await one.holds(1) == ["a"]
        assert await two.holds(1) == ["a"]
        await self._settled(bus, "other")
        assert other.calls == 0

    async def test_a_message_arrives_as_it_was_sent(self, bus: Bus) -> None:
        inbox, sent = Inbox(), envelope("Sigur Rós ‒ 初音 \U0001f3b5 " + "x" * 500_000)
        await bus.consume("one", CHANGES, inbox)
        await bus.publish([sent])
        await inbox.holds(1)
        assert Envelope.from_bytes(inbox.bodies[0]) == sent

    async def test_messages_of_one_publisher_arrive_in_order(self, bus: Bus) -> None:
        inbox = Inbox()
        await bus.consume("one", CHANGES, inbox)
        messages = envelopes(300)
        for start in range(0, 300, 60):
            await bus.publish(messages[start : start + 60])
        assert await inbox.holds(300) == [str(number) for number in range(300)]

    async def test_nothing_to_publish_is_no_error(self, bus: Bus) -> None:
        await bus.publish([])
        await bus.send("one", [])

    async def test_a_queue_that_was_bound_keeps_messages_until_somebody_consumes(self, bus_url: str) -> None:
        async with opened(bus_url) as bus:
            await bus.bind("one", CHANGES)
            await bus.bind("one", CHANGES)
            await bus.publish(envelopes(3))
            assert await bus.depth("one") == 3
        inbox = Inbox()
        async with opened(bus_url) as bus:
            await bus.consume("one", CHANGES, inbox)
            assert await inbox.holds(3) == ["0", "1", "2"]
            await self._settled(bus, "one")

    async def test_a_new_binding_replaces_the_old_one(self, bus: Bus) -> None:
        await bus.bind("one", CHANGES)
        await bus.bind("one", [Removed.type])
        await bus.bind("two", CHANGES)
        await bus.publish([envelope()])
        assert (await bus.depth("one"), await bus.depth("two")) == (0, 1)

    async def test_a_message_sent_to_one_consumer_reaches_nobody_else(self, bus: Bus) -> None:
        one, two = Inbox(), Inbox()
        await bus.consume("one", CHANGES, one)
        await bus.consume("two", CHANGES, two)
        await bus.send("one", [envelope("refill")])
        assert await one.holds(1) == ["refill"]
        await self._settled(bus, "two")
        assert two.calls == 0

    async def test_what_was_handled_never_comes_again(self, bus_url: str) -> None:
        first, second = Inbox(), Inbox()
        async with opened(bus_url) as bus:
            await bus.consume("one", CHANGES, first)
            await bus.publish(envelopes(5))
            await first.holds(5)
            await self._settled(bus, "one")
        async with opened(bus_url) as bus:
            await bus.consume("one", CHANGES, second)
            await bus.publish([envelope("new")])
            assert await second.holds(1) == ["new"]

    async def test_what_was_being_handled_at_the_stop_comes_again(self, bus_url: str) -> None:
        begun, inbox = asyncio.Event(), Inbox()

        async def hangs(_: Sequence[bytes]) -> None:
            begun.set()
            await asyncio.Event().wait()

        async with opened(bus_url) as bus:
            await bus.consume("one", CHANGES, hangs)
            await bus.publish(envelopes(3))
            await begun.wait()
        async with opened(bus_url) as bus:
            await bus.consume("one", CHANGES, inbox)
            assert sorted(await inbox.holds(3)) == ["0", "1", "2"]

    async def test_messages_of_a_consumer_that_left_wait_until_it_consumes_again(self, bus: Bus) -> None:
        one, two = Inbox(), Inbox()
        await bus.consume("one", CHANGES, one)
        await bus.consume("two", CHANGES, two)
        await bus.leave("one")
        await bus.leave("stranger")
        await bus.publish([envelope("a")])
        await two.holds(1)
        assert (one.calls, await bus.depth("one")) == (0, 1)
        await bus.consume("one", CHANGES, one)
        assert await one.holds(1) == ["a"]

    async def test_unavailable_is_tried_again_and_holds_nobody_up(self, bus: Bus) -> None:
        inbox, tries = Inbox(), 0

        async def at_first_unavailable(bodies: Sequence[bytes]) -> None:
            nonlocal tries
            if "later" in values(bodies):
                tries += len(bodies) == 1
                if tries < 2:
                    raise Unavailable("database_unavailable")
            await inbox(bodies)

        await bus.consume("one", CHANGES, at_first_unavailable)
        await bus.publish([envelope("later"), envelope("a"), envelope("b")])
        assert await inbox.holds(2) == ["a", "b"]
        assert await bus.depth("one") == 1
        assert await inbox.holds(3) == ["a", "b", "later"]
        assert (tries, await bus.dead_letters("one")) == (2, [])
        await self._settled(bus, "one")

    async def test_a_consumer_that_cannot_at_all_keeps_its_messages_in_order_and_counts_no_try(
        self, bus: Bus
    ) -> None:
        inbox, tries = Inbox(), 0

        async def not_now(bodies: Sequence[bytes]) -> None:
            nonlocal tries
            tries += 1
            if tries < 3:
                raise NotNow("database_unavailable")
            await inbox(bodies)

        await bus.bind("one", CHANGES)
        await bus.publish(envelopes(40))
        await bus.consume("one", CHANGES, not_now)
        assert await inbox.holds(40) == [str(number) for number in range(40)]
        await self._settled(bus, "one")
        assert await bus.dead_count("one") == 0

    async def test_a_message_that_fails_among_many_is_found_and_the_others_are_handled_once(
        self, bus: Bus
    ) -> None:
        inbox = Inbox(**{"17": RuntimeError()})
        await bus.bind("one", CHANGES)
        await bus.publish(envelopes(40))
        await bus.consume("one", CHANGES, inbox)
        good = [str(number) for number in range(40) if number != 17]
        assert await inbox.holds(39) == good
        [letter] = await letters(bus, "one", 1)
        assert values([letter.body]) == ["17"]
        await self._settled(bus, "one")
        # Halves of halves, not one at a time.
        assert max(map(len, inbox.batches)) > 10
        assert inbox.calls < 25
        assert inbox.batches.count(["17"]) == 1

    @pytest.mark.parametrize(
        ("error", "code"),
        [(Conflict("taken", "Somebody has it."), "taken"), (RuntimeError("secret"), "handler_failed")],
    )
    async def test_a_message_that_is_refused_is_a_dead_letter_at_once(
        self, bus: Bus, error: Exception, code: str
    ) -> None:
        inbox = Inbox(bad=error)
        await bus.consume("one", CHANGES, inbox)
        await bus.publish([envelope("a"), envelope("bad"), envelope("b")])
        assert await inbox.holds(2) == ["a", "b"]
        [letter] = await letters(bus, "one", 1)
        assert (letter.consumer, letter.type, letter.code) == ("one", Changed.type, code)
        assert values([letter.body]) == ["bad"]
        assert "secret" not in letter.detail
        assert inbox.batches.count(["bad"]) == 1
        await self._settled(bus, "one")

    async def test_a_failing_consumer_never_blocks_the_others(self, bus: Bus) -> None:
        good, begun = Inbox(), asyncio.Event()

        async def hangs(_: Sequence[bytes]) -> None:
            begun.set()
            await asyncio.Event().wait()

        async def fails(_: Sequence[bytes]) -> None:
            raise RuntimeError

        await bus.consume("hanging", CHANGES, hangs)
        await bus.consume("failing", CHANGES, fails)
        await bus.consume("good", CHANGES, good)
        await bus.publish(envelopes(100))
        await begun.wait()
        assert len(await good.holds(100)) == 100
        assert len(await letters(bus, "failing", 100)) == 100

    async def test_a_message_that_ends_every_process_is_dead_at_the_limit_and_alone(
        self, bus_url: str
    ) -> None:
        async def once(handler: Handler, done: asyncio.Event) -> None:
            async with opened(bus_url) as bus:
                await bus.consume("one", CHANGES, handler)
                await asyncio.wait_for(done.wait(), 5)

        async with opened(bus_url) as bus:
            await bus.bind("one", CHANGES)
            await bus.publish([envelope("a"), envelope("poison"), envelope("b"), envelope("c")])
        inbox = Inbox()
        for _ in range(DELIVERY_LIMIT):
            stopped = asyncio.Event()

            async def dies(bodies: Sequence[bytes], stopped: asyncio.Event = stopped) -> None:
                if "poison" in values(bodies):
                    stopped.set()
                    await asyncio.Event().wait()
                await inbox(bodies)

            await once(dies, stopped)
        async with opened(bus_url) as bus:
            await bus.consume("one", CHANGES, inbox)
            [letter] = await letters(bus, "one", 1)
            assert (values([letter.body]), letter.code) == (["poison"], "delivery_limit")
            await self._settled(bus, "one")
        assert sorted(set(values(inbox.bodies))) == ["a", "b", "c"]

    async def test_dead_letters_are_redriven_when_the_cause_is_gone(self, bus_url: str) -> None:
        async with opened(bus_url) as bus:
            await bus.consume("one", CHANGES, Inbox(a=RuntimeError(), b=RuntimeError()))
            await bus.publish([envelope("a"), envelope("b")])
            dead = await letters(bus, "one", 2)
            assert values([letter.body for letter in dead]) == ["a", "b"]
        mended = Inbox()
        async with opened(bus_url) as bus:
            await bus.consume("one", CHANGES, mended)
            assert await bus.redrive("one", [dead[0].id]) == 1
            assert await mended.holds(1) == ["a"]
            assert [letter.id for letter in await bus.dead_letters("one")] == [dead[1].id]

    async def test_dead_letters_are_discarded_only_by_name(self, bus: Bus) -> None:
        await bus.consume("one", CHANGES, Inbox(a=RuntimeError(), b=RuntimeError()))
        await bus.publish([envelope("a"), envelope("b")])
        dead = await letters(bus, "one", 2)
        assert await bus.discard("one", []) == 0
        assert await bus.discard("one", [dead[0].id, "no such id", "-1"]) == 1
        assert await bus.discard("two", [dead[1].id]) == 0
        assert values([letter.body for letter in await bus.dead_letters("one")]) == ["b"]

    async def test_dead_letters_are_counted_listed_in_part_redriven_and_discarded_all_at_once(
        self, bus: Bus
    ) -> None:
        broken = True
        inbox = Inbox()

        async def mended(bodies: Sequence[bytes]) -> None:
            if broken:
                raise RuntimeError
            await inbox(bodies)

        await bus.consume("one", CHANGES, mended)
        await bus.publish(envelopes(450))
        await eventually(lambda: bus.dead_count("one"), lambda count: count == 450)
        listed = await bus.dead_letters("one", limit=300)
        assert values([letter.body for letter in listed]) == [str(number) for number in range(300)]
        broken = False
        # From the middle: those before and after stay where they are.
        assert await bus.redrive("one", [letter.id for letter in listed[100:200]]) == 100
        assert await inbox.holds(100) == [str(number) for number in range(100, 200)]
        assert await bus.dead_count("one") == 350
        rest = [str(number) for number in range(450) if not 100 <= number < 200]
        assert values([letter.body for letter in await bus.dead_letters("one")]) == rest
        assert await bus.redrive("one", None) == 350
        assert (await inbox.holds(450))[100:] == rest
        broken = True
        await bus.publish(envelopes(3))
        await eventually(lambda: bus.dead_count("one"), lambda count: count == 3)
        assert (await bus.discard("one", None), await bus.dead_count("one")) == (3, 0)

    async def test_a_running_bus_answers_and_a_stopped_one_is_unavailable(self, bus_url: str) -> None:
        bus = open_bus(bus_url)
        await bus.start()
        await bus.ping()
        await bus.stop()
        await bus.stop()
        with pytest.raises(Unavailable):
            await bus.publish([envelope()])
        with pytest.raises(Unavailable):
            await bus.ping()

    async def test_a_bus_can_be_started_again(self, bus_url: str) -> None:
        bus, inbox = open_bus(bus_url), Inbox()
        for value in ("a", "b"):
            await bus.start()
            await bus.consume("one", CHANGES, inbox)
            await bus.publish([envelope(value)])
            await eventually(lambda: bus.depth("one"), lambda depth: depth == 0)
            await bus.stop()
        assert values(inbox.bodies) == ["a", "b"]

    async def test_publishers_at_the_same_time_lose_nothing(self, bus: Bus) -> None:
        inbox = Inbox()
        await bus.consume("one", CHANGES, inbox)
        sent = [changed(str(number)) for number in range(100)]
        await asyncio.gather(*(bus.publish([envelope(event.value)]) for event in sent))
        assert sorted(await inbox.holds(100)) == sorted(event.value for event in sent)

    async def _settled(self, bus: Bus, consumer: str) -> None:
        await eventually(lambda: bus.depth(consumer), lambda depth: depth == 0)
