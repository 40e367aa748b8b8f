"""What every process shows of itself: its requests by route, and which of its dependencies answer."""

from collections.abc import Sequence

from structlog.typing import FilteringBoundLogger

from antiphon_common.lifecycle import Component
from antiphon_common.metrics import Instrument, Metrics
from antiphon_common.telemetry import Measured, Telemetry
from antiphon_common.web.exposition import exposed
from antiphon_common.web.health import Readiness

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Requests:
    """Counts finished requests. The series of a route is looked up once and then kept."""

    def __init__(self, metrics: Metrics) -> None:
        self._seconds = metrics.histogram(
            "antiphon_http_request_seconds", "From a request to the end of its answer",
            "method", "route", "status",
        )  # fmt: skip
        self._series: dict[tuple[str, str, int], Instrument] = {}

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """`route` is a template, never a path: it is empty for what no route matched."""
        key = (method, route, status // 100)
        series = self._series.get(key)
        if series is None:
            known = method if method in _METHODS else "other"
            series = self._seconds.labels(known, route or "none", f"{status // 100}xx" if status else "cut")
            if known == method:
                self._series[key] = series
        series.observe(seconds)


def measured(
    telemetry: Telemetry, parts: Sequence[object], readiness: Readiness, *, log: FilteringBoundLogger
) -> Sequence[Component]:
    """Let every part say what it shows; what is to be started so that Prometheus finds it."""
    for part in parts:
        if isinstance(part, Measured):
            part.measure(telemetry)
    _show_readiness(telemetry.metrics, readiness)
    return exposed(telemetry, log=log)


def _show_readiness(metrics: Metrics, readiness: Readiness) -> None:
    """One gauge a dependency."""

    async def read() -> dict[tuple[str, ...], float]:
        missing = await readiness.missing()
        return {(name,): 0.0 if name in missing else 1.0 for name in (*readiness.checks, "stopping")}

    metrics.probe(
        "antiphon_ready", "Whether a dependency answers (1) or /readyz names it (0)", read, labels=["check"]
    )
