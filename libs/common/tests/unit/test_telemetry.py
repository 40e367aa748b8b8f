"""Traces: who decides, whose child a span is, and that a collector which is away costs spans and nothing else."""

import time
from types import SimpleNamespace

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from antiphon_common.telemetry import Telemetry, current

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"


def recorder(**options: float) -> tuple[Telemetry, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    return Telemetry("x", processor=SimpleSpanProcessor(exporter), **options), exporter  # type: ignore[arg-type]


@pytest.mark.parametrize(("flag", "recorded"), [("01", 1), ("00", 0)])
def test_what_the_one_before_decided_is_respected(flag: str, recorded: int) -> None:
    telemetry, exporter = recorder(sample_ratio=1.0)
    with telemetry.span("work", parent=PARENT + flag) as trace:
        assert trace.sampled == bool(recorded)
        assert current() == trace
    assert len(exporter.get_finished_spans()) == recorded


def test_the_first_span_of_a_trace_has_no_parent() -> None:
    telemetry, exporter = recorder(sample_ratio=1.0)
    with telemetry.span("work", parent=None):
        pass
    [span] = exporter.get_finished_spans()
    assert span.parent is None


def test_a_failure_is_named_in_the_span_without_what_it_said() -> None:
    telemetry, exporter = recorder(sample_ratio=1.0)
    with pytest.raises(ValueError, match="canary"), telemetry.span("work", parent=None):
        raise ValueError("canary")
    [span] = exporter.get_finished_spans()
    assert (span.status.description, span.events) == ("ValueError", ())
    assert "canary" not in span.to_json()


def test_without_a_ratio_nothing_is_recorded_that_nobody_asked_for() -> None:
    telemetry, exporter = recorder()
    with telemetry.span("work", parent=None) as trace:
        assert not trace.sampled
    assert exporter.get_finished_spans() == ()


def test_a_collector_that_is_away_costs_spans_and_no_time() -> None:
    settings = SimpleNamespace(
        trace_sample_ratio=1.0, otlp_url="http://127.0.0.1:1", metrics_host="127.0.0.1", metrics_port=None
    )
    telemetry = Telemetry.of("x", settings)
    began = time.monotonic()
    for _ in range(5000):
        with telemetry.span("work", parent=None):
            pass
    assert time.monotonic() - began < 5, "spans wait for the collector"
    began = time.monotonic()
    telemetry.close()
    assert time.monotonic() - began < 3
