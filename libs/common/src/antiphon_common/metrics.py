"""The meter of one app: named instruments, and what Prometheus reads when it comes by.

Every app holds its own registry, because several may run in one process. Without a listen port for metrics
nothing is imported, every instrument does nothing, and nobody is asked anything. What costs a query is a
probe: it runs when Prometheus asks, at most every five seconds and for at most two, and a probe that fails
leaves its gauges out and counts as a failure, so an alert never sees an old number as a new one.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Buckets for how long a call takes."""

LONG_SECONDS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
"""Buckets for how long people or queues wait."""

Reading = Mapping[tuple[str, ...], float]
"""Label values and what was found for them."""

_PROBE_SECONDS = 2.0
_KEPT_SECONDS = 5.0


class Instrument(Protocol):
    """One time series, or, with labels still to be given, several."""

    def labels(self, *values: str) -> "Instrument": ...

    def inc(self, amount: float = 1) -> None: ...

    def observe(self, amount: float) -> None: ...

    def set(self, value: float) -> None: ...


class Metrics:
    """Makes instruments; the same name is the same instrument.

    Names begin with `antiphon_`, units are seconds and bytes, labels are few and bounded.
    """

    def __init__(self, service: str = "", *, on: bool = False) -> None:
        self.on = on
        self._registry: CollectorRegistry | None = None
        self._probes: list[_Probe] = []
        self._made: dict[str, Instrument] = {}
        if on:
            self._registry = _registry(service)
        self._failures = self.counter(
            "antiphon_probe_failures_total", "Probes that failed or took too long", "probe"
        )

    def counter(self, name: str, text: str, *labels: str) -> Instrument:
        """Something that only grows; its name ends in `_total`."""
        return self._make("Counter", name, text, labels)

    def gauge(self, name: str, text: str, *labels: str) -> Instrument:
        """Something that is set."""
        return self._make("Gauge", name, text, labels)

    def histogram(self, name: str, text: str, *labels: str, buckets: Sequence[float] = SECONDS) -> Instrument:
        """A distribution."""
        return self._make("Histogram", name, text, labels, buckets=tuple(buckets))

    def probe(
        self, name: str, text: str, read: Callable[[], Awaitable[Reading]], *, labels: Sequence[str] = ()
    ) -> None:
        """A gauge that is asked for when it is wanted."""
        if self._registry is None:
            return
        gauge = self._make("Gauge", name, text, labels)
        self._probes.append(_Probe(name, read, gauge, labelled=bool(labels)))

    async def exposition(self) -> bytes:
        """All of it in the text format, probes asked at the same time."""
        from prometheus_client import generate_latest  # noqa: PLC0415 - only where metrics are on

        if self._registry is None:
            return b""
        results = await asyncio.gather(*(probe.run() for probe in self._probes))
        for probe, fine in zip(self._probes, results, strict=True):
            if not fine:
                self._failures.labels(probe.name).inc()
        return await asyncio.to_thread(generate_latest, self._registry)

    def _make(self, kind: str, name: str, text: str, labels: Sequence[str], **more: Any) -> Instrument:
        if self._registry is None:
            return _NOTHING
        import prometheus_client  # noqa: PLC0415 - only where metrics are on

        if name not in self._made:
            made = getattr(prometheus_client, kind)(
                name, text, tuple(labels), registry=self._registry, **more
            )
            self._made[name] = cast(Instrument, made)
        return self._made[name]


class _Probe:
    """One question that is asked at most every five seconds, however many ask for the answer."""

    def __init__(
        self, name: str, read: Callable[[], Awaitable[Reading]], gauge: Any, *, labelled: bool
    ) -> None:
        self.name = name
        self._read = read
        self._gauge = gauge
        self._labelled = labelled
        self._asked_at = float("-inf")
        self._fine = True
        self._asking = asyncio.Lock()

    async def run(self) -> bool:
        """Whether the gauge is up to date."""
        async with self._asking:
            if time.monotonic() - self._asked_at < _KEPT_SECONDS:
                return True
            try:
                found = await asyncio.wait_for(self._read(), _PROBE_SECONDS)
            except Exception:  # noqa: BLE001 - counted: whoever asks for metrics must get the others
                self._show({} if self._labelled else {(): math.nan})
                return False
            self._asked_at = time.monotonic()
            self._show(found)
            return True

    def _show(self, found: Reading) -> None:
        if self._labelled:
            self._gauge.clear()
        for labels, value in found.items():
            (self._gauge.labels(*labels) if labels else self._gauge).set(value)


class _Nothing:
    """Every instrument of an app that is not measured."""

    def labels(self, *_: str) -> "_Nothing":
        return self

    def inc(self, amount: float = 1) -> None: ...

    def observe(self, amount: float) -> None: ...

    def set(self, value: float) -> None: ...


_NOTHING = _Nothing()


def _registry(service: str) -> "CollectorRegistry":
    import platform  # noqa: PLC0415 - only where metrics are on
    from importlib.metadata import version  # noqa: PLC0415

    from prometheus_client import CollectorRegistry, Info, ProcessCollector  # noqa: PLC0415

    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    info = Info("antiphon_build", "What runs here", registry=registry)
    info.info(
        {"service": service, "version": version("antiphon-common"), "python": platform.python_version()}
    )
    return registry
