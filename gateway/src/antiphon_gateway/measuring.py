"""What Prometheus finds about a gateway: requests, what they met on their way, and what the gateway lacks."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter

from antiphon_common.metrics import Metrics, Reading
from antiphon_common.web.measuring import Requests
from antiphon_gateway.exchange import Exchange
from antiphon_gateway.upstream import Answer, Client, Request, Upstreams


class Measures:
    """Counts what a finished exchange tells."""

    def __init__(self, metrics: Metrics) -> None:
        self._requests = Requests(metrics)
        self._sent = metrics.counter("antiphon_http_answer_bytes_total", "Bytes of bodies sent to clients")
        self._limited = metrics.counter(
            "antiphon_rate_limited_total", "Requests refused because of a rate limit", "route"
        )

    def note(self, exchange: Exchange) -> None:
        """A request is over."""
        seconds = perf_counter() - exchange.started
        self._requests.note(exchange.method, exchange.template, exchange.status, seconds)
        if exchange.sent_bytes:
            self._sent.inc(exchange.sent_bytes)
        if exchange.status == 429:
            self._limited.labels(exchange.template or "none").inc()


class TimedClient:
    """The upstream client, timed to the head of each answer."""

    def __init__(self, client: Client, metrics: Metrics, services: Mapping[str, str]) -> None:
        """`services`: the name of the service at each base address."""
        self._client = client
        self._services = services
        self._seconds = metrics.histogram(
            "antiphon_upstream_seconds", "From a call to the head of its answer", "service", "outcome"
        )

    async def start(self) -> None:
        await self._client.start()

    async def stop(self) -> None:
        await self._client.stop()

    async def send(self, base: str, request: Request) -> Answer:
        began, outcome = perf_counter(), "failed"
        try:
            answer = await self._client.send(base, request)
            outcome = f"{answer.status // 100}xx"
        finally:
            name = self._services.get(base, "unknown")
            self._seconds.labels(name, outcome).observe(perf_counter() - began)
        return answer

    def forget(self, base: str) -> None:
        self._client.forget(base)


def show_state(
    metrics: Metrics,
    upstreams: Upstreams,
    *,
    missing: Callable[[], Awaitable[Sequence[str]]],
    away: Callable[[], Sequence[str]],
) -> None:
    """Breakers, readiness, and whether the gateway does without its stores."""

    async def breakers() -> Reading:
        found: dict[tuple[str, ...], float] = {}
        for name in upstreams.names():
            every = upstreams[name].instances.every
            found[(name,)] = sum(instance.breaker.is_open for instance in every)
        return found

    async def ready() -> Reading:
        lacking = await missing()
        names = (*upstreams.names(), "cache", "limits", "revocations", "stopping")
        return {(name,): 0.0 if name in lacking else 1.0 for name in names}

    async def bypassed() -> Reading:
        lacking = away()
        return {(name,): 1.0 if name in lacking else 0.0 for name in ("cache", "limits")}

    metrics.probe("antiphon_breaker_open", "Instances that are not asked", breakers, labels=["service"])
    metrics.probe("antiphon_ready", "Whether a dependency answers (1) or not (0)", ready, labels=["check"])
    metrics.probe(
        "antiphon_store_bypassed", "Whether the gateway does without a store", bypassed, labels=["store"]
    )
