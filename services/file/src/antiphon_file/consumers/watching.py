"""What is seen of analyses from outside: a step in the trace of the upload, how long, and how it ended."""

import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from opentelemetry.trace import SpanKind

from antiphon_common.metrics import LONG_SECONDS
from antiphon_common.telemetry import Telemetry, current

_REMEMBERED = 1000


class Watch:
    """Remembers the trace in which an upload arrived, until it is analysed by this process.

    In memory only: when another process takes the upload over, its trace ends with the request.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._traces: OrderedDict[UUID, str] = OrderedDict()
        self._seconds = telemetry.metrics.histogram(
            "antiphon_analysis_seconds", "How long an upload is analysed", buckets=LONG_SECONDS
        )
        self._ended = telemetry.metrics.counter(
            "antiphon_uploads_total", "Uploads by what became of them", "state"
        )

    def arrived(self, upload_id: UUID) -> None:
        """The present request brought an upload."""
        self.ended("waiting")
        trace = current()
        if trace and trace.sampled:
            self._traces[upload_id] = trace.traceparent
            if len(self._traces) > _REMEMBERED:
                self._traces.popitem(last=False)

    def ended(self, state: str) -> None:
        """An upload is now in this state."""
        self._ended.labels(state).inc()

    @contextmanager
    def over(self, upload_id: UUID) -> Iterator[None]:
        """Around the analysis of one upload."""
        parent, began = self._traces.pop(upload_id, None), time.perf_counter()
        try:
            with self._telemetry.span("analyse upload", parent=parent, kind=SpanKind.INTERNAL):
                yield
        finally:
            self._seconds.observe(time.perf_counter() - began)
