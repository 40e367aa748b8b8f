"""W3C trace context by hand: a valid `traceparent` is continued, anything else starts a new trace."""

import os
import random

from antiphon_common.telemetry import parse_traceparent


class Traces:
    """Makes ids. They must be unique, not secret, so a generator seeded by the system is enough."""

    def __init__(self) -> None:
        self._bits = random.Random(os.urandom(32)).getrandbits  # noqa: S311 - see the class

    def continued(self, header: bytes | None) -> tuple[str, str]:
        """`(trace_id, traceparent for the upstream)` for a request with this `traceparent` field."""
        span = f"{self._bits(64) or 1:016x}"
        trace = parse_traceparent(header.decode("latin-1")) if header else None
        if trace:
            return trace.trace_id, f"00-{trace.trace_id}-{span}-{'01' if trace.sampled else '00'}"
        trace_id = f"{self._bits(128) or 1:032x}"
        return trace_id, f"00-{trace_id}-{span}-00"
