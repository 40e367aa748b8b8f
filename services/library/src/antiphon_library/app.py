"""The composition root: the only file of this service that names concrete things."""

from functools import partial

from fastapi import FastAPI

from antiphon_common.bus import open_bus
from antiphon_common.bus.consuming import Consumer
from antiphon_common.clock import SystemClock
from antiphon_common.db import Database, inbox
from antiphon_common.db.outbox import Relay
from antiphon_common.logs import open_log
from antiphon_common.telemetry import Telemetry
from antiphon_common.web.app import service_app
from antiphon_common.web.identity import JwksClient, Verifier
from antiphon_library.consumers import HANDLERS
from antiphon_library.ports import Deps
from antiphon_library.repository import unit_of_work
from antiphon_library.routes import ROUTERS
from antiphon_library.settings import Settings
from antiphon_library.tables import INBOX, OUTBOX

DESCRIPTION = "Likes, saves and plays."


def create_app(settings: Settings) -> FastAPI:
    """The library service."""
    clock = SystemClock()
    log = open_log("library", level=settings.log_level, file=settings.log_file)
    telemetry = Telemetry.of("library", settings)
    database = Database(settings.database_url, "antiphon_library")
    bus = open_bus(settings.bus_url)
    relay = Relay(database, OUTBOX, bus, log=log)
    open_unit = partial(unit_of_work, database, clock, relay)
    consumer = Consumer("library", bus, HANDLERS, open_unit=open_unit, telemetry=telemetry, log=log)
    keys = JwksClient(settings.jwks_url)
    return service_app(
        title="Antiphon library",
        description=DESCRIPTION,
        deps=Deps(database=database, open_unit=open_unit, clock=clock),
        routers=ROUTERS,
        components=[database, bus, relay, consumer, inbox.pruning(database, INBOX, clock=clock, log=log)],
        checks={"keys": keys.ping, "database": database.ping, "bus": bus.ping},
        verifier=Verifier(keys, issuer=settings.token_issuer, audience=settings.token_audience, clock=clock),
        telemetry=telemetry,
        log=log,
    )
