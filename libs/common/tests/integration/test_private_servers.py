"""Private servers: each fault is what its name says, and what was acknowledged survives it."""

import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as Refused
from redis.exceptions import TimeoutError as Silent

from antiphon_common.testing.servers import PrivateServer


@pytest.fixture(scope="module")
def server(private_server: Callable[[str], PrivateServer]) -> PrivateServer:
    return private_server("redis")


@pytest.fixture
def client(server: PrivateServer) -> Redis:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return Redis.from_url(server.url, socket_timeout=0.5, retry=Retry(NoBackoff(), 0))


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_an_ended_server_refuses_and_keeps_what_it_had(
    server: PrivateServer, client: Redis, end: str
) -> None:
    client.set("kept", end)
    getattr(server, end)()
    with pytest.raises(Refused):
        client.get("kept")
    server.start()
    assert client.get("kept") == end.encode()


def test_a_frozen_server_is_silent_until_it_is_thawed(server: PrivateServer, client: Redis) -> None:
    client.set("kept", "by freezing")
    server.freeze()
    at = urlsplit(server.url)
    with socket.create_connection((at.hostname, at.port), timeout=1):
        began = time.monotonic()
        with pytest.raises(Silent):
            client.get("kept")
        assert time.monotonic() - began >= 0.5
    server.thaw()
    assert client.get("kept") == b"by freezing"


def test_two_private_servers_are_two(
    server: PrivateServer, client: Redis, private_server: Callable[[str], PrivateServer]
) -> None:
    other = private_server("redis")
    client.set("mine", "1")
    with Redis.from_url(other.url) as stranger:
        assert stranger.get("mine") is None
        assert urlsplit(other.url).port != urlsplit(server.url).port
