"""Settings, schemes, telemetry, identifiers, clocks and principals."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from opentelemetry import trace as otel
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from antiphon_common import telemetry
from antiphon_common.blobs import open_blobs
from antiphon_common.bus import open_bus
from antiphon_common.cache import open_cache
from antiphon_common.clock import FixedClock, SystemClock
from antiphon_common.ids import new_id
from antiphon_common.schemes import MissingExtra, UnknownScheme, open_by_scheme
from antiphon_common.settings import ServiceSettings
from antiphon_common.telemetry import Telemetry, parse_traceparent

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Settings(ServiceSettings):
    """Settings of a service of this name."""

    model_config = SettingsConfigDict(env_prefix="TEST_")


REQUIRED = {"database_url": "sqlite+aiosqlite://", "bus_url": "inproc:", "jwks_url": "file:///dev/null"}


def test_settings_come_from_the_environment_with_their_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**REQUIRED, "port": "8123", "log_level": "debug"}.items():
        monkeypatch.setenv(f"TEST_{name.upper()}", value)
        monkeypatch.setenv(f"OTHER_{name.upper()}", "nonsense")
    settings = Settings()
    assert (settings.port, settings.log_level, settings.bus_url) == (8123, "debug", "inproc:")


@pytest.mark.parametrize("name", REQUIRED)
def test_a_setting_without_default_must_be_given(name: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({key: value for key, value in REQUIRED.items() if key != name})


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 65536},
        {"port": -1},
        {"port": "http"},
        {"log_level": "loud"},
        {"trace_sample_ratio": 1.1},
        {"prot": 1},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({**REQUIRED, **wrong})


@pytest.mark.parametrize("open_port", [open_bus, open_blobs, open_cache])
@pytest.mark.parametrize("url", ["gopher://x", "", "no scheme", "INPROCX:", "file"])
def test_an_unknown_scheme_is_answered_with_those_there_are(open_port: object, url: str) -> None:
    assert callable(open_port)
    with pytest.raises(UnknownScheme, match=r"one of: .*(inproc|file|memory)"):
        open_port(url)


def test_a_missing_library_is_answered_with_the_extra_to_install() -> None:
    table = {"amqp": ("no_such_library.amqp:Bus", "amqp")}
    with pytest.raises(MissingExtra, match=r"pip install 'antiphon-common\[amqp\]'"):
        open_by_scheme(table, "amqp://broker")


def test_a_mistake_of_our_own_is_no_missing_extra() -> None:
    table = {"amqp": ("antiphon_common.no_such_module:Bus", "amqp")}
    with pytest.raises(ModuleNotFoundError):
        open_by_scheme(table, "amqp://broker")


@pytest.mark.parametrize(
    "header",
    [None, "", "00", PARENT.upper(), PARENT + "-x", PARENT[:-1], "01" + PARENT[2:], f"00-{'0' * 32}-b7ad6b7169203331-01",
     f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", PARENT + "\n", " " + PARENT],
)  # fmt: skip
def test_a_traceparent_that_is_not_valid_is_none(header: str | None) -> None:
    assert parse_traceparent(header) is None


def test_a_span_continues_its_parent_and_is_current_only_inside() -> None:
    with Telemetry("test").span("request", parent=PARENT) as trace:
        assert telemetry.current() is trace
        assert trace.trace_id == "0af7651916cd43dd8448eb211c80319c"
        assert trace.span_id != "b7ad6b7169203331"
        assert trace.sampled
        assert parse_traceparent(trace.traceparent) == trace
    assert telemetry.current() is None


@pytest.mark.parametrize(("ratio", "sampled"), [(0.0, 0), (1.0, 50)])
def test_only_sampled_requests_are_recorded_and_ids_travel_all_the_same(ratio: float, sampled: int) -> None:
    exporter = InMemorySpanExporter()
    one = Telemetry("one", sample_ratio=ratio, processor=SimpleSpanProcessor(exporter))
    for _ in range(50):
        with one.span("request", parent=None) as trace:
            assert len(trace.trace_id) == 32
    assert len(exporter.get_finished_spans()) == sampled
    one.close()


def test_a_recorded_span_is_a_child_of_the_callers() -> None:
    exporter = InMemorySpanExporter()
    one = Telemetry("one", processor=SimpleSpanProcessor(exporter))
    with one.span("request", parent=PARENT) as trace:
        pass
    [span] = exporter.get_finished_spans()
    assert (f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}") == (
        trace.trace_id,
        trace.span_id,
    )
    assert span.parent
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert span.resource.attributes["service.name"] == "one"


def test_two_apps_share_no_tracer_and_set_no_global_one() -> None:
    before = otel.get_tracer_provider()
    exporters = [InMemorySpanExporter(), InMemorySpanExporter()]
    apps = [Telemetry("x", sample_ratio=1, processor=SimpleSpanProcessor(each)) for each in exporters]
    with apps[0].span("request", parent=None):
        pass
    assert [len(each.get_finished_spans()) for each in exporters] == [1, 0]
    assert otel.get_tracer_provider() is before


async def test_requests_at_the_same_time_keep_their_own_trace() -> None:
    one = Telemetry("one")

    async def request() -> bool:
        with one.span("request", parent=None) as trace:
            await asyncio.sleep(0)
            return telemetry.current() is trace

    assert all(await asyncio.gather(*(request() for _ in range(20))))


def test_identifiers_are_uuids_of_version_seven_in_order_of_time() -> None:
    ids = [new_id() for _ in range(2000)]
    assert {(each.version, each.variant) for each in ids} == {(7, "specified in RFC 4122")}
    assert len(set(ids)) == 2000
    stamps = [each.int >> 80 for each in ids]
    assert stamps == sorted(stamps)
    assert abs(stamps[-1] / 1000 - time.time()) < 5


def test_clocks_tell_aware_moments() -> None:
    fixed = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
    fixed.advance(timedelta(days=1))
    assert fixed.now() == datetime(2026, 1, 2, tzinfo=UTC)
    assert abs(SystemClock().now() - datetime.now(UTC)) < timedelta(seconds=1)


def test_a_log_file_may_be_given_as_a_path() -> None:
    settings = Settings.model_validate({**REQUIRED, "log_file": "x/y.jsonl"})
    assert settings.log_file == Path("x/y.jsonl")
