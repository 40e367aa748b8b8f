"""One platform: data directory, migrations, eight services and the gateway, started and stopped as one."""

import asyncio
import contextlib
import fcntl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import getaddrinfo, getfqdn, gethostname, socket
from typing import IO, Any

from pydantic import ValidationError

import antiphon_gateway.app
import antiphon_gateway.purging
import antiphon_gateway.serving
import antiphon_gateway.settings
from antiphon_common.bus import open_bus
from antiphon_common.db.migrations import migrate
from antiphon_common.lifecycle import run_together
from antiphon_common.web.serving import server_config
from antiphon_embedded.composition import SERVICES, House, service_settings
from antiphon_embedded.servers import QuietServer, Served, StartFailed, listen


class PlatformError(Exception):
    """The platform cannot run here; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Platform:
    """Where a platform is to run. `port` 0 picks a free one."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 8080

    @asynccontextmanager
    async def running(self) -> AsyncIterator["RunningPlatform"]:
        """Run it while the block lasts. Raises `PlatformError` when it cannot start."""
        data = self.data.absolute()
        with _data_directory(data), _sockets(self.host, self.port) as listeners:
            ports = {name: listener.getsockname()[1] for name, listener in listeners.items()}
            house = House(data, f"http://{_public_name(self.host)}:{ports['gateway']}")
            await asyncio.to_thread(_migrate_all, house)
            await _bind_queues(house)
            try:
                components = self._components(house, listeners, ports)
                async with run_together(*components):
                    yield RunningPlatform(house.public_url, house, tuple(components))
            except StartFailed as error:
                raise PlatformError(f"{error}; see the logs in {house.log_file.parent}") from error
            except ValidationError as error:
                raise PlatformError("; ".join(problem["msg"] for problem in error.errors())) from error

    def _components(
        self, house: House, listeners: Mapping[str, socket], ports: Mapping[str, int]
    ) -> list[Served]:
        components = []
        for service in SERVICES:
            settings = service_settings(service, house, ports)
            service_app = service.create_app(settings)
            server = QuietServer(server_config(service_app, settings.host, settings.port))
            missing = service_app.state.readiness.missing
            components.append(Served(service.name, server, listeners[service.name], missing))
        gateway = antiphon_gateway.settings.Settings(
            host=self.host,
            port=ports["gateway"],
            allowed_hosts=_names(self.host),
            bus_url=house.bus_url,
            log_file=house.log_file,
            **_service_urls(ports),
        )
        app = antiphon_gateway.app.create_app(gateway)
        server = QuietServer(antiphon_gateway.serving.server(app, gateway).config)
        components.append(Served("gateway", server, listeners["gateway"], app.missing))
        return components


@dataclass(frozen=True, slots=True)
class RunningPlatform:
    """A platform that answers at `url`."""

    url: str
    house: House
    components: tuple[Served, ...]

    async def wait(self) -> None:
        """Return only when a part of the platform has ended by itself; raises `PlatformError` then."""
        while True:
            for component in self.components:
                if component.failed:
                    raise PlatformError(f"{component.name} has ended; see {self.house.log_file}")
            await asyncio.sleep(1)


@contextlib.contextmanager
def _data_directory(data: Path) -> Iterator[None]:
    """Make the directory and hold it: two platforms in one directory would spoil it."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        data.chmod(0o700)
        lock: IO[str] = (data / "platform.lock").open("w")
    except OSError as error:
        raise PlatformError(
            f"cannot use {data} for data: {error.strerror}; choose another by DATA="
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PlatformError(
                f"another platform is using {data}; stop it, or choose another DATA="
            ) from error
        yield


@contextlib.contextmanager
def _sockets(host: str, port: int) -> Iterator[dict[str, socket]]:
    """A listening socket for the gateway where people expect it, and a free one for each service."""
    with contextlib.ExitStack() as stack:
        try:
            gateway = listen(host, port)
        except OSError as error:
            text = f"cannot listen on {host}:{port}: {error.strerror}; choose another by PORT= or HOST="
            raise PlatformError(text) from error
        listeners = {service.name: listen("127.0.0.1", 0) for service in SERVICES}
        listeners["gateway"] = gateway
        for listener in listeners.values():
            stack.callback(listener.close)
        yield listeners


def _migrate_all(house: House) -> None:
    # Alembic keeps its state in module proxies, so one at a time.
    for service in SERVICES:
        migrate(service.package, house.database_url(service.name))


async def _bind_queues(house: House) -> None:
    """Every queue exists before the first publisher starts: what comes earlier would never reach it."""
    bus = open_bus(house.bus_url)
    await bus.start()
    try:
        for service in SERVICES:
            if service.handlers:
                await bus.bind(service.name, sorted(event.type for event in service.handlers))
        await bus.bind(
            antiphon_gateway.purging.CONSUMER, sorted(event.type for event in antiphon_gateway.purging.TAGS)
        )
    finally:
        await bus.stop()


def _names(host: str) -> tuple[str, ...]:
    """The Host values under which people may reach this listen address."""
    names = {"localhost", "127.0.0.1", "[::1]", _printable(host)}
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        names |= {gethostname(), getfqdn()}
        with contextlib.suppress(OSError):
            names |= {_printable(str(info[4][0])) for info in getaddrinfo(gethostname(), None)}
    return tuple(sorted(names))


def _service_urls(ports: Mapping[str, int]) -> dict[str, Any]:
    return {f"{service.name}_url": f"http://127.0.0.1:{ports[service.name]}" for service in SERVICES}


def _public_name(host: str) -> str:
    """What people type to reach this listen address from the same machine."""
    return "localhost" if host in ("127.0.0.1", "0.0.0.0", "::") else _printable(host)  # noqa: S104 - compared


def _printable(host: str) -> str:
    return f"[{host}]" if ":" in host else host
