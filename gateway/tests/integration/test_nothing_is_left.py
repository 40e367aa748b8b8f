"""After a storm of clients that hang up anywhere, everything the gateway counted or held is back."""

import asyncio
import random

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRACK = "/api/stream/019a0000-0000-7000-8000-000000000000"
PART = b"z" * 65536


def requests(number: int, token: str, dice: random.Random) -> list[bytes]:
    """One of each kind, the bodies of any length."""
    return [
        f"GET {TRACK} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
        f"GET /api/genres?cursor={number % 5} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
        f"POST /api/uploads HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\n"
        f"Content-Length: {len(PART) * 8}\r\n\r\n".encode() + PART * dice.randrange(9),
        b"POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n" + b"x" * dice.randrange(60),
        b"GET /api/search HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5,
    ]  # fmt: skip


async def test_after_a_storm_of_broken_clients_nothing_is_left(new_site, tmp_path) -> None:
    dice = random.Random(7)

    async def sometimes(seen, send) -> None:
        await asyncio.sleep(dice.random() * 0.05)
        if dice.random() < 0.2:
            raise RuntimeError("crash")
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"audio/mpeg")]}
        )
        for _ in range(dice.randrange(20)):
            await send({"type": "http.response.body", "body": PART, "more_body": True})
        if dice.random() < 0.2:
            raise RuntimeError("crash")
        await send({"type": "http.response.body", "body": b""})

    async def swallow(seen, send) -> None:
        try:
            await site.services.read_body(seen)
        except ConnectionError:
            return
        await site.services.reply(send, 202, {})

    async def client(number: int) -> None:
        data = dice.choice(requests(number, tokens[number % len(tokens)], dice))
        if dice.random() < 0.3:
            data = data[: dice.randrange(len(data))]
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        try:
            writer.write(data)
            await asyncio.wait_for(writer.drain(), 0.5)
            await asyncio.wait_for(reader.read(dice.choice([1, 1000, 200_000])), dice.random() * 0.2)
        except (TimeoutError, ConnectionError):
            pass
        if dice.random() < 0.5:
            writer.transport.abort()
        else:
            writer.close()

    async with new_site(
        tmp_path, connections_per_address=1000, calls_per_upstream=64, streams_per_upstream=64
    ) as site:
        site.services.handlers |= {TRACK: sometimes, "/api/genres": sometimes, "/api/uploads": swallow}
        tokens = [site.bearer()["authorization"] for _ in range(5)]
        await asyncio.gather(*(client(number) for number in range(100)))
        await settled(site)
        before = len(asyncio.all_tasks())
        for _ in range(4):
            await asyncio.gather(*(client(number) for number in range(100)))
        await settled(site)
        assert len(asyncio.all_tasks()) <= before + 10
        assert (await site.get("/api/search")).status == 200


async def settled(site) -> None:
    """Wait until every compartment is empty, every flight has landed and every connection is gone."""
    upstreams = site.gateway._parts.forwarder._upstreams
    answers = site.gateway._parts.answers._answers

    def left() -> dict[str, int]:
        instances = {name: upstreams[name].instances.every[0] for name in upstreams.names()}
        busy = {name: 192 - sum(room._free for room in one.rooms.values()) for name, one in instances.items()}
        assert busy == {name: one.busy for name, one in instances.items()}
        return {**busy, "flights": len(answers._flights), "connections": len(site.gateway.guard._open)}

    async with asyncio.timeout(15):
        while any(left().values()):
            await asyncio.sleep(0.05)
