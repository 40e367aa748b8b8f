"""The composition root: the only file of this service that names concrete things."""

from functools import partial

from fastapi import FastAPI

from antiphon_common.blobs import open_blobs
from antiphon_common.bus import open_bus
from antiphon_common.bus.consuming import Consumer
from antiphon_common.clock import SystemClock
from antiphon_common.db import Database, inbox
from antiphon_common.db.outbox import Relay
from antiphon_common.lifecycle import Loop
from antiphon_common.logs import open_log
from antiphon_common.telemetry import Telemetry
from antiphon_common.web.app import service_app
from antiphon_common.web.identity import JwksClient, Verifier
from antiphon_stream.adapters.blocks import Blocks
from antiphon_stream.adapters.bookkeeping import Bookkeeper
from antiphon_stream.adapters.handles import Handles
from antiphon_stream.adapters.keys import KeyFile
from antiphon_stream.consumers import HANDLERS
from antiphon_stream.ports import Deps
from antiphon_stream.queries import CONFIRM_SECONDS, Tickets, TrackCache
from antiphon_stream.repository import unit_of_work
from antiphon_stream.routes import AudioFront, router
from antiphon_stream.settings import Settings
from antiphon_stream.tables import INBOX, OUTBOX

DESCRIPTION = "Audio by byte ranges, and signed addresses for it."


def create_app(settings: Settings) -> FastAPI:
    """The stream service."""
    clock = SystemClock()
    log = open_log("stream", level=settings.log_level, file=settings.log_file)
    telemetry = Telemetry.of("stream", settings)
    database = Database(settings.database_url, "antiphon_stream")
    bus = open_bus(settings.bus_url)
    relay = Relay(database, OUTBOX, bus, log=log)
    tracks = TrackCache(database)
    open_unit = partial(unit_of_work, database, clock, relay, tracks.forget)
    consumer = Consumer("stream", bus, HANDLERS, open_unit=open_unit, telemetry=telemetry, log=log)
    blobs = open_blobs(settings.blob_url)
    is_far = not blobs.is_local and settings.cache_bytes > 0
    handles = Handles(Blocks(blobs, capacity=settings.cache_bytes) if is_far else blobs)
    books = Bookkeeper(open_unit, clock, log=log)
    keys = KeyFile(settings.secrets_dir, create=settings.create_secrets)
    deps = Deps(
        tracks=tracks, tickets=Tickets(keys, clock), blobs=handles, books=books, keys=keys, clock=clock,
        stalled_seconds=settings.stalled_seconds,
    )  # fmt: skip
    jwks = JwksClient(settings.jwks_url)
    verifier = Verifier(jwks, issuer=settings.token_issuer, audience=settings.token_audience, clock=clock)
    confirming = Loop("stream-tracks", tracks.confirm, interval=CONFIRM_SECONDS, log=log)
    pruning = inbox.pruning(database, INBOX, clock=clock, log=log)
    app = service_app(
        title="Antiphon stream",
        description=DESCRIPTION,
        deps=deps,
        routers=[router],
        components=[keys, database, blobs, handles, bus, relay, books, consumer, pruning, confirming],
        checks={"keys": jwks.ping, "database": database.ping, "bus": bus.ping, "blobs": blobs.ping},
        verifier=verifier,
        telemetry=telemetry,
        log=log,
    )
    # Added last, so it stands first: before the framework's own way of handling a request.
    app.add_middleware(AudioFront, deps=deps, verifier=verifier, telemetry=telemetry)
    return app
