"""The outermost callable: every byte from outside passes here, in one order, before anything else sees it.

Raw ASGI on purpose (docs/performance.md): target, headers, host, route, caller, limit, then the cache or the
service. A step that is not satisfied raises `Refused`; here is the only place that answers it.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from antiphon_common.principal import Principal
from antiphon_gateway.access import Gatekeeper
from antiphon_gateway.accesslog import AccessLog
from antiphon_gateway.addresses import Addresses, bucket_of
from antiphon_gateway.answering import PublicAnswers
from antiphon_gateway.cors import Cors
from antiphon_gateway.exchange import Exchange, Receive, Scope, Send, Style
from antiphon_gateway.forwarding import Forwarder
from antiphon_gateway.guard import Guard
from antiphon_gateway.headers import check_framing, has_body, read_fields
from antiphon_gateway.hosts import Hosts
from antiphon_gateway.matching import Found, Table, Target
from antiphon_gateway.measuring import Measures
from antiphon_gateway.paths import canonical_path, check_target
from antiphon_gateway.policy import Access, Body, Rate
from antiphon_gateway.problems import ClientGone, Refused
from antiphon_gateway.ratelimit import FAILED, RateLimiter
from antiphon_gateway.tracing import Traces

OwnPage = Callable[[Exchange], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a gateway is made of."""

    table: Table
    own: Mapping[str, OwnPage]
    hosts: Hosts
    addresses: Addresses
    cors: Cors
    gatekeeper: Gatekeeper
    limiter: RateLimiter
    answers: PublicAnswers
    forwarder: Forwarder
    traces: Traces
    style: Style
    access_log: AccessLog
    log: FilteringBoundLogger
    measures: Measures | None = None


class Gateway:
    """The ASGI application. `guard` is what its server's connections answer to (see `serving`).

    `stop_soon` is told before the end: the gateway is not ready from then on, and goes on answering.
    `missing` says what it lacks to be ready.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        guard: Guard,
        lifespan: Callable[[], AbstractAsyncContextManager[None]],
        stop_soon: Callable[[], None],
        missing: Callable[[], Awaitable[Collection[str]]],
    ) -> None:
        self._parts = parts
        self.lifespan = lifespan
        self.guard = guard
        self.stop_soon = stop_soon
        self.missing = missing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = self._parts
        exchange = Exchange(scope, receive, send, style=parts.style)
        try:
            await self._answer(exchange)
        except Refused as refused:
            await self._refuse(exchange, refused)
        except ClientGone:
            exchange.status = 499
        except Exception:
            # The boundary: logged with its stack, answered without it.
            parts.log.exception("request_failed", method=exchange.method, path=exchange.path)
            await self._refuse(
                exchange, Refused(500, "internal_error", detail="Something went wrong on our side.")
            )
        finally:
            parts.access_log.note(exchange)
            if parts.measures:
                parts.measures.note(exchange)
            if exchange.span:
                parts.traces.end(exchange.span, exchange.method, exchange.template, exchange.status)

    def _trace(self, exchange: Exchange, header: bytes | None) -> None:
        exchange.trace_id, exchange.traceparent, exchange.span = self._parts.traces.begin(header)

    async def _refuse(self, exchange: Exchange, refused: Refused) -> None:
        if not exchange.trace_id:
            self._trace(exchange, None)
        if exchange.answered:
            self._parts.log.warning("answer_cut", path=exchange.path, code=refused.code)
        await exchange.refuse(refused)

    async def _answer(self, exchange: Exchange) -> None:
        parts, scope = self._parts, exchange.scope
        refusal = scope.get("state", {}).get("refusal")
        if refusal:
            raise refusal
        raw_path = scope["raw_path"]
        check_target(raw_path, exchange.query)
        fields = exchange.fields = read_fields(scope["headers"])
        check_framing(fields, http_version=scope["http_version"])
        self._trace(exchange, fields.get(b"traceparent"))
        exchange.peer = scope["client"][0] if scope["client"] else ""
        exchange.address = parts.addresses.client(exchange.peer, fields)
        exchange.path = path = canonical_path(raw_path)
        parts.hosts.check(fields)
        from_elsewhere = parts.cors.open_to(exchange)
        page = parts.own.get(path)
        if page is not None:
            await self._own(exchange, page)
            return
        found = parts.table.find(path)
        if from_elsewhere and parts.cors.is_preflight(exchange):
            await parts.cors.answer_preflight(exchange, found.allow)
            return
        await self._route(exchange, found, found.target(exchange.method))

    async def _own(self, exchange: Exchange, page: OwnPage) -> None:
        if exchange.method not in ("GET", "HEAD"):
            raise Refused(
                405, "method_not_allowed", detail="This method is not allowed here.",
                headers=[(b"allow", b"GET, HEAD")],
            )  # fmt: skip
        exchange.template = exchange.path
        exchange.extra += await self._parts.limiter.take(Rate.READ, bucket_of(exchange.address))
        await page(exchange)

    async def _route(self, exchange: Exchange, found: Found, target: Target) -> None:
        parts, route = self._parts, target.route
        exchange.template, exchange.ids = route.path, found.ids
        if route.body is Body.NONE and has_body(exchange.fields):
            raise Refused(400, "body_not_allowed", detail="This request takes no body.", close=True)
        exchange.principal = await self._admit(exchange, target)
        principal = exchange.principal
        caller = str(principal.user_id) if principal else bucket_of(exchange.address)
        exchange.extra += await parts.limiter.take(route.rate, caller)
        if route.access is Access.ANYONE and not (route.cache and route.cache.shared):
            # A browser that has just logged out must not show what it kept from before.
            exchange.extra.append((b"vary", b"authorization"))
        if route.cache is not None and parts.answers.concerns(exchange, route.cache):
            await parts.answers.answer(exchange, target, route.cache)
        else:
            await parts.forwarder.forward(exchange, target)

    async def _admit(self, exchange: Exchange, target: Target) -> Principal | None:
        parts, authorization = self._parts, exchange.fields.get(b"authorization")
        try:
            return await parts.gatekeeper.admit(target.route.access, authorization)
        except Refused as refused:
            if refused.status == 401 and authorization is not None:
                # Guessing tokens has its price, which the address pays.
                exchange.extra += await parts.limiter.take(FAILED, bucket_of(exchange.address))
            raise

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        stage = "startup"
        try:
            async with self.lifespan():
                await send({"type": "lifespan.startup.complete"})
                stage = "shutdown"
                await receive()
        except Exception as error:
            # The server is told, and ends with this sentence.
            self._parts.log.exception("lifespan_failed", stage=stage)
            await send({"type": f"lifespan.{stage}.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})
