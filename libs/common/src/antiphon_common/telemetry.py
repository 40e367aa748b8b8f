"""Traces of one app: W3C trace context by hand, spans from the SDK only when a request is sampled.

There are no process globals: an app holds its own `Telemetry`. The current trace travels in a context
variable so that logs, problems and announced events can name it.
"""

import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

from antiphon_common.metrics import Metrics

_EXPORT_SECONDS = 5
_FLUSH_SECONDS = 2.0
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class Trace:
    """One W3C trace context: hexadecimal ids, whether it is sampled, and our span if one is recorded."""

    trace_id: str
    span_id: str
    sampled: bool
    span: Span | None = field(default=None, compare=False, repr=False)

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


_current: ContextVar[Trace | None] = ContextVar("antiphon_trace", default=None)


def current() -> Trace | None:
    """The trace of the request or message being handled, if any."""
    return _current.get()


def parse_traceparent(header: str | None) -> Trace | None:
    """The trace of a `traceparent` header, or none when it is absent or not valid (W3C Trace Context)."""
    match = _TRACEPARENT.fullmatch(header or "")
    if not match or set(match[1]) == {"0"} or set(match[2]) == {"0"}:
        return None
    return Trace(match[1], match[2], bool(int(match[3], 16) & 1))


def trace_of(span: Span) -> Trace:
    """What travels on from a recorded span."""
    own = span.get_span_context()
    return Trace(f"{own.trace_id:032x}", f"{own.span_id:016x}", sampled=True, span=span)


def describe_request(span: Span, method: str, route: str, status: int) -> None:
    """What a span of a request says (OpenTelemetry's names): never a path, a query or a header."""
    span.update_name(f"{method} {route}" if route else method)
    span.set_attributes(
        {"http.request.method": method, "http.route": route, "http.response.status_code": status}
    )
    if status >= 500:
        span.set_status(StatusCode.ERROR)


class Measurable(Protocol):
    """What the settings of a process say about it."""

    @property
    def trace_sample_ratio(self) -> float: ...

    @property
    def otlp_url(self) -> str | None: ...

    @property
    def metrics_host(self) -> str: ...

    @property
    def metrics_port(self) -> int | None: ...


class Telemetry:
    """The tracer and meter of one app. Without a span processor nothing is recorded and ids still travel."""

    def __init__(
        self,
        service: str,
        *,
        sample_ratio: float = 0.0,
        processor: SpanProcessor | None = None,
        metrics_at: tuple[str, int] | None = None,
    ) -> None:
        self.metrics_at = metrics_at
        self.metrics = Metrics(service, on=metrics_at is not None)
        self._threshold = int(sample_ratio * (1 << 64))
        self._recording = processor is not None
        self._provider = TracerProvider(resource=Resource({"service.name": service}), shutdown_on_exit=False)
        if processor:
            self._provider.add_span_processor(processor)
        self._tracer: Tracer = self._provider.get_tracer("antiphon")

    @classmethod
    def of(cls, service: str, settings: "Measurable") -> "Telemetry":
        """As the settings say: measured when there is a place to ask, exported when there is a collector."""
        port = settings.metrics_port
        return cls(
            service,
            sample_ratio=settings.trace_sample_ratio,
            processor=_exporting(settings.otlp_url) if settings.otlp_url else None,
            metrics_at=None if port is None else (settings.metrics_host, port),
        )

    @property
    def recording(self) -> bool:
        """Whether spans of sampled traces go anywhere."""
        return self._recording

    def decide(self) -> bool:
        """Whether a request that nobody decided about before is to be recorded."""
        return self._threshold > 0 and secrets.randbits(64) < self._threshold

    def begin(self, name: str, *, parent: Trace | None, kind: SpanKind = SpanKind.SERVER) -> Span:
        """A recorded span below `parent`, or the first of a new trace; whoever began it ends it."""
        context = Context()
        if parent:
            above = SpanContext(
                int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=TraceFlags(1)
            )
            context = set_span_in_context(NonRecordingSpan(above), context)
        return self._tracer.start_span(name, context=context, kind=kind)

    @contextmanager
    def span(self, name: str, *, parent: str | None, kind: SpanKind = SpanKind.SERVER) -> Iterator[Trace]:
        """Handle one request or message as a child of `parent` (a traceparent header or none)."""
        remote = parse_traceparent(parent)
        sampled = remote.sampled if remote else self.decide()
        if not (sampled and self._recording):
            trace_id = remote.trace_id if remote else secrets.token_hex(16)
            with _as_current(Trace(trace_id, secrets.token_hex(8), sampled)) as trace:
                yield trace
            return
        span = self.begin(name, parent=remote, kind=kind)
        try:
            with _as_current(trace_of(span)) as trace:
                yield trace
        except Exception as error:
            # Not its text, which may hold what people wrote.
            span.set_status(StatusCode.ERROR, type(error).__name__)
            raise
        finally:
            span.end()

    def close(self) -> None:
        """Send what was recorded, for two seconds at most: a collector that is away loses spans, not time."""
        flushing = threading.Thread(target=self._provider.shutdown, daemon=True)
        flushing.start()
        flushing.join(_FLUSH_SECONDS if self._recording else None)


def _exporting(url: str) -> SpanProcessor:
    """Batches in a thread, from a bounded queue: what does not fit, or nobody takes, is lost."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    exporter = OTLPSpanExporter(endpoint=f"{url.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS)
    return BatchSpanProcessor(
        exporter, max_queue_size=2048, schedule_delay_millis=1000, max_export_batch_size=512
    )


@runtime_checkable
class Measured(Protocol):
    """A component that has something to show."""

    def measure(self, telemetry: Telemetry) -> None:
        """Register instruments and probes, and keep the tracer; called once, before the start."""


@contextmanager
def _as_current(trace: Trace) -> Iterator[Trace]:
    token = _current.set(trace)
    try:
        yield trace
    finally:
        _current.reset(token)
