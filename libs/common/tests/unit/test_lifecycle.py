"""Components start in order and stop in reverse, whatever fails; loops outlive their failures."""

import asyncio
import itertools
import time

import pytest
import structlog

from antiphon_common.errors import Conflict, Forbidden, Unavailable
from antiphon_common.lifecycle import Loop, Starter, run_together
from antiphon_common.schemes import WrongUrl
from antiphon_common.testing.running import eventually
from antiphon_common.testing.suites.outbox import LOG


class Part:
    """A component that says what is done with it."""

    def __init__(self, name: str, said: list[str], *, fails_to: str = "") -> None:
        self._name = name
        self._said = said
        self._fails_to = fails_to

    async def start(self) -> None:
        self._said.append(f"start {self._name}")
        if self._fails_to == "start":
            raise RuntimeError(self._name)

    async def stop(self) -> None:
        self._said.append(f"stop {self._name}")
        if self._fails_to == "stop":
            raise RuntimeError(self._name)


async def test_parts_start_in_order_and_stop_in_reverse() -> None:
    said: list[str] = []
    async with run_together(Part("a", said), Part("b", said), Part("c", said)):
        said.append("run")
    assert said == ["start a", "start b", "start c", "run", "stop c", "stop b", "stop a"]


async def test_a_part_that_does_not_start_stops_those_before_it_and_itself() -> None:
    said: list[str] = []
    with pytest.raises(RuntimeError, match="b"):
        async with run_together(Part("a", said), Part("b", said, fails_to="start"), Part("c", said)):
            said.append("run")
    assert said == ["start a", "start b", "stop b", "stop a"]


async def test_a_part_that_does_not_stop_keeps_nobody_else_running() -> None:
    said: list[str] = []
    with pytest.raises(RuntimeError, match="b"):
        async with run_together(Part("a", said), Part("b", said, fails_to="stop"), Part("c", said)):
            said.append("run")
    assert said[-3:] == ["stop c", "stop b", "stop a"]


async def test_a_failure_inside_stops_everything_and_is_told() -> None:
    said: list[str] = []
    with pytest.raises(ZeroDivisionError):
        async with run_together(Part("a", said)):
            raise ZeroDivisionError
    assert said == ["start a", "stop a"]


class Steps:
    """A step that counts its calls and fails when told."""

    def __init__(self, *, failing: bool = False) -> None:
        self.calls = 0
        self.failing = failing

    async def __call__(self) -> None:
        self.calls += 1
        if self.failing:
            raise RuntimeError

    async def count(self) -> int:
        return self.calls


async def test_a_loop_steps_at_once_then_by_interval_and_when_woken() -> None:
    step = Steps()
    loop = Loop("test", step, interval=60, log=LOG)
    async with run_together(loop):
        await eventually(step.count, lambda calls: calls == 1)
        for calls in (2, 3):
            loop.wake()
            await eventually(step.count, lambda seen, calls=calls: seen == calls)  # type: ignore[misc]
    assert step.calls == 3


async def test_a_wake_during_a_step_is_not_lost() -> None:
    begun, gate, calls = asyncio.Event(), asyncio.Event(), 0

    async def step() -> None:
        nonlocal calls
        calls += 1
        begun.set()
        await gate.wait()

    async def count() -> int:
        return calls

    loop = Loop("test", step, interval=60, log=LOG)
    async with run_together(loop):
        await begun.wait()
        loop.wake()
        gate.set()
        await eventually(count, lambda seen: seen == 2)


def refused(why: str) -> Unavailable:
    """What people are told of a database that refuses us; why is for the log."""
    error = Unavailable("database_refused", "The database does not answer.")
    error.__cause__ = WrongUrl("postgresql+asyncpg://host/x", why)
    return error


def log_into(lines: list[tuple[str, object]]) -> structlog.typing.FilteringBoundLogger:
    """A log whose lines can be read, each with its level."""

    def keep(_: object, level: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        lines.append((level, dict(event)))
        raise structlog.DropEvent

    level = structlog.make_filtering_bound_logger(0)
    log: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.ReturnLogger(), processors=[keep], wrapper_class=level
    )
    return log


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (Unavailable("bus_unavailable", "The broker does not answer."), "The broker does not answer."),
        (Forbidden("bus_refused", "The broker refuses us."), "The broker refuses us."),
        (refused("The database refuses us."), "The database refuses us."),
    ],
    ids=["away", "refused", "refused in words that nobody else is told"],
)
async def test_a_dependency_that_is_away_or_refuses_us_is_one_line_without_a_stack(
    error: Exception, says: str
) -> None:
    lines: list[tuple[str, object]] = []

    async def step() -> None:
        raise error

    loop = Loop("duty", step, interval=0.01, log=log_into(lines))
    async with run_together(loop):
        await asyncio.sleep(0.1)
    (line,) = lines
    assert line == ("warning", {"event": "loop_waits", "loop": "duty", "code": error.args[0], "detail": says})


