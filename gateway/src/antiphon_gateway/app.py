"""The composition root: the only file that names what the gateway is really made of."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from structlog.typing import FilteringBoundLogger

from antiphon_common.bus import open_bus
from antiphon_common.bus.consuming import show_queue
from antiphon_common.cache import open_cache
from antiphon_common.clock import SystemClock
from antiphon_common.lifecycle import Component, Loop, Starter, run_together
from antiphon_common.logs import open_log
from antiphon_common.metrics import Metrics
from antiphon_common.telemetry import Telemetry
from antiphon_common.web.exposition import exposed
from antiphon_common.web.identity import JwksClient, Verifier
from antiphon_gateway.access import Gatekeeper
from antiphon_gateway.accesslog import AccessLog
from antiphon_gateway.addresses import Addresses
from antiphon_gateway.answering import PublicAnswers
from antiphon_gateway.boundary import Gateway, OwnPage, Parts
from antiphon_gateway.caching import AnswerCache
from antiphon_gateway.cors import Cors
from antiphon_gateway.deadlines import Deadlines
from antiphon_gateway.description import Description
from antiphon_gateway.exchange import Style
from antiphon_gateway.forwarding import Forwarder
from antiphon_gateway.guard import Guard
from antiphon_gateway.hosts import Hosts
from antiphon_gateway.http_client import HttpClient
from antiphon_gateway.matching import compile_table
from antiphon_gateway.measuring import Measures, TimedClient, show_state
from antiphon_gateway.operations import Operations
from antiphon_gateway.policy import Body
from antiphon_gateway.purging import Purger
from antiphon_gateway.ratelimit import RateLimiter, limits_with, open_buckets
from antiphon_gateway.revocations import Revocations
from antiphon_gateway.routes import ROUTES
from antiphon_gateway.settings import SERVICES, Settings
from antiphon_gateway.stores import Stores
from antiphon_gateway.tracing import Traces
from antiphon_gateway.upstream import Client, Upstream, Upstreams


def create_app(settings: Settings) -> Gateway:
    """A gateway that is not started yet. Raises when the route table or a setting makes no sense."""
    log = open_log("gateway", level=settings.log_level, file=settings.log_file)
    telemetry = Telemetry.of("gateway", settings)
    metrics = telemetry.metrics
    upstreams = _upstreams(settings, metrics)
    addresses = Addresses(
        trusted_proxies=settings.trusted_proxies,
        proxy_networks=settings.proxy_networks,
        secret=settings.edge_secret,
    )
    revocations = Revocations(lambda path: upstreams.fetch("auth", path))
    cache = open_cache(settings.cache_url)
    buckets = open_buckets(settings.limits_url or settings.cache_url, settings.instances)
    answers = AnswerCache(cache, now=time.time, log=log)
    stores = Stores({"cache": cache.ping, "limits": buckets.ping}, log=log)
    bus = open_bus(settings.bus_url)
    purger = Purger(bus, answers, queue=settings.queue)
    guard = _guard(settings, addresses)
    keys = _keys(settings)
    operations = Operations(upstreams, revocations, stores, keys=keys, now=time.monotonic)
    access_log = AccessLog(settings.log_file, enabled=settings.access_log)
    parts = Parts(
        table=compile_table(ROUTES, services=SERVICES),
        own=_own_pages(operations, Description(upstreams, ROUTES, now=time.monotonic)),
        hosts=Hosts(settings.allowed_hosts),
        addresses=addresses,
        cors=Cors(settings.cors_origins),
        gatekeeper=Gatekeeper(_verifier(keys, settings), revocations),
        limiter=RateLimiter(buckets, limits_with(settings.rates)),
        answers=PublicAnswers(answers, upstreams),
        forwarder=_forwarder(upstreams, settings),
        traces=Traces(telemetry),
        style=Style.of(hsts=settings.hsts, cross_origin=bool(settings.cors_origins)),
        access_log=access_log,
        log=log,
        measures=Measures(metrics) if metrics.on else None,
    )
    answers.measure(metrics)
    show_queue(metrics, bus, settings.queue)
    show_state(metrics, upstreams, missing=operations.missing, away=lambda: stores.missing)
    components = (
        access_log,
        upstreams,
        answers,
        buckets,
        purger,
        revocations,
        Loop("probes", upstreams.probe, interval=0.5, log=log),
        Loop("stores", stores.look, interval=1.0, log=log),
        Loop("revocations", revocations.poll, interval=settings.revocation_poll_seconds, log=log),
        Loop("connection-guard", guard.sweep, interval=1.0, log=log),
        Loop("access-log", access_log.flush, interval=0.25, log=log),
    )
    lifespan = partial(_living, telemetry, components, log)
    return Gateway(
        parts, guard=guard, lifespan=lifespan, stop_soon=operations.stop, missing=operations.missing
    )


@asynccontextmanager
async def _living(
    telemetry: Telemetry, components: Sequence[Component], log: FilteringBoundLogger
) -> AsyncIterator[None]:
    """The gateway at work, while the block lasts."""
    try:
        async with run_together(*exposed(telemetry, log=log), Starter(components, log=log)):
            log.info("started")
            yield
        log.info("stopped")
    finally:
        telemetry.close()


def _own_pages(operations: Operations, description: Description) -> Mapping[str, OwnPage]:
    return {
        "/": operations.root,
        "/healthz": operations.healthz,
        "/readyz": operations.readyz,
        "/version": operations.version,
        "/api/openapi.json": description.openapi,
        "/api/docs": description.page,
    }


def _guard(settings: Settings, addresses: Addresses) -> Guard:
    return Guard(
        is_proxy=addresses.is_proxy,
        total=settings.connections,
        per_address=settings.connections_per_address,
        head_seconds=settings.head_seconds,
        stalled_seconds=settings.stalled_write_seconds,
    )


def _upstreams(settings: Settings, metrics: Metrics) -> Upstreams:
    client: Client = HttpClient()
    deadlines = Deadlines()
    if metrics.on:
        services = {base: name for name in SERVICES for base in settings.upstream(name)}
        client = TimedClient(client, metrics, services)
    return Upstreams(
        client,
        deadlines,
        {
            name: Upstream(
                name,
                settings.upstream(name),
                client=client,
                now=time.monotonic,
                deadlines=deadlines,
                deadline=settings.deadline_seconds,
                calls=settings.calls_per_upstream,
                streams=settings.streams_per_upstream,
            )
            for name in SERVICES
        },
    )


def _forwarder(upstreams: Upstreams, settings: Settings) -> Forwarder:
    return Forwarder(
        upstreams,
        limits={Body.UPLOAD: settings.max_upload_bytes, Body.IMAGE: settings.max_image_bytes},
        slow_body_seconds=settings.slow_body_seconds,
        silent_stream_seconds=settings.silent_stream_seconds,
    )


def _keys(settings: Settings) -> JwksClient:
    published = ",".join(f"{base}/api/auth/jwks.json" for base in settings.upstream("auth"))
    return JwksClient(settings.jwks_url or published)


def _verifier(keys: JwksClient, settings: Settings) -> Verifier:
    return Verifier(keys, issuer=settings.token_issuer, audience=settings.token_audience, clock=SystemClock())
