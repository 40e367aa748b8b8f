"""A place of its own on a shared server, for one test: made here, removed after it.

Each function takes the server's URL and yields that of the new place, in the form that settings take. The
libraries are imported late: most runs of the tests touch no server.
"""

import asyncio
import json
import time
import urllib.request
from base64 import b64encode
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from secrets import token_hex
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

_LEASE_SECONDS = 600


@contextmanager
def postgres_database(server_url: str, *, template: str = "template1") -> Iterator[str]:
    """A new database, a copy of `template`; who connects is the server's administrator."""
    name = f"test_{token_hex(6)}"
    administrator = server_url.replace("+asyncpg", "", 1)
    _run(_execute(administrator, f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        _run(_execute(administrator, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


@contextmanager
def amqp_vhost(server_url: str, api_url: str) -> Iterator[str]:
    """A new virtual host, made by the management API (`http://user:password@host:port/api`)."""
    name = f"test-{token_hex(6)}"
    user = urlsplit(server_url).username or "guest"
    _request("PUT", f"{api_url}/vhosts/{name}", {})
    try:
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        _request("PUT", f"{api_url}/permissions/{name}/{user}", everything)
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        _request("DELETE", f"{api_url}/vhosts/{name}")


@contextmanager
def redis_database(server_url: str) -> Iterator[str]:
    """An empty numbered database, leased for ten minutes by a key in database 0.

    Channels of publish and subscribe know no databases: name them freshly.
    """
    redis = import_module("redis").Redis
    at = urlsplit(server_url)
    leases = redis.from_url(urlunsplit(at._replace(path="/0")))
    owner = token_hex(6)
    number = _lease(leases, owner)
    url = urlunsplit(at._replace(path=f"/{number}"))
    database = redis.from_url(url)
    database.flushdb()
    try:
        yield url
    finally:
        database.flushdb()
        leases.delete(f"antiphon:test-database:{number}")
        database.close()
        leases.close()


@contextmanager
def elasticsearch_alias(server_url: str) -> Iterator[str]:
    """An unused name; every index whose name begins with it is removed afterwards."""
    name = f"test-{token_hex(6)}"
    url = alias_url(server_url, name)
    base = url.replace("elasticsearch+https:", "https:").replace("elasticsearch:", "http:").rpartition("/")[0]
    try:
        yield url
    finally:
        # one by one: a server refuses to delete by a pattern unless it is told not to
        for index in _request("GET", f"{base}/_cat/indices/{name}*?format=json&expand_wildcards=all"):
            _request("DELETE", f"{base}/{index['index']}")


@contextmanager
def s3_bucket(server_url: str) -> Iterator[str]:
    """A new bucket; the server is an `s3://key:secret@?endpoint=...&region=us-east-1` without a bucket."""
    name = f"test-{token_hex(6)}"
    store = _store(server_url)
    url = make_bucket(server_url, name)
    bucket = store.Bucket(name)
    try:
        yield url
    finally:
        for upload in bucket.multipart_uploads.all():
            upload.abort()
        bucket.objects.delete()
        bucket.delete()


def whole_place(name: str, server_url: str) -> str:
    """A whole server as a setting: with an alias, or with a bucket that is made now."""
    if name == "elasticsearch":
        return alias_url(server_url, "test")
    return make_bucket(server_url, "test") if name == "s3" else server_url


def alias_url(server_url: str, alias: str) -> str:
    """The setting for an alias; the server is an `http(s)://` or an `elasticsearch(+https)://` address."""
    at = urlsplit(server_url)
    tls = "+https" if at.scheme in {"https", "elasticsearch+https"} else ""
    return f"elasticsearch{tls}://{at.netloc}/{alias}"


def make_bucket(server_url: str, name: str) -> str:
    """Make a bucket; the setting for it."""
    _store(server_url).create_bucket(Bucket=name)
    at = urlsplit(server_url)
    return urlunsplit(at._replace(netloc=f"{at.netloc}{name}"))


def _store(server_url: str) -> Any:
    boto3, config = import_module("boto3"), import_module("botocore.config")
    at = urlsplit(server_url)
    options = {name: values[0] for name, values in parse_qs(at.query).items()}
    return boto3.resource(
        "s3", endpoint_url=options.get("endpoint"), region_name=options.get("region", "us-east-1"),
        aws_access_key_id=unquote(at.username) if at.username else None,
        aws_secret_access_key=unquote(at.password) if at.password else None,
        config=config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
    )  # fmt: skip


def _lease(leases: Any, owner: str) -> int:
    """A numbered database that no other test holds; waits for one when all are taken."""
    highest = int(leases.config_get("databases")["databases"]) - 1
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for number in range(1, highest + 1):
            if leases.set(f"antiphon:test-database:{number}", owner, nx=True, ex=_LEASE_SECONDS):
                return number
        time.sleep(0.05)
    raise TimeoutError(f"all {highest} Redis databases are leased by other tests")


async def _execute(url: str, statement: str) -> None:
    connection = await import_module("asyncpg").connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine beside the loop that the test may have."""
    with ThreadPoolExecutor(1) as beside:
        beside.submit(asyncio.run, work).result()


def _request(method: str, url: str, body: object = None) -> Any:
    """One JSON call over HTTP; the URL may carry a user and a password."""
    at = urlsplit(url)
    netloc = at.netloc.rpartition("@")[2]
    target = urlunsplit(at._replace(netloc=netloc))
    request = urllib.request.Request(target, method=method, headers={"content-type": "application/json"})
    if at.username:
        secret = f"{unquote(at.username)}:{unquote(at.password or '')}"
        request.add_header("authorization", f"Basic {b64encode(secret.encode()).decode()}")
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(request, data, timeout=30) as answer:
        return json.loads(answer.read() or b"null")
