"""The composition root: the only file of this service that names concrete things."""

from functools import partial

from fastapi import FastAPI

from antiphon_common.blobs import open_blobs
from antiphon_common.bus import open_bus
from antiphon_common.bus.consuming import Consumer
from antiphon_common.clock import SystemClock
from antiphon_common.db import Database, inbox
from antiphon_common.db.outbox import Relay
from antiphon_common.logs import open_log
from antiphon_common.telemetry import Telemetry
from antiphon_common.web.app import service_app
from antiphon_common.web.identity import JwksClient, Verifier
from antiphon_file.adapters.gallery import BlobGallery
from antiphon_file.adapters.pool import ReaderPool
from antiphon_file.adapters.reader import ChildReader
from antiphon_file.consumers import HANDLERS, Analysts, Collector, Sweeper
from antiphon_file.domain import Quota
from antiphon_file.ports import Deps, Limits
from antiphon_file.repository import unit_of_work
from antiphon_file.routes import ROUTERS
from antiphon_file.settings import Settings
from antiphon_file.tables import INBOX, OUTBOX

DESCRIPTION = "Uploads, what is found in them, and images."


def create_app(settings: Settings) -> FastAPI:
    """The file service."""
    clock = SystemClock()
    log = open_log("file", level=settings.log_level, file=settings.log_file)
    telemetry = Telemetry.of("file", settings)
    database = Database(settings.database_url, "antiphon_file")
    bus = open_bus(settings.bus_url)
    blobs = open_blobs(settings.blob_url)
    relay = Relay(database, OUTBOX, bus, log=log)
    sweeper = Sweeper(database, blobs, clock, log=log)
    open_unit = partial(unit_of_work, database, clock, relay, sweeper.wake)
    sweeper.work_with(open_unit)
    collector = Collector(database, blobs, clock, open_unit, seconds=settings.collect_seconds, log=log)
    pool = ReaderPool(size=settings.readers)
    reader = ChildReader(pool, max_seconds=settings.max_audio_seconds)
    quota = Quota(size=settings.quota_bytes, files=settings.quota_files, images=settings.quota_images)
    limits = Limits(settings.max_audio_bytes, settings.max_image_bytes, quota)
    gallery = BlobGallery(
        open_unit, blobs, reader, clock=clock, quota=quota, max_bytes=settings.max_image_bytes
    )
    analysts = Analysts(count=settings.readers, log=log, telemetry=telemetry)
    deps = Deps(database, open_unit, clock, blobs, reader, gallery, limits, wake_analysts=analysts.wake)
    analysts.work_for(deps)
    consumer = Consumer("file", bus, HANDLERS, open_unit=open_unit, telemetry=telemetry, log=log)
    keys = JwksClient(settings.jwks_url)
    return service_app(
        title="Antiphon file",
        description=DESCRIPTION,
        deps=deps,
        routers=ROUTERS,
        components=[
            database, blobs, pool, bus, relay, sweeper, collector, analysts, consumer,
            inbox.pruning(database, INBOX, clock=clock, log=log),
        ],
        checks={"keys": keys.ping, "database": database.ping, "bus": bus.ping, "blobs": blobs.ping},
        verifier=Verifier(keys, issuer=settings.token_issuer, audience=settings.token_audience, clock=clock),
        telemetry=telemetry,
        log=log,
    )  # fmt: skip