async def test_each_reason_why_a_dependency_is_not_there_is_said_once() -> None:
    lines: list[tuple[str, object]] = []
    reasons = itertools.cycle(("bus_unavailable", "bus_refused"))

    async def step() -> None:
        raise Unavailable(next(reasons), "Not now.")

    async with run_together(Loop("duty", step, interval=0.01, log=log_into(lines))):
        await asyncio.sleep(0.15)
    codes = [line["code"] for _, line in lines if isinstance(line, dict)]
    assert codes == ["bus_unavailable", "bus_refused"]


@pytest.mark.parametrize("error", [Conflict("exists", "It exists."), ValueError("a mistake")])
async def test_a_mistake_of_the_program_is_an_error_with_its_stack(error: Exception) -> None:
    lines: list[tuple[str, object]] = []

    async def step() -> None:
        raise error

    async with run_together(Loop("duty", step, interval=60, log=log_into(lines))):
        await asyncio.sleep(0.05)
    assert lines == [("error", {"event": "loop_failed", "loop": "duty", "exc_info": True})]


async def test_a_failing_step_is_logged_and_tried_again_at_its_interval_only() -> None:
    lines: list[tuple[str, object]] = []
    step = Steps(failing=True)
    loop = Loop("duty", step, interval=0.05, log=log_into(lines))
    async with run_together(loop):
        started = time.monotonic()
        while time.monotonic() - started < 0.3:
            loop.wake()
            await asyncio.sleep(0.002)
        assert 2 <= step.calls <= 8
        step.failing = False
        calls = step.calls
        await eventually(step.count, lambda seen: seen > calls + 1)
    assert lines[0] == ("error", {"event": "loop_failed", "loop": "duty", "exc_info": True})
    assert len(lines) == calls


async def test_stopping_waits_for_the_running_step() -> None:
    begun, ended = asyncio.Event(), False

    async def step() -> None:
        nonlocal ended
        begun.set()
        await asyncio.sleep(0.05)
        ended = True

    async with run_together(Loop("test", step, interval=60, log=LOG)):
        await begun.wait()
    assert ended


async def test_stopping_waits_no_longer_than_the_grace() -> None:
    begun = asyncio.Event()

    async def hangs() -> None:
        begun.set()
        await asyncio.Event().wait()

    loop = Loop("test", hangs, interval=60, log=LOG, grace=0.05)
    await loop.start()
    await begun.wait()
    await asyncio.wait_for(loop.stop(), 1)


async def test_stopping_that_is_cancelled_says_so() -> None:
    begun = asyncio.Event()

    async def hangs() -> None:
        begun.set()
        await asyncio.Event().wait()

    loop = Loop("test", hangs, interval=60, log=LOG, grace=30)
    await loop.start()
    await begun.wait()
    stopping = asyncio.create_task(loop.stop())
    await asyncio.sleep(0.01)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    loop._grace = 0
    await loop.stop()


async def test_a_loop_that_never_started_can_be_stopped_and_one_that_stopped_started() -> None:
    step = Steps()
    loop = Loop("test", step, interval=60, log=LOG)
    await loop.stop()
    for calls in (1, 2):
        async with run_together(loop):
            await eventually(step.count, lambda seen, calls=calls: seen == calls)  # type: ignore[misc]


class Refused:
    """A part that is refused for good after it has waited, and let in at last."""

    def __init__(self, seconds: float, times: int) -> None:
        self.seconds, self.times = seconds, times
        self.is_started = False

    async def start(self) -> None:
        await asyncio.sleep(self.seconds)
        if self.times:
            self.times -= 1
            raise WrongUrl("amqps://host", "host:5671 offers no TLS")
        self.is_started = True

    async def stop(self) -> None: ...


async def test_what_waiting_would_not_mend_ends_the_start() -> None:
    starter = Starter([Refused(0, times=1)], log=LOG)
    with pytest.raises(WrongUrl):
        await starter.start()
    await starter.stop()


async def test_what_is_found_wrong_after_the_start_is_said_and_tried_until_everything_has_started() -> None:
    lines: list[tuple[str, object]] = []
    first, last = Refused(3.2, times=1), Refused(0, times=0)
    starter = Starter([first, last], log=log_into(lines))
    async with run_together(starter):
        with pytest.raises(Unavailable):
            await starter.ping()
        await eventually(lambda: started(last))
        with pytest.raises(Unavailable):
            await starter.ping()
        first.seconds = 0
        await eventually(lambda: started(first))
        await starter.ping()
    (line,) = lines
    assert line == (
        "warning",
        {"event": "start_waits", "part": "Refused", "code": "WrongUrl", "detail": "host:5671 offers no TLS"},
    )


async def started(part: Refused) -> bool:
    return part.is_started
