"""Which services there are, and the URLs that make them the embedded profile."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI

import antiphon_auth.app
import antiphon_auth.settings
import antiphon_catalog.app
import antiphon_catalog.consumers
import antiphon_catalog.settings
import antiphon_file.app
import antiphon_file.consumers
import antiphon_file.settings
import antiphon_library.app
import antiphon_library.consumers
import antiphon_library.settings
import antiphon_playlist.app
import antiphon_playlist.consumers
import antiphon_playlist.settings
import antiphon_search.app
import antiphon_search.consumers
import antiphon_search.settings
import antiphon_stream.app
import antiphon_stream.consumers
import antiphon_stream.settings
import antiphon_user.app
import antiphon_user.consumers
import antiphon_user.settings
from antiphon_common.bus.envelope import Announceable
from antiphon_common.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class Service:
    """One service: how it is made, and its settings beyond those that all have."""

    name: str
    create_app: Callable[[Any], FastAPI]
    settings_class: type[ServiceSettings]
    handlers: Collection[type[Announceable]] = ()
    own: Callable[["House"], Mapping[str, Any]] = lambda _: {}

    @property
    def package(self) -> str:
        return f"antiphon_{self.name}"


@dataclass(frozen=True, slots=True)
class House:
    """Where one platform lives: its data directory and its address as people type it."""

    data: Path
    public_url: str

    def database_url(self, service: str) -> str:
        return f"sqlite+aiosqlite:///{self.data}/{service}.db"

    @property
    def bus_url(self) -> str:
        return f"inproc://{self.data}/bus.db"

    @property
    def blob_url(self) -> str:
        return f"file://{self.data}/blobs"

    @property
    def log_file(self) -> Path:
        return self.data / "logs" / "antiphon.jsonl"

    def secrets(self, service: str) -> Path:
        return self.data / "secrets" / service


SERVICES = (
    Service(
        "auth",
        antiphon_auth.app.create_app,
        antiphon_auth.settings.Settings,
        own=lambda house: {
            "secrets_dir": house.secrets("auth"),
            "create_secrets": True,
            "public_url": house.public_url,
            "require_verified_email": False,
        },
    ),
    Service(
        "user",
        antiphon_user.app.create_app,
        antiphon_user.settings.Settings,
        antiphon_user.consumers.HANDLERS,
    ),
    Service(
        "file",
        antiphon_file.app.create_app,
        antiphon_file.settings.Settings,
        antiphon_file.consumers.HANDLERS,
        lambda house: {"blob_url": house.blob_url},
    ),
    Service(
        "catalog",
        antiphon_catalog.app.create_app,
        antiphon_catalog.settings.Settings,
        antiphon_catalog.consumers.HANDLERS,
    ),
    Service(
        "playlist",
        antiphon_playlist.app.create_app,
        antiphon_playlist.settings.Settings,
        antiphon_playlist.consumers.HANDLERS,
    ),
    Service(
        "library",
        antiphon_library.app.create_app,
        antiphon_library.settings.Settings,
        antiphon_library.consumers.HANDLERS,
    ),
    Service(
        "stream",
        antiphon_stream.app.create_app,
        antiphon_stream.settings.Settings,
        antiphon_stream.consumers.HANDLERS,
        lambda house: {
            "blob_url": house.blob_url,
            "secrets_dir": house.secrets("stream"),
            "create_secrets": True,
        },
    ),
    Service(
        "search",
        antiphon_search.app.create_app,
        antiphon_search.settings.Settings,
        antiphon_search.consumers.HANDLERS,
        lambda house: {"index_url": f"tantivy://{house.data}/index"},
    ),
)


def service_settings(service: Service, house: House, ports: Mapping[str, int]) -> ServiceSettings:
    """The settings of one service in this house."""
    return service.settings_class(
        host="127.0.0.1",
        port=ports[service.name],
        database_url=house.database_url(service.name),
        bus_url=house.bus_url,
        jwks_url=f"http://127.0.0.1:{ports['auth']}/api/auth/jwks.json",
        log_file=house.log_file,
        **service.own(house),
    )
