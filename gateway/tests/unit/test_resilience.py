"""Breaker, bulkhead and the budget for retries."""

import pytest

from antiphon_gateway.deadlines import Deadlines
from antiphon_gateway.problems import Refused
from antiphon_gateway.resilience import Breaker, Bulkhead, RetryBudget
from antiphon_gateway.upstream import Broken, Interrupted, NotConnected, Request, Upstream


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def is_open(breaker: Breaker) -> bool:
    try:
        breaker.check()
    except Refused:
        return True
    return False


def test_five_failures_in_a_row_open_the_breaker() -> None:
    breaker = Breaker(now=Time())
    for _ in range(4):
        breaker.failed()
    breaker.succeeded()
    for _ in range(4):
        breaker.failed()
    assert not is_open(breaker)
    breaker.failed()
    assert is_open(breaker)


def test_one_trial_decides_whether_it_closes_again() -> None:
    time = Time()
    breaker = Breaker(now=time)
    for _ in range(5):
        breaker.failed()
    time.now += 0.6
    assert not is_open(breaker)
    assert is_open(breaker)
    breaker.failed()
    time.now += 0.6
    assert is_open(breaker)
    time.now += 0.6
    assert not is_open(breaker)
    breaker.succeeded()
    assert not is_open(breaker)
    assert not is_open(breaker)


def test_the_pause_never_grows_beyond_five_seconds() -> None:
    time = Time()
    breaker = Breaker(now=time)
    for _ in range(100):
        breaker.failed()
    time.now += 5.1
    assert not is_open(breaker)


def test_late_answers_are_a_doubt_and_never_open_it() -> None:
    breaker = Breaker(now=Time())
    for _ in range(4):
        breaker.late()
    breaker.succeeded()
    for _ in range(4):
        breaker.late()
    assert not breaker.is_doubted
    for _ in range(1000):
        breaker.late()
    assert breaker.is_doubted
    assert not is_open(breaker)


def test_who_does_not_even_live_is_asked_by_nobody_until_it_does() -> None:
    time = Time()
    breaker = Breaker(now=time)
    for _ in range(5):
        breaker.late()
    for _ in range(20):
        breaker.dead()
        time.now += 60
        assert is_open(breaker)
    breaker.succeeded()
    assert not is_open(breaker)
    assert not breaker.is_doubted


def test_a_trial_that_is_late_is_a_doubt_at_once() -> None:
    time = Time()
    breaker = Breaker(now=time)
    for _ in range(5):
        breaker.failed()
    time.now += 60
    assert not is_open(breaker)
    breaker.late()
    assert breaker.is_doubted


def test_a_bulkhead_is_full_at_its_size() -> None:
    bulkhead = Bulkhead(1)
    bulkhead.enter()
    with pytest.raises(Refused):
        bulkhead.enter()
    bulkhead.leave()
    bulkhead.enter()


class Failing:
    """A client whose every call fails in one way."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error
        self.calls = 0

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def forget(self, base: str) -> None: ...

    async def send(self, base: str, request: Request):
        self.calls += 1
        raise self.error


def upstream(client: Failing) -> Upstream:
    one = Upstream(
        "x", ["http://x"], client=client, now=Time(), deadlines=Deadlines(), deadline=1, calls=1, streams=1
    )
    one.budget._uniform = lambda low, high: low
    one.instances.every[0].breaker.THRESHOLD = 10**9
    return one


async def send(one: Upstream, request: Request) -> None:
    with one.call() as call:
        await call.send(request)


async def no_body():
    yield b""


@pytest.mark.parametrize(
    ("method", "body", "error", "calls"),
    [
        ("GET", None, Broken, 3), ("DELETE", None, Broken, 3), ("POST", None, Broken, 1), ("POST", b"x",
        Broken, 1),
        ("PUT", b"x", Broken, 1), ("PATCH", None, Broken, 1), ("POST", b"x", NotConnected, 3),
        ("POST", no_body, NotConnected, 1),
    ],
)  # fmt: skip
async def test_a_call_is_repeated_only_when_that_changes_nothing(method, body, error, calls) -> None:
    client = Failing(error)
    sent = body() if callable(body) else body
    with pytest.raises(Refused):
        await send(upstream(client), Request(method, "/", (), sent))
    assert client.calls == calls


async def test_retries_are_a_tenth_of_the_calls() -> None:
    client = Failing(Broken)
    one = upstream(client)
    for _ in range(1000):
        with pytest.raises(Refused):
            await send(one, Request("GET", "/", ()))
    assert 1000 < client.calls <= 1000 * 1.1 + RetryBudget.RESERVE


async def test_a_call_that_the_client_broke_off_is_not_held_against_the_service() -> None:
    one = upstream(Failing(Broken))
    one.instances.every[0].breaker.THRESHOLD = 1
    with pytest.raises(Interrupted):
        await send(one, Request("POST", "/", (), no_body(), interrupted=lambda: True))
    one.instances.every[0].breaker.check()
