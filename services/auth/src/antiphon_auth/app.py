"""The composition root: the only file of this service that names concrete things."""

from functools import partial

from fastapi import FastAPI

from antiphon_auth.adapters.first_run import FirstRun, PrivateBootstrapFile
from antiphon_auth.adapters.issuing import KeyRingIssuer
from antiphon_auth.adapters.key_ring import KeyRing
from antiphon_auth.adapters.passwords import Argon2Passwords
from antiphon_auth.adapters.security_log import LoggedSecurity
from antiphon_auth.ports import Deps, Passwords, Rules
from antiphon_auth.repository import unit_of_work
from antiphon_auth.routes import ROUTERS
from antiphon_auth.settings import Settings
from antiphon_auth.tables import OUTBOX
from antiphon_common.bus import open_bus
from antiphon_common.clock import Clock, SystemClock
from antiphon_common.db import Database
from antiphon_common.db.outbox import Relay
from antiphon_common.lifecycle import Loop
from antiphon_common.logs import open_log
from antiphon_common.telemetry import Telemetry
from antiphon_common.web.app import service_app
from antiphon_common.web.identity import Verifier

DESCRIPTION = "Accounts, sessions and tokens."
_PRUNE_SECONDS = 300.0


def create_app(
    settings: Settings, *, clock: Clock | None = None, passwords: Passwords | None = None
) -> FastAPI:
    """The auth service. Tests that are not about time or hashing bring a clock and a cheap hasher."""
    clock = clock or SystemClock()
    passwords = passwords or Argon2Passwords()
    log = open_log("auth", level=settings.log_level, file=settings.log_file)
    telemetry = Telemetry.of("auth", settings)
    database = Database(settings.database_url, "antiphon_auth")
    bus = open_bus(settings.bus_url)
    relay = Relay(database, OUTBOX, bus, log=log)
    open_unit = partial(unit_of_work, database, clock, relay)
    ring = KeyRing(settings.secrets_dir, create=settings.create_secrets, clock=clock, log=log)
    issuer = KeyRingIssuer(
        ring, issuer=settings.token_issuer, audience=settings.token_audience,
        everybody_verified=not settings.require_verified_email,
    )  # fmt: skip
    bootstrap_file = PrivateBootstrapFile(settings.secrets_dir)
    first_run = FirstRun(bootstrap_file, open_unit, clock=clock, public_origin=settings.public_url, log=log)
    deps = Deps(
        database=database, open_unit=open_unit, clock=clock, passwords=passwords, issuer=issuer,
        published_keys=ring.published, security_log=LoggedSecurity(log), bootstrap_file=bootstrap_file,
        rules=Rules(
            new_roles=("listener", "artist") if settings.new_accounts_are_artists else ("listener",),
            public_origin=settings.public_url,
        ),
    )  # fmt: skip

    async def prune() -> None:
        async with open_unit() as unit:
            await unit.prune(clock.now())

    pruning = Loop("pruning", prune, interval=_PRUNE_SECONDS, log=log)
    return service_app(
        title="Antiphon auth",
        description=DESCRIPTION,
        deps=deps,
        routers=ROUTERS,
        components=[ring, passwords, database, bus, relay, first_run, pruning],
        checks={"database": database.ping, "bus": bus.ping},
        verifier=Verifier(ring, issuer=settings.token_issuer, audience=settings.token_audience, clock=clock),
        telemetry=telemetry,
        log=log,
    )
