"""Servers behind TLS: who is trusted, and what is said, in one line, of a certificate that is not."""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from antiphon_common.blobs.s3 import S3Blobs
from antiphon_common.bus import open_bus
from antiphon_common.cache import open_cache
from antiphon_common.db import postgres
from antiphon_common.db.database import Database
from antiphon_common.db.migrations import migrate
from antiphon_common.errors import Unavailable
from antiphon_common.lifecycle import run_together
from antiphon_common.schemes import WrongUrl
from antiphon_common.testing.processes import Process
from antiphon_common.testing.running import eventually
from antiphon_common.testing.suites.blobs import chunks, content
from antiphon_common.testing.tls import Authority, TlsProxy, tls_before


class Used(Protocol):
    """What stands before a server."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def ping(self) -> None: ...


async def use_postgres(url: str) -> None:
    await asyncio.to_thread(migrate, "antiphon_user", url)
    database = Database(url, "antiphon_user")
    async with run_together(database), database.read() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1


async def use_bus(url: str) -> None:
    bus = open_bus(url)
    async with run_together(bus):
        await bus.bind("someone", ["test.changed"])
        assert await bus.depth("someone") == 0


async def use_cache(url: str) -> None:
    cache = open_cache(url)
    async with run_together(cache):
        await cache.ping()
        await cache.set("key", b"value", seconds=60)
        assert await cache.get("key") == b"value"


async def use_store(url: str) -> None:
    store = S3Blobs(url)
    async with run_together(store):
        await store.put("a", chunks(b"x" * 100_000))
        assert await content(store, "a") == b"x" * 100_000


@dataclass(frozen=True, slots=True)
class Server:
    """How one of the servers is named and used."""

    fixture: str
    schemes: tuple[str, str]
    use: Callable[[str], Awaitable[None]]
    open: Callable[[str], Used]
    asked_first: bool = False

    def secured(self, url: str, port: int) -> str:
        """The URL over TLS through a listen port of 127.0.0.1."""
        return url.replace(place(url), f"127.0.0.1:{port}").replace(*self.schemes)


def place(url: str) -> str:
    """`host:port` in a URL."""
    found: list[str] = re.findall(r"[\w.-]+:\d+(?=[/?&]|$)", url)
    return found[-1]


SERVERS = {
    "postgres": Server(
        "postgres_url", ("", ""), use_postgres, lambda url: Database(url, "antiphon_user"), asked_first=True
    ),
    "rabbitmq": Server("amqp_url", ("amqp:", "amqps:"), use_bus, open_bus),
    "redis": Server("redis_url", ("redis:", "rediss:"), use_cache, open_cache),
    "s3": Server("s3_url", ("http:", "https:"), use_store, S3Blobs),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """A server, the proxy before it, two authorities, and the URL through the proxy without `ca=`."""

    server: Server
    proxy: TlsProxy
    authority: Authority
    other: Authority
    url: str

    def naming(self, option: str) -> str:
        return f"{self.url}{'&' if '?' in self.url else '?'}{option}"

    async def said(self, url: str) -> str:
        """What whoever uses this URL is told at its start."""
        with pytest.raises((WrongUrl, Unavailable)) as caught:
            await self.server.use(url)
        if isinstance(caught.value, WrongUrl):
            assert caught.value.url == url
            return str(caught.value)
        # What everybody can do without does not keep a process from starting.
        assert self.server is SERVERS["redis"]
        return str(caught.value)


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Authority]:
    folder: Path = tmp_path_factory.mktemp("authorities")
    return Authority(folder, name="ours"), Authority(folder, name="another")


@pytest.fixture(params=SERVERS)
async def scene(
    request: pytest.FixtureRequest, authorities: tuple[Authority, Authority]
) -> AsyncIterator[Scene]:
    server = SERVERS[request.param]
    url = request.getfixturevalue(server.fixture)
    host, _, port = place(url).partition(":")
    ours, another = authorities
    async with tls_before(host, int(port), ours.context(), asked_first=server.asked_first) as proxy:
        yield Scene(server, proxy, ours, another, server.secured(url, proxy.port))


async def test_a_server_behind_tls_is_used_when_its_authority_is_named(scene: Scene) -> None:
    await scene.server.use(scene.naming(f"ca={scene.authority.file}"))


@pytest.mark.parametrize(
    ("trouble", "says", "mends"),
    [
        ("authority", "is not trusted", "ca="),
        ("nobody", "is not trusted", "ca="),
        ("host", "is for another host", "the host that it is for"),
        ("expired", "is not valid now", "renew it"),
    ],
)
async def test_a_certificate_that_is_not_good_is_said_in_one_line_with_the_setting_to_change(
    scene: Scene, trouble: str, says: str, mends: str
) -> None:
    url = scene.naming(f"ca={scene.authority.file}")
    if trouble == "authority":
        url = scene.naming(f"ca={scene.other.file}")
    elif trouble == "nobody":
        url = scene.naming("ssl=verify-full") if scene.server.asked_first else scene.url
    elif trouble == "host":
        scene.proxy.context = scene.authority.context("elsewhere.example")
    else:
        scene.proxy.context = scene.authority.context(days=-1)
    said = await scene.said(url)
    assert f"the certificate of 127.0.0.1:{scene.proxy.port} {says} (" in said
    assert mends in said
    assert "\n" not in said
    assert (urlsplit(url).password or "no password") not in said


@pytest.mark.parametrize(
    ("scene", "setting"),
    [("postgres", "USER_DATABASE_URL"), ("rabbitmq", "USER_BUS_URL")],
    indirect=["scene"],
)
async def test_a_certificate_that_nobody_vouches_for_ends_the_start_with_a_line_that_names_the_setting(
    scene: Scene, new_process: Callable[..., Process], setting: str
) -> None:
    process = new_process()
    assert process.run("migrate").returncode == 0
    serve = partial(
        subprocess.run, [sys.executable, "-m", process.package, "serve"], capture_output=True, text=True,
        env=process.environment | {setting: scene.naming(f"ca={scene.other.file}")}, timeout=30, check=False,
    )  # fmt: skip
    ended = await asyncio.to_thread(serve)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    place = f"127.0.0.1:{scene.proxy.port}"
    assert ended.stderr.startswith(f"{setting}: the certificate of {place} is not trusted (")


@pytest.mark.parametrize("scene", ["postgres", "rabbitmq", "s3"], indirect=True)
async def test_a_server_without_tls_is_named_to_whoever_demands_it(scene: Scene) -> None:
    """Redis waits in silence for the rest of a command: there is nothing to tell it by."""
    scene.proxy.context = None
    said = await scene.said(scene.naming("ssl=require") if scene.server.asked_first else scene.url)
    assert said.startswith(f"127.0.0.1:{scene.proxy.port} offers no TLS: turn it on there")


@pytest.mark.parametrize("scene", ["postgres", "rabbitmq", "s3"], indirect=True)
async def test_a_certificate_that_turns_bad_while_running_is_an_outage(scene: Scene) -> None:
    """And one that is renewed ends it; the process goes on all the while."""
    url = scene.naming(f"ca={scene.authority.file}")
    await scene.server.use(url)
    used = scene.server.open(url)
    good = scene.proxy.context

    async def works() -> str:
        try:
            await used.ping()
        except Unavailable as error:
            return error.code
        return "works"

    async with run_together(used):
        assert await works() == "works"
        scene.proxy.context = scene.other.context()
        await scene.proxy.cut()
        await eventually(
            works, lambda found: found in {"database_refused", "bus_distrusted", "blob_unavailable"}
        )
        scene.proxy.context = good
        await eventually(works, lambda found: found == "works")


@pytest.mark.parametrize("scene", ["s3"], indirect=True)
async def test_nothing_is_stored_where_nobody_vouches_for_the_store(scene: Scene) -> None:
    """Storing has a client of its own, which is first used later."""
    store = S3Blobs(scene.url)
    with pytest.raises(Unavailable):
        await store.put("a", chunks(b"x"))
    await store.stop()


@pytest.mark.parametrize("scene", ["postgres"], indirect=True)
async def test_any_host_of_an_authority_is_trusted_with_verify_ca(scene: Scene) -> None:
    scene.proxy.context = scene.authority.context("elsewhere.example")
    await scene.server.use(scene.naming(f"ssl=verify-ca&ca={scene.authority.file}"))


@pytest.mark.parametrize("ssl", ["disable", "allow", "prefer", "require"])
def test_an_authority_for_a_postgres_whose_certificate_is_not_looked_at_is_refused(ssl: str) -> None:
    with pytest.raises(WrongUrl, match="ca= is for ssl=verify-full"):
        Database(f"postgresql+asyncpg://u:secret@host/x?ssl={ssl}&ca={__file__}")


@pytest.mark.parametrize(
    ("opens", "url"),
    [
        (open_bus, "amqp://u:secret@host/x?ca="),
        (open_bus, "amqp://u:secret@host/x?cafile="),
        (open_cache, "redis://:secret@host/0?ca="),
        (S3Blobs, "s3://key:secret@bucket?endpoint=http://host&ca="),
    ],
)
@pytest.mark.parametrize("file", ["", __file__])
def test_an_authority_in_a_url_that_asks_for_no_tls_is_refused(
    opens: Callable[[str], object], url: str, file: str
) -> None:
    with pytest.raises(WrongUrl, match="= is for a URL that asks for TLS"):
        opens(url + file)


def test_a_url_that_says_nothing_of_tls_leaves_it_to_the_variables_of_the_driver() -> None:
    assert "ssl" not in postgres.connect_args(postgres.address("postgresql+asyncpg://u:p@host/x"))
    said = postgres.connect_args(postgres.address("postgresql+asyncpg://u:p@host/x?ssl=require"))
    assert said["ssl"] == "require"


@pytest.mark.parametrize("file", ["", "/nope"])
@pytest.mark.parametrize(
    ("opens", "url"),
    [
        (Database, "postgresql+asyncpg://u:secret@host/x?ca="),
        (open_bus, "amqps://u:secret@host/x?ca="),
        (open_cache, "rediss://:secret@host/0?ca="),
        (S3Blobs, "s3://key:secret@bucket?endpoint=https://host&ca="),
    ],
    ids=SERVERS,
)
def test_a_file_that_holds_no_certificates_is_refused_before_anything_is_connected(
    opens: Callable[[str], object], url: str, file: str
) -> None:
    with pytest.raises(WrongUrl, match=r"^ca= names no readable file of certificates"):
        opens(url + file)
