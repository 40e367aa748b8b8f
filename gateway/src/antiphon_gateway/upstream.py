"""One service as the gateway sees it: a client behind a narrow port, wrapped in deadlines and limits.

The port speaks HTTP and nothing more; which failures are retried, counted or translated is decided here.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from antiphon_gateway.deadlines import Deadline, Deadlines
from antiphon_gateway.instances import Instance, Instances, Room
from antiphon_gateway.problems import Refused, unavailable
from antiphon_gateway.resilience import RetryBudget

_PROBE_SECONDS = 1.0
_IDEMPOTENT = {"GET", "HEAD", "PUT", "DELETE"}


class NotConnected(Exception):
    """No connection came about; the service has seen nothing."""


class Broken(Exception):
    """The connection ended before the answer did."""


class Unanswered(Broken):
    """A connection that had served others ended before the first byte of an answer."""


class Interrupted(Exception):
    """The client's body ended early, so the call was given up; the service is not to blame."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Request:
    """What a service is sent. `path` includes the query; a body that is an iterator is sent as it comes, and
    `interrupted` says whether it ended before its end.
    """

    method: str
    path: str
    headers: Sequence[tuple[str, str]]
    body: bytes | AsyncIterator[bytes] | None = None
    interrupted: Callable[[], bool] = _never


class Answer(Protocol):
    """The head of an answer has arrived; its body is read once, or the answer is aborted."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]: ...

    @property
    def closing(self) -> bool:
        """Whether the service closes the connection after this answer."""

    async def read(self) -> bytes:
        """The whole body. Raises `Broken`."""

    async def next(self) -> bytes:
        """The next part of the body as it arrives, empty at its end. Raises `Broken`."""

    def abort(self) -> None:
        """Close the connection; a read that waits raises `Broken`. Harmless after the end."""


class Client(Protocol):
    """The port. It follows no redirect, decodes nothing and remembers nothing."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, base: str, request: Request) -> Answer:
        """Send a request and wait for the head of its answer. Raises `NotConnected` or `Broken`."""

    def forget(self, base: str) -> None:
        """Close the connections that rest there."""


class Call:
    """One request on its way: it holds a place at whichever instance answers, until the block ends."""

    __slots__ = ("_instance", "_room", "_upstream")

    def __init__(self, upstream: "Upstream", room: Room) -> None:
        self._upstream = upstream
        self._room = room
        self._instance: Instance | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def deadline(self, seconds: float | None = None) -> Deadline:
        """The time the service may take from now: its usual time, or this many seconds."""
        return self._upstream.deadline(seconds)

    async def send(self, request: Request) -> Answer:
        """The answer's head. Raises 502, 503 or `Interrupted`."""
        upstream = self._upstream
        upstream.budget.called()
        retries, tried = 0, list[Instance]()
        while True:
            instance = self._enter(tried)
            try:
                answer = await upstream.client.send(instance.base, request)
                upstream.answered(instance, answer)
                return answer
            except (NotConnected, Broken) as error:
                self._leave()
                if request.interrupted():
                    raise Interrupted from error
                if upstream.may_go_on(instance, request, error, tried):
                    continue
                retries += 1
                pause = upstream.budget.pause_before(retries) if _may_repeat(request, error) else None
                if pause is None:
                    raise failure(error) from error
                await asyncio.sleep(pause)

    async def whole(self, request: Request, seconds: float | None = None) -> tuple[Answer, bytes]:
        """A small answer and its body, in its usual time or this many seconds. Raises 502, 503."""
        try:
            async with self.deadline(seconds):
                answer = await self.send(request)
                return answer, await answer.read()
        except TimeoutError:
            raise self.timed_out() from None
        except Broken as error:
            raise failure(error) from error

    def timed_out(self) -> Refused:
        """Counts a missed deadline and makes the refusal for it."""
        if self._instance:
            self._instance.breaker.late()
        return unavailable(503, "upstream_timeout", detail="This part of the platform took too long.")

    def _enter(self, tried: Sequence[Instance]) -> Instance:
        instance = self._upstream.instances.choose(tried)
        instance.enter(self._room)
        self._instance = instance
        return instance

    def _leave(self) -> None:
        if self._instance:
            self._instance.leave(self._room)
            self._instance = None


