"""The composition root: the only file of this service that names concrete things."""

import sys
from functools import partial

from fastapi import FastAPI

from antiphon_common.bus import open_bus
from antiphon_common.bus.consuming import Consumer
from antiphon_common.clock import SystemClock
from antiphon_common.db import Database, inbox
from antiphon_common.logs import open_log
from antiphon_common.telemetry import Telemetry
from antiphon_common.web.app import service_app
from antiphon_common.web.identity import JwksClient, Verifier
from antiphon_search.adapters import open_index, reindexing
from antiphon_search.adapters.guarding import Breaker
from antiphon_search.adapters.indexing import Indexer
from antiphon_search.consumers import HANDLERS
from antiphon_search.ports import Deps
from antiphon_search.repository import unit_of_work
from antiphon_search.routes import router
from antiphon_search.settings import Settings
from antiphon_search.tables import INBOX

DESCRIPTION = "Search and suggestions."


async def reindex(settings: Settings) -> dict[str, object]:
    """build the index anew beside the present one, then take its place"""
    database = Database(settings.database_url, "antiphon_search")
    open_unit = partial(unit_of_work, database, SystemClock(), lambda: None)
    try:
        index = open_index(settings.index_url)
        return await reindexing.reindex(index, open_unit, report=partial(print, file=sys.stderr, flush=True))
    finally:
        await database.stop()


COMMANDS = {"reindex": reindex}


def create_app(settings: Settings) -> FastAPI:
    """The search service."""
    clock = SystemClock()
    log = open_log("search", level=settings.log_level, file=settings.log_file)
    telemetry = Telemetry.of("search", settings)
    database = Database(settings.database_url, "antiphon_search")
    bus = open_bus(settings.bus_url)
    index = open_index(settings.index_url, settings.index_timeout_s)
    guard = Breaker(settings.index_timeout_s, index.ping)
    indexer = Indexer(index, partial(unit_of_work, database, clock, lambda: None), log=log)
    open_unit = partial(unit_of_work, database, clock, indexer.wake)
    consumer = Consumer("search", bus, HANDLERS, open_unit=open_unit, telemetry=telemetry, log=log)
    keys = JwksClient(settings.jwks_url)
    pruning = inbox.pruning(database, INBOX, clock=clock, log=log)
    return service_app(
        title="Antiphon search",
        description=DESCRIPTION,
        deps=Deps(
            database=database,
            index=index,
            guard=guard,
            completeness=indexer.completeness,
        ),
        routers=[router],
        components=[database, index, indexer, bus, consumer, pruning, guard],
        checks={"keys": keys.ping, "database": database.ping, "bus": bus.ping, "index": index.ping},
        verifier=Verifier(keys, issuer=settings.token_issuer, audience=settings.token_audience, clock=clock),
        telemetry=telemetry,
        log=log,
    )
