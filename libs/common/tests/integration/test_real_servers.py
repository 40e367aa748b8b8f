"""The fixtures that give a test a place on a real server, and the proxy that stands before it."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from antiphon_common.testing.isolation import (
    amqp_vhost,
    elasticsearch_alias,
    postgres_database,
    redis_database,
    s3_bucket,
)
from antiphon_common.testing.proxy import FaultProxy
from antiphon_common.testing.running import eventually
from antiphon_common.testing.servers import Servers

MakeProxy = Callable[[str, int], Awaitable[FaultProxy]]
Talk = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def test_a_database_is_fresh_and_gone_afterwards(servers: Servers) -> None:
    import asyncpg

    with postgres_database(servers.need("postgres")["POSTGRES_URL"]) as url:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
        await connection.execute("CREATE TABLE public.one (id int)")
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(url.replace("+asyncpg", ""))
    with suppress(asyncpg.PostgresError, OSError):
        await connection.close()


async def test_a_virtual_host_is_fresh_and_gone_afterwards(servers: Servers) -> None:
    import aio_pika

    found = servers.need("rabbitmq")
    with amqp_vhost(found["AMQP_URL"], found["RABBITMQ_API"]) as url:
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("one", durable=True, arguments={"x-queue-type": "quorum"})
            assert queue.declaration_result.message_count == 0
        address = f"{found['RABBITMQ_API']}/vhosts{urlsplit(url).path}"
        assert httpx.get(address).status_code == 200
    assert httpx.get(address).status_code == 404


def test_two_redis_databases_share_no_key(servers: Servers) -> None:
    from redis import Redis

    server = servers.need("redis")["REDIS_URL"]
    with redis_database(server) as one, redis_database(server) as other:
        first, second = Redis.from_url(one), Redis.from_url(other)
        first.set("key", "value")
        assert second.get("key") is None
    with Redis.from_url(one) as again:
        assert again.get("key") is None


def test_an_index_below_the_alias_is_removed_afterwards(servers: Servers) -> None:
    from elasticsearch import Elasticsearch

    server = servers.need("elasticsearch")["ELASTICSEARCH_URL"]
    with elasticsearch_alias(server) as url:
        address, _, alias = url.replace("elasticsearch://", "http://").rpartition("/")
        with Elasticsearch(address) as client:
            client.indices.create(index=f"{alias}-v1", aliases={alias: {}})
            assert client.indices.exists(index=alias)
    with Elasticsearch(address) as client:
        assert not client.indices.exists(index=f"{alias}-v1")


def test_a_bucket_is_fresh_and_gone_afterwards(servers: Servers) -> None:
    import boto3

    with s3_bucket(servers.need("s3")["S3_URL"]) as url:
        at = urlsplit(url)
    options = parse_qs(at.query)
    store = boto3.client(
        "s3", endpoint_url=options["endpoint"][0], region_name=options["region"][0],
        aws_access_key_id=at.username, aws_secret_access_key=at.password,
    )  # fmt: skip
    assert at.hostname not in [each["Name"] for each in store.list_buckets()["Buckets"]]
    with s3_bucket(servers.need("s3")["S3_URL"]) as url:
        name = urlsplit(url).hostname
        assert "Contents" not in store.list_objects_v2(Bucket=name)
        store.put_object(Bucket=name, Key="a", Body=b"bytes")
        store.create_multipart_upload(Bucket=name, Key="unfinished")
    assert name not in [each["Name"] for each in store.list_buckets()["Buckets"]]


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """The listen port of a server that answers each line with itself, twice."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while line := await reader.readline():
                writer.write(line * 2)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def proxy(fault_proxy: MakeProxy, echo: int) -> FaultProxy:
    return await fault_proxy("127.0.0.1", echo)


async def ask(talk: Talk, line: bytes = b"hello\n") -> bytes:
    talk[1].write(line)
    return await talk[0].readexactly(2 * len(line))


async def test_a_healthy_proxy_passes_bytes_and_the_end_of_them(proxy: FaultProxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await ask((reader, writer), b"x" * 50_000 + b"\n") == (b"x" * 50_000 + b"\n") * 2
    writer.write_eof()
    assert await reader.read() == b""


async def test_a_refusing_proxy_resets_what_is_open_and_refuses_what_is_new(proxy: FaultProxy) -> None:
    talk = await asyncio.open_connection("127.0.0.1", proxy.port)
    await ask(talk)
    proxy.refuse()
    with pytest.raises(ConnectionResetError):
        await talk[0].read()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", proxy.port)
    proxy.heal()
    assert await ask(await asyncio.open_connection("127.0.0.1", proxy.port)) == b"hello\n" * 2


async def test_a_blackhole_keeps_connections_and_lets_no_byte_pass_until_healed(proxy: FaultProxy) -> None:
    talk = await asyncio.open_connection("127.0.0.1", proxy.port)
    await ask(talk)
    proxy.blackhole()
    fresh = await asyncio.open_connection("127.0.0.1", proxy.port)
    answers = [asyncio.ensure_future(ask(each)) for each in (talk, fresh)]
    done, _ = await asyncio.wait(answers, timeout=0.2)
    assert not done
    proxy.heal()
    assert await asyncio.gather(*answers) == [b"hello\n" * 2] * 2


async def test_a_reset_hits_only_what_is_open(proxy: FaultProxy) -> None:
    talk = await asyncio.open_connection("127.0.0.1", proxy.port)
    await ask(talk)
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await talk[0].read()
    assert await ask(await asyncio.open_connection("127.0.0.1", proxy.port)) == b"hello\n" * 2
    assert proxy.connections == 1


async def test_a_delay_is_added_once_and_not_to_every_chunk(proxy: FaultProxy) -> None:
    talk = await asyncio.open_connection("127.0.0.1", proxy.port)
    proxy.delay(0.2)

    async def took() -> float:
        began = time.monotonic()
        await ask(talk, b"x" * 60_000 + b"\n")
        return time.monotonic() - began

    # A busy machine may add something to one of them, but not to each.
    assert await eventually(took, lambda seconds: seconds < 0.4) >= 0.2


@pytest.mark.parametrize("when", ["before connecting", "while open"])
async def test_a_cut_lets_so_many_bytes_of_the_answer_pass(proxy: FaultProxy, when: str) -> None:
    if when == "before connecting":
        proxy.cut_after(7)
    # a plain socket: a stream forgets what it has read when a reset follows
    client = socket.socket()
    client.settimeout(0)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", proxy.port))
    if when == "while open":
        await loop.sock_sendall(client, b"one\n")
        assert await loop.sock_recv(client, 100) == b"one\none\n"
        proxy.cut_after(7)
    await loop.sock_sendall(client, b"hello\n")
    got: list[bytes] = []

    async def read_all() -> None:
        while True:
            got.append(await loop.sock_recv(client, 100))

    with pytest.raises(ConnectionResetError):
        await read_all()
    assert b"".join(got) == b"hello\nh"
    client.close()
    proxy.heal()
    assert await ask(await asyncio.open_connection("127.0.0.1", proxy.port)) == b"hello\n" * 2


async def test_an_unreachable_server_behind_the_proxy_is_a_reset(fault_proxy: MakeProxy) -> None:
    proxy = await fault_proxy("127.0.0.1", 1)
    reader, _ = await asyncio.open_connection("127.0.0.1", proxy.port)
    with pytest.raises(ConnectionResetError):
        await reader.read()
