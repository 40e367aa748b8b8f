"""Users of the broker try what they may and everything they may not, on a real one."""

import string
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from random import SystemRandom
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import UUID

import aiormq
import pytest
from aiormq.channel import Channel
from pydantic import BaseModel

from antiphon_common.bus import Envelope, Unroutable
from antiphon_common.bus.amqp import topology
from antiphon_common.bus.amqp.link import Link
from antiphon_common.bus.amqp.rights import rights, topic_rights
from antiphon_common.clock import SystemClock
from antiphon_common.errors import Forbidden
from antiphon_common.ids import new_id
from antiphon_common.testing.isolation import _request
from antiphon_common.testing.servers import Servers
from antiphon_common.testing.suites.bus import Inbox, letters, opened


@dataclass(frozen=True)
class Users:
    """Two users of one virtual host: `maker` publishes what `taker` consumes."""

    maker: str
    taker: str
    maker_url: str
    taker_url: str
    operator_url: str

    def event(self, kind: str = "changed", *, of: str | None = None, value: str = "") -> Envelope:
        class Said(BaseModel):
            type: ClassVar[str] = f"{of or self.maker}.{kind}"
            subject: UUID
            revision: int
            value: str

        return Envelope.of(Said(subject=new_id(), revision=1, value=value), SystemClock())


def _name() -> str:
    return "".join(SystemRandom().choices(string.ascii_lowercase, k=12))


def _as(url: str, name: str) -> str:
    at = urlsplit(url)
    return urlunsplit(at._replace(netloc=f"{name}:secret-of-{name}@{at.hostname}:{at.port}"))


@pytest.fixture(params=["", "4"], ids=["rabbitmq", "rabbitmq4"])
async def users(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Users]:
    """What an operator makes: exchanges, queues, and two users with their rights; the taker has copies."""
    flavour: str = request.param
    amqp_url: str = request.getfixturevalue(f"amqp{flavour}_url")
    maker, taker = _name(), _name()
    consumes = {maker: [f"{taker}.replied"], taker: [f"{maker}.changed"]}
    api, vhost = servers.need(f"rabbitmq{flavour}")[f"RABBITMQ{flavour}_API"], urlsplit(amqp_url).path[1:]
    operator = Link(amqp_url, "operator")
    operator.start()
    await operator.declare(topology.shared())
    for name, types in consumes.items():
        await operator.declare(topology.of_publisher(name))
        await operator.declare(topology.of_consumer(name, types))
        _request("PUT", f"{api}/users/{name}", {"password": f"secret-of-{name}", "tags": ""})
        _request("PUT", f"{api}/permissions/{vhost}/{name}", asdict(rights(name, copies=name == taker)))
        for each in topic_rights(name, types, copies=name == taker):
            _request("PUT", f"{api}/topic-permissions/{vhost}/{name}", asdict(each))
    await operator.stop()
    yield Users(maker, taker, _as(amqp_url, maker), _as(amqp_url, taker), amqp_url)
    for name in consumes:
        _request("DELETE", f"{api}/users/{quote(name)}")


async def refused(url: str, act: Callable[[Channel], Awaitable[Any]]) -> bool:
    """Whether the broker refuses this to the URL's user."""
    link = Link(url, "test")
    link.start()
    try:
        async with link.brief() as channel:
            await act(channel)
    except Forbidden:
        return True
    finally:
        await link.stop()
    return False


async def publish_raw(url: str, exchange: str, key: str) -> str:
    """What becomes of a message that is published by hand: `forbidden`, `unroutable` or `published`."""
    link = Link(url, "test")
    link.start()
    try:
        channel = await link.channel(confirms=True)
        await channel.basic_publish(b"{}", exchange=exchange, routing_key=key, mandatory=True, timeout=5)
    except aiormq.exceptions.ChannelAccessRefused:
        return "forbidden"
    except aiormq.exceptions.PublishError:
        return "unroutable"
    finally:
        await link.stop()
    return "published"


