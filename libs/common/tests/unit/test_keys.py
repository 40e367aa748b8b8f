"""The keys that auth publishes: fetched when needed, kept while auth is away, put off before it was there."""

import asyncio
from pathlib import Path

import orjson
import pytest

from antiphon_common.clock import FixedClock
from antiphon_common.errors import Unavailable
from antiphon_common.schemes import WrongUrl
from antiphon_common.testing.tokens import TokenMaker
from antiphon_common.web.identity import JwksClient, Verifier


@pytest.fixture
def maker(tmp_path: Path, clock: FixedClock) -> TokenMaker:
    return TokenMaker(tmp_path, clock=clock)


class Auth:
    """An auth service whose key document can be counted, changed, delayed and taken away."""

    def __init__(self, *makers: TokenMaker) -> None:
        self.body: bytes | None = orjson.dumps({"keys": [maker.jwk() for maker in makers]})
        self.fetches = 0
        self.gate = asyncio.Event()
        self.gate.set()

    def client(self, **settings: float) -> JwksClient:
        client = JwksClient("http://auth.invalid/jwks.json", **settings)
        client._read = self._read  # type: ignore[method-assign]
        return client

    async def _read(self) -> bytes:
        self.fetches += 1
        await self.gate.wait()
        if self.body is None:
            raise ConnectionRefusedError
        return self.body


@pytest.fixture
def other(tmp_path: Path) -> TokenMaker:
    return TokenMaker(tmp_path, kid="next")


async def test_five_thousand_unknown_kids_fetch_the_keys_hardly_ever(maker: TokenMaker) -> None:
    auth = Auth(maker)
    client = auth.client()
    assert await client.find("test")
    found = await asyncio.gather(*(client.find(f"forged-{number}") for number in range(5000)))
    assert not any(found)
    assert auth.fetches <= 2


async def test_a_cold_start_under_load_fetches_once(maker: TokenMaker) -> None:
    auth = Auth(maker)
    client = auth.client()
    assert all(await asyncio.gather(*(client.find("test") for _ in range(500))))
    assert auth.fetches == 1


@pytest.mark.parametrize(
    "body",
    [None, b"", b"<html>", b"[]", b"7", b"{}", b'{"keys": []}', b'{"keys": 7}', b'{"keys": [null, 7, []]}',
     b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "test", "x": "!"}]}',
     b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": ["test"], "x": "AAAA"}]}'],
)  # fmt: skip
async def test_while_auth_is_away_or_confused_the_keys_we_have_stay(
    maker: TokenMaker, body: bytes | None
) -> None:
    auth = Auth(maker)
    client = auth.client(refresh_seconds=0, retry_seconds=0)
    assert await client.find("test")
    auth.body = body
    for _ in range(3):
        assert await client.find("test")
        assert await client.find("unknown") is None
    assert auth.fetches > 3


async def test_a_key_that_is_due_is_good_while_somebody_else_asks_a_slow_auth(maker: TokenMaker) -> None:
    auth = Auth(maker)
    client = auth.client(refresh_seconds=0, retry_seconds=0)
    await client.find("test")
    auth.gate.clear()
    asking = asyncio.create_task(client.find("test"))
    await asyncio.sleep(0.01)
    assert all(await asyncio.wait_for(asyncio.gather(*(client.find("test") for _ in range(50))), 0.5))
    auth.gate.set()
    assert await asking


async def test_a_rotated_key_is_found_and_a_retired_one_forgotten(
    maker: TokenMaker, other: TokenMaker
) -> None:
    auth = Auth(maker)
    client = auth.client(refresh_seconds=0.01, retry_seconds=0)
    assert await client.find("test")
    auth.body = orjson.dumps({"keys": [maker.jwk(), other.jwk()]})
    assert await client.find("next")
    auth.body = orjson.dumps({"keys": [other.jwk()]})
    await asyncio.sleep(0.02)
    assert await client.find("test") is None
    assert await client.find("next")


async def test_keys_may_come_from_a_file(maker: TokenMaker, tmp_path: Path) -> None:
    assert await JwksClient(maker.jwks_url).find("test")
    with pytest.raises(Unavailable, match="keys_unavailable"):
        await JwksClient(f"file://{tmp_path}/nowhere.json").find("test")


@pytest.mark.parametrize(("size", "taken"), [(64 * 1024, True), (64 * 1024 + 1, False), (1024 * 1024, False)])
async def test_a_document_of_64_kibibytes_is_read_and_no_longer_one(
    maker: TokenMaker, tmp_path: Path, *, size: int, taken: bool
) -> None:
    file = tmp_path / "long.json"
    # What is over is white space: to stop reading there would leave a document that looks whole.
    file.write_bytes(orjson.dumps({"keys": [maker.jwk()]}).ljust(size))
    client = JwksClient(f"file://{file}")
    if taken:
        assert await client.find("test")
    else:
        with pytest.raises(Unavailable, match="keys_unavailable"):
            await client.find("test")
    assert await JwksClient(f"file://{file},{maker.jwks_url}").find("test"), "another address has them"


async def test_a_token_before_any_key_is_known_is_not_refused_but_put_off(
    maker: TokenMaker, clock: FixedClock
) -> None:
    auth = Auth(maker)
    published, auth.body = auth.body, None
    client = auth.client()
    verifier = Verifier(client, issuer="antiphon", audience="antiphon", clock=clock)
    token = maker.sign(maker.claims(at=clock.now()))
    for ask in (client.ping(), verifier.verify(token)):
        with pytest.raises(Unavailable) as caught:
            await ask
        assert (caught.value.code, caught.value.retry_after) == ("keys_unavailable", 1)
    auth.body = published
    await asyncio.sleep(0.25)
    await client.ping()
    assert await verifier.verify(token)


@pytest.mark.parametrize(
    "url", ["ftp://auth/jwks", "auth:8001/jwks", "", "http://auth,https:///x", "http://auth:abc/x", "file://"]
)
def test_an_address_that_can_never_have_keys_is_refused(url: str) -> None:
    with pytest.raises(WrongUrl, match="keys are at http"):
        JwksClient(url)
