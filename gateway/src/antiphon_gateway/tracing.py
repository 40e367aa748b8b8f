"""W3C trace context by hand: a valid `traceparent` is continued, anything else starts a new trace.

Here it is decided, once for all services, whether a trace is recorded: they respect the flag, and what a
client says in it is not asked. Its ids are taken, because they hurt nobody and join its trace with ours.
"""

import os
import random

from opentelemetry.trace import Span

from antiphon_common.telemetry import Telemetry, describe_request, parse_traceparent, trace_of


class Traces:
    """Makes ids. They must be unique, not secret, so a generator seeded by the system is enough."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._bits = random.Random(os.urandom(32)).getrandbits  # noqa: S311 - see the class

    def begin(self, header: bytes | None) -> tuple[str, str, Span | None]:
        """`(trace_id, traceparent for the upstream, span)` for a request with this `traceparent` field."""
        trace = parse_traceparent(header.decode("latin-1")) if header else None
        sampled = self._telemetry.decide()
        if sampled and self._telemetry.recording:
            span = self._telemetry.begin("request", parent=trace)
            own = trace_of(span)
            return own.trace_id, own.traceparent, span
        trace_id = trace.trace_id if trace else f"{self._bits(128) or 1:032x}"
        span_id = f"{self._bits(64) or 1:016x}"
        return trace_id, f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}", None

    def end(self, span: Span, method: str, template: str, status: int) -> None:
        """The answer has been sent."""
        describe_request(span, method, template, status)
        span.end()