async def test_a_service_publishes_consumes_retries_and_refills_with_its_own_user(users: Users) -> None:
    inbox = Inbox(bad=RuntimeError())
    async with opened(users.maker_url) as maker, opened(users.taker_url) as taker:
        await taker.consume(users.taker, [f"{users.maker}.changed"], inbox)
        await maker.publish([users.event(value="a"), users.event(value="bad")])
        await maker.send(users.taker, [users.event(value="refill")])
        assert sorted(await inbox.holds(2)) == ["a", "refill"]
        [letter] = await letters(taker, users.taker, 1)
        assert await taker.redrive(users.taker, [letter.id]) == 1
        await letters(taker, users.taker, 1)
        assert await taker.discard(users.taker, None) == 1


async def test_a_copy_of_a_service_may_have_a_queue_of_its_own_where_the_service_has_copies(
    users: Users,
) -> None:
    copy, inbox = f"{users.taker}-2", Inbox(bad=RuntimeError())
    async with opened(users.maker_url) as maker, opened(users.taker_url) as taker:
        await taker.consume(copy, [f"{users.maker}.changed"], inbox)
        await maker.publish([users.event(value="a"), users.event(value="bad")])
        await maker.send(copy, [users.event(value="refill")])
        assert sorted(await inbox.holds(2)) == ["a", "refill"]
        [letter] = await letters(taker, copy, 1)
        assert await taker.redrive(copy, [letter.id]) == 1
        await letters(taker, copy, 1)
        for other in (f"{users.taker}2", f"{users.maker}-2"):
            with pytest.raises(Forbidden, match="bus_forbidden"):
                await taker.bind(other, [f"{users.maker}.changed"])
        with pytest.raises(Forbidden, match="bus_forbidden"):
            await maker.bind(f"{users.maker}-2", [f"{users.taker}.replied"])
        assert await refused(users.maker_url, lambda c: c.queue_purge(copy))


async def test_a_service_cannot_publish_what_is_anothers_to_say(users: Users) -> None:
    stolen = users.event(of=users.taker, kind="replied")
    async with opened(users.maker_url) as maker:
        with pytest.raises(Forbidden, match="bus_forbidden"):
            await maker.publish([stolen])
        with pytest.raises(Forbidden, match="bus_forbidden"):
            await maker.send(users.taker, [stolen])
        await maker.publish([users.event()])
    outlet, other = topology.outlet(users.maker), f"{users.taker}.replied"
    for exchange, key in (
        (outlet, other), (outlet, f"{users.taker}.{other}"), (topology.EVENTS, f"{users.maker}.changed"),
        (topology.EVENTS, other), (topology.REFILL, f"{users.taker}.{other}"), ("", users.taker),
        (topology.outlet(users.taker), other), (topology.sorter(users.taker), users.taker),
        ("amq.topic", "x"), ("amq.direct", users.taker),
    ):  # fmt: skip
        assert await publish_raw(users.maker_url, exchange, key) == "forbidden", (exchange, key)


async def test_a_service_can_do_nothing_to_anothers_queues(users: Users) -> None:
    url, others = (
        users.maker_url,
        [users.taker, topology.dead_queue(users.taker), topology.retry_queue(users.taker, 1)],
    )

    async def nothing(_: object) -> None:
        pass

    for queue in others:
        declared = {"durable": True, "arguments": {"x-queue-type": "quorum"}}
        assert await refused(url, lambda c, q=queue: c.basic_get(q))
        assert await refused(url, lambda c, q=queue: c.basic_consume(q, nothing))
        assert await refused(url, lambda c, q=queue: c.queue_purge(q))
        assert await refused(url, lambda c, q=queue: c.queue_delete(q))
        assert await refused(url, lambda c, q=queue: c.queue_bind(q, topology.REFILL, f"{users.maker}.#"))
        assert await refused(
            url, lambda c, q=queue: c.queue_unbind(q, topology.EVENTS, f"{users.maker}.changed")
        )
        assert await refused(url, lambda c, q=queue, d=declared: c.queue_declare(f"{q}.more", **d))


