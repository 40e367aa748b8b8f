"""Which instance of a service is asked, and what happens when one fails."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from antiphon_gateway.deadlines import Deadlines
from antiphon_gateway.instances import Room
from antiphon_gateway.problems import Refused
from antiphon_gateway.upstream import Broken, NotConnected, Request, Unanswered, Upstream


@dataclass
class Given:
    """An answer."""

    status: int = 200
    closing: bool = False
    headers: Sequence[tuple[bytes, bytes]] = ()

    async def read(self) -> bytes:
        return b""

    async def next(self) -> bytes:
        return b""

    def abort(self) -> None: ...


class Fakes:
    """Instances that do as they are told: `acts` maps an address to what happens there."""

    def __init__(self) -> None:
        self.acts: dict[str, Callable[[], Given]] = {}
        self.asked: list[str] = []
        self.forgotten: list[str] = []

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def forget(self, base: str) -> None:
        self.forgotten.append(base)

    async def send(self, base: str, request: Request) -> Given:
        self.asked.append(base)
        return self.acts.get(base, Given)()


def raising(error: type[Exception], times: int = 10**9) -> Callable[[], Given]:
    left = times

    def act() -> Given:
        nonlocal left
        left -= 1
        if left >= 0:
            raise error
        return Given()

    return act


def upstream(fakes: Fakes, count: int = 2, calls: int = 100) -> Upstream:
    return Upstream(
        "x", [f"http://{number}" for number in range(count)], client=fakes, now=lambda: 0.0,
        deadlines=Deadlines(), deadline=1, calls=calls, streams=1,
    )  # fmt: skip


async def ask(one: Upstream, method: str = "GET", body: bytes | None = None) -> int:
    with one.call() as call:
        return (await call.send(Request(method, "/", (), body))).status


async def test_requests_are_spread_evenly() -> None:
    fakes = Fakes()
    one = upstream(fakes, 3)
    for _ in range(300):
        await ask(one)
    assert [fakes.asked.count(f"http://{number}") for number in range(3)] == [100, 100, 100]


async def test_the_one_with_the_least_to_do_is_asked() -> None:
    fakes = Fakes()
    one = upstream(fakes, 2)
    held = [one.call() for _ in range(4)]
    for call in held:
        await call.send(Request("GET", "/", ()))
    busiest = one.instances.every[1]
    for call in held:
        if call._instance is not busiest:
            call.__exit__()
    fakes.asked.clear()
    for _ in range(10):
        await ask(one)
    assert set(fakes.asked) == {"http://0"}


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", b"x"), ("POST", None), ("PATCH", b"x")])
async def test_who_refuses_connections_costs_nobody_anything(method: str, body: bytes | None) -> None:
    fakes = Fakes()
    fakes.acts["http://0"] = raising(NotConnected)
    one = upstream(fakes)
    assert [await ask(one, method, body) for _ in range(50)] == [200] * 50
    assert fakes.asked.count("http://0") == 1


async def test_a_body_that_flows_goes_to_another_instance_too() -> None:
    fakes = Fakes()
    fakes.acts["http://0"] = raising(NotConnected)
    one = upstream(fakes)

    async def body():
        yield b"x"

    for _ in range(4):
        with one.call(Room.STREAMS) as call:
            assert (await call.send(Request("POST", "/", (), body()))).status == 200


async def test_an_instance_that_comes_back_is_asked_again_after_a_probe() -> None:
    fakes = Fakes()
    fakes.acts["http://0"] = raising(NotConnected)
    one = upstream(fakes)
    for _ in range(3):
        await ask(one)
    await one.probe()
    assert one.instances.every[0].resting
    fakes.acts.clear()
    await one.probe()
    fakes.asked.clear()
    for _ in range(4):
        await ask(one)
    assert fakes.asked.count("http://0") == 2


@pytest.mark.parametrize("answer", [Given(503), Given(closing=True), Given(404)])
async def test_who_is_not_ready_gets_no_requests(answer: Given) -> None:
    fakes = Fakes()
    fakes.acts["http://1"] = lambda: answer
    one = upstream(fakes)
    await one.probe()
    fakes.asked.clear()
    for _ in range(10):
        await ask(one)
    assert set(fakes.asked) == {"http://0"}
    assert fakes.forgotten == ["http://1"]


async def test_when_nobody_is_ready_everybody_is_asked() -> None:
    fakes = Fakes()
    one = upstream(fakes)
    for base in ("http://0", "http://1"):
        fakes.acts[base] = lambda: Given(503)
    await one.probe()
    fakes.asked.clear()
    for _ in range(10):
        assert await ask(one) == 503
    assert fakes.asked.count("http://0") == 5


async def test_who_says_that_it_is_ending_gets_nothing_more() -> None:
    fakes = Fakes()
    fakes.acts["http://1"] = lambda: Given(closing=True)
    one = upstream(fakes)
    for _ in range(10):
        await ask(one, "POST", b"x")
    assert fakes.asked.count("http://1") == 1
    assert fakes.forgotten == ["http://1"]


async def test_an_only_instance_is_never_set_aside_or_probed() -> None:
    fakes = Fakes()
    fakes.acts["http://0"] = lambda: Given(closing=True)
    one = upstream(fakes, 1)
    for _ in range(3):
        await ask(one)
    await one.probe()
    assert len(fakes.asked) == 3
    assert not one.instances.every[0].resting


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("GET", None, 200),
        ("PUT", b"x", 200),
        ("DELETE", None, 200),
        ("POST", b"x", 502),
        ("PATCH", None, 502),
    ],
)
async def test_a_connection_that_died_in_the_pool_is_nobodys_failure_but_no_reason_to_write_twice(
    count: int, method: str, body: bytes | None, status: int
) -> None:
    fakes = Fakes()
    for number in range(count):
        fakes.acts[f"http://{number}"] = raising(Unanswered, times=1)
    one = upstream(fakes, count)
    one.budget._saved = 0
    if count == 2:
        fakes.acts["http://0"] = Given
    try:
        answered = await ask(one, method, body)
    except Refused as refused:
        answered = refused.status
    assert answered == status


async def test_five_failures_set_an_instance_aside() -> None:
    fakes = Fakes()
    fakes.acts["http://0"] = raising(Broken)
    one = upstream(fakes)
    for _ in range(40):
        assert await ask(one) == 200
        one.budget._saved = 10
    assert fakes.asked.count("http://0") == 5


@pytest.mark.parametrize("count", [1, 2])
async def test_late_answers_set_nobody_aside_who_says_that_he_lives(count: int) -> None:
    fakes = Fakes()
    one = upstream(fakes, count)
    for _ in range(10):
        late(one, 5 * count)
        await one.probe()
        assert await ask_each(one) == [200] * count


@pytest.mark.parametrize("count", [1, 2])
async def test_when_nobody_says_that_he_lives_late_answers_end_in_a_refusal_until_somebody_does(
    count: int,
) -> None:
    fakes = Fakes()
    one = upstream(fakes, count)
    late(one, 5 * count)
    assert await ask_each(one) == [200] * count, "nobody was asked yet"
    late(one, 5 * count)
    for number in range(count):
        fakes.acts[f"http://{number}"] = raising(TimeoutError)
    await one.probe()
    fakes.asked.clear()
    for _ in range(10):
        with pytest.raises(Refused):
            await ask(one)
    assert fakes.asked == []
    fakes.acts.clear()
    await one.probe()
    assert await ask_each(one) == [200] * count


def late(one: Upstream, times: int) -> None:
    """So many calls in a row took too long."""
    for _ in range(times):
        with one.call() as call:
            call._enter(())
            call.timed_out()


async def ask_each(one: Upstream) -> list[int]:
    return [await ask(one) for _ in one.instances.every]


async def test_an_only_instance_is_asked_whether_it_lives_and_not_whether_it_is_ready() -> None:
    asked: list[str] = []

    class Noting(Fakes):
        async def send(self, base: str, request: Request) -> Given:
            asked.append(request.path)
            return Given(503)

    one = upstream(Noting(), 1)
    await one.probe()
    assert asked == []
    for _ in range(5):
        one.instances.every[0].breaker.late()
    await one.probe()
    assert asked == ["/healthz"]
    assert not one.instances.every[0].breaker.is_open


async def test_when_all_refuse_that_is_said_at_once() -> None:
    fakes = Fakes()
    for number in range(3):
        fakes.acts[f"http://{number}"] = raising(NotConnected)
    one = upstream(fakes, 3)
    one.budget._saved = 0
    with pytest.raises(Refused) as refused:
        await ask(one, "POST", b"x")
    assert refused.value.status == 503
    assert len(fakes.asked) == 3


async def test_each_instance_has_compartments_of_its_own() -> None:
    fakes = Fakes()
    one = upstream(fakes, 2, calls=1)
    held = [one.call(), one.call()]
    for call in held:
        await call.send(Request("GET", "/", ()))
    assert sorted(fakes.asked) == ["http://0", "http://1"]
    with pytest.raises(Refused):
        await ask(one)
    held[0].__exit__()
    assert await ask(one) == 200