class Upstream:
    """One service: its instances and what they share."""

    def __init__(
        self,
        name: str,
        bases: Sequence[str],
        *,
        client: Client,
        now: Callable[[], float],
        deadlines: Deadlines,
        deadline: float,
        calls: int,
        streams: int,
    ) -> None:
        self.name = name
        self.client = client
        self.instances = Instances([Instance(base, now=now, calls=calls, streams=streams) for base in bases])
        self.budget = RetryBudget()
        self._deadlines = deadlines
        self._deadline = deadline

    def call(self, room: Room = Room.CALLS) -> Call:
        """A call that may now be made: `with upstream.call() as call`."""
        return Call(self, room)

    def deadline(self, seconds: float | None = None) -> Deadline:
        """The time a call may take from now, or this many seconds."""
        return self._deadlines.within(seconds or self._deadline)

    def may_go_on(
        self, instance: Instance, request: Request, error: Exception, tried: list[Instance]
    ) -> bool:
        """Note what went wrong; whether the call is made again at once, as the service cannot have seen it.

        A connection that had rested and ends without a byte was most likely closed while we wrote: for that
        once, and only where a second time does no harm, nobody is blamed.
        """
        first = not tried
        tried.append(instance)
        if isinstance(error, Unanswered) and first and _may_repeat(request, error):
            self.client.forget(instance.base)
            return True
        self.failed(instance)
        if isinstance(error, NotConnected):
            self.instances.set_aside(instance)
            return self.instances.have_another(tried)
        return False

    def answered(self, instance: Instance, answer: Answer) -> None:
        """Somebody who closes the connection after an answer is about to end: nothing more is sent there."""
        instance.breaker.succeeded()
        if answer.closing and self.instances.are_several:
            self.instances.set_aside(instance)
            self.client.forget(instance.base)

    def failed(self, instance: Instance) -> None:
        instance.breaker.failed()
        if instance.breaker.is_open:
            self.instances.set_aside(instance)

    async def probe(self) -> None:
        """Ask whether each is ready, where there is a choice, and who is doubted whether it lives."""
        every = self.instances.every
        questions = [self._see_whether_ready(one) for one in every if self.instances.are_several]
        questions += [self._see_whether_alive(one) for one in every if one.breaker.is_doubted]
        await asyncio.gather(*questions)

    async def _see_whether_alive(self, instance: Instance) -> None:
        if await self._asked(instance, "/healthz"):
            instance.breaker.succeeded()
        else:
            instance.breaker.dead()

    async def _asked(self, instance: Instance, path: str) -> Answer | None:
        """What it says, none when that is late or does not come."""
        try:
            async with self._deadlines.within(_PROBE_SECONDS):
                answer = await self.client.send(instance.base, Request("GET", path, ()))
                await answer.read()
        except (NotConnected, Broken, TimeoutError):
            return None
        return answer

    async def _see_whether_ready(self, instance: Instance) -> None:
        answer = await self._asked(instance, "/readyz")
        ready = answer is not None and answer.status == 200 and not answer.closing
        if ready:
            instance.breaker.succeeded()
        elif not instance.resting:
            # What rests here may be closed by the other side at any moment.
            self.client.forget(instance.base)
        instance.resting = not ready


class Upstreams:
    """All services by name, with the client they share."""

    def __init__(self, client: Client, deadlines: Deadlines, by_name: Mapping[str, Upstream]) -> None:
        self._client = client
        self._deadlines = deadlines
        self._by_name = by_name

    async def start(self) -> None:
        await self._deadlines.start()
        await self._client.start()

    async def stop(self) -> None:
        await self._client.stop()
        await self._deadlines.stop()

    def __getitem__(self, name: str) -> Upstream:
        return self._by_name[name]

    def names(self) -> Sequence[str]:
        return tuple(self._by_name)

    async def fetch(self, name: str, path: str, *, seconds: float = 2.0) -> tuple[int, bytes]:
        """A small answer for the gateway's own use. Raises `Refused` like any call."""
        with self._by_name[name].call(Room.OWN) as call:
            answer, body = await call.whole(Request("GET", path, ()), seconds)
        return answer.status, body

    async def probe(self) -> None:
        """Find out which instances are well."""
        await asyncio.gather(*(upstream.probe() for upstream in self._by_name.values()))


def _may_repeat(request: Request, error: Exception) -> bool:
    """A call is repeated when its body was not begun and doing it twice is the same as doing it once."""
    if isinstance(error, Unanswered):
        return request.method in _IDEMPOTENT and (request.body is None or isinstance(request.body, bytes))
    if request.body is None:
        return isinstance(error, NotConnected) or request.method in _IDEMPOTENT
    return isinstance(error, NotConnected) and isinstance(request.body, bytes)


def failure(error: Exception) -> Refused:
    """The refusal for a call that failed."""
    if isinstance(error, NotConnected):
        return unavailable(503, "service_unavailable", detail="This part of the platform is not answering.")
    return unavailable(502, "bad_gateway", detail="This part of the platform broke off its answer.")