async def test_a_service_cannot_change_what_all_share(users: Users) -> None:
    url, own = users.maker_url, topology.outlet(users.maker)
    for exchange in (topology.EVENTS, topology.REFILL, own, topology.sorter(users.taker)):
        assert await refused(url, lambda c, e=exchange: c.exchange_delete(e))
        assert await refused(
            url, lambda c, e=exchange: c.exchange_declare(e, exchange_type="topic", durable=True)
        )
    assert await refused(url, lambda c: c.exchange_declare("mine", exchange_type="fanout"))
    assert await refused(url, lambda c: c.queue_declare("mine"))
    assert await refused(url, lambda c: c.queue_declare("", exclusive=True))
    # Its way out cannot be led to where it may not write.
    assert await refused(url, lambda c: c.exchange_bind(topology.EVENTS, own, "#"))
    assert await refused(url, lambda c: c.exchange_bind(topology.sorter(users.taker), own, "#"))
    assert await refused(url, lambda c: c.exchange_unbind(topology.EVENTS, own, f"{users.maker}.*"))


async def test_a_service_hears_only_what_it_consumes(users: Users) -> None:
    url, queue = users.maker_url, users.maker
    assert not await refused(url, lambda c: c.queue_bind(queue, topology.EVENTS, f"{users.taker}.replied"))
    for source, key in (
        (topology.EVENTS, f"{users.taker}.secret"), (topology.EVENTS, "#"), (topology.REFILL, "#"),
        (topology.REFILL, f"{users.taker}.#"), (topology.outlet(users.taker), "#"), ("amq.topic", "#"),
        (topology.sorter(users.taker), users.taker), ("amq.rabbitmq.trace", "#"),
    ):  # fmt: skip
        assert await refused(url, lambda c, s=source, k=key: c.queue_bind(queue, s, k)), (source, key)


@pytest.mark.parametrize("exchange", ["", "events", "refill", "outlet of the other", "queues of the other"])
async def test_a_dead_letter_exchange_of_ones_own_forges_nothing(users: Users, exchange: str) -> None:
    """The broker asks nobody for the routing key of what it moves itself."""
    targets = {
        "outlet of the other": topology.outlet(users.taker), "queues of the other": topology.sorter(users.taker)
    }  # fmt: skip
    queue = topology.retry_queue(users.maker, 60)
    arguments = {
        "x-dead-letter-exchange": targets.get(exchange, exchange),
        "x-dead-letter-routing-key": f"{users.taker}.replied",
        "x-message-ttl": 1,
    }
    assert not await refused(users.maker_url, lambda c: c.queue_delete(queue))
    assert await refused(users.maker_url, lambda c: c.queue_declare(queue, durable=True, arguments=arguments))


async def test_what_dies_into_ones_own_outlet_stays_ones_own(users: Users) -> None:
    queue, forged = topology.retry_queue(users.maker, 60), f"{users.taker}.replied"
    inbox = Inbox()
    async with opened(users.operator_url) as operator, opened(users.maker_url) as maker:
        await operator.consume("listener", [forged, f"{users.maker}.changed"], inbox)
        link = Link(users.maker_url, "test")
        link.start()
        async with link.brief() as channel:
            await channel.queue_delete(queue)
            arguments = {
                "x-dead-letter-exchange": topology.outlet(users.maker), "x-dead-letter-routing-key": forged,
                "x-message-ttl": 1,
            }  # fmt: skip
            await channel.queue_declare(queue, durable=True, arguments=arguments)
            await channel.queue_bind(queue, topology.sorter(users.maker), queue)
        await link.stop()
        body = users.event(of=users.taker, kind="replied", value="forged").to_bytes()
        link = Link(users.maker_url, "test")
        link.start()
        channel = await link.channel(confirms=True)
        await channel.basic_publish(body, exchange=topology.sorter(users.maker), routing_key=queue, timeout=5)
        await link.stop()
        await maker.publish([users.event(value="true")])
        assert await inbox.holds(1) == ["true"]
        assert await operator.depth("listener") == 0
        assert inbox.calls == 1


async def test_events_for_nobody_are_said_to_be_so_and_the_others_are_published(users: Users) -> None:
    async with opened(users.maker_url) as maker:
        nobody, somebody = users.event("unheard"), users.event()
        with pytest.raises(Unroutable) as caught:
            await maker.publish([nobody, somebody])
        assert caught.value.ids == {nobody.id}
    async with opened(users.taker_url) as taker:
        assert await taker.depth(users.taker) == 1
