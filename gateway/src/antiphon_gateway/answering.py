"""Answers that may be remembered: asked without identity, given with conditional requests and HEAD.

The upstream request holds only what the key holds, so nothing a client adds can poison what others get.
"""

from antiphon_common.web.etags import is_unchanged
from antiphon_gateway.caching import AnswerCache, Fetched, Remembered
from antiphon_gateway.exchange import Exchange
from antiphon_gateway.headers import answered_headers
from antiphon_gateway.matching import Target
from antiphon_gateway.paths import known_query
from antiphon_gateway.policy import Public
from antiphon_gateway.problems import foreign_error
from antiphon_gateway.upstream import Request, Upstreams


class PublicAnswers:
    """Answers public routes from the cache or the service."""

    def __init__(self, answers: AnswerCache, upstreams: Upstreams) -> None:
        self._answers = answers
        self._upstreams = upstreams

    @staticmethod
    def concerns(exchange: Exchange, policy: Public) -> bool:
        """Whether this request may be answered with what others were answered."""
        return policy.shared or b"authorization" not in exchange.fields

    async def answer(self, exchange: Exchange, target: Target, policy: Public) -> None:
        """Answer the exchange. Raises `Refused`."""
        path = target.path(exchange.ids)
        query = known_query(exchange.query, policy.query)
        whole = f"{path}?{query}" if query else path
        audience = "everyone" if policy.shared else "anonymous"
        traceparent = exchange.traceparent

        async def fetch() -> Fetched:
            return await self._fetch(target, whole, traceparent)

        found = await self._answers.get(
            f"GET {audience} {whole}", seconds=policy.seconds, tags=target.tags(exchange.ids), fetch=fetch
        )
        if isinstance(found, Fetched):
            headers = [pair for pair in found.headers if pair[0] not in (b"content-length", b"set-cookie")]
            if not any(name == b"cache-control" for name, _ in headers):
                headers.append((b"cache-control", b"no-store"))
            await exchange.answer(found.status, found.body, headers=headers)
            return
        await _give(exchange, found)

    async def _fetch(self, target: Target, path: str, traceparent: str) -> Fetched:
        with self._upstreams[target.route.service].call() as call:
            answer, body = await call.whole(Request("GET", path, [("traceparent", traceparent)]))
        headers = answered_headers(answer.headers, cookies=True)
        if foreign := foreign_error(answer.status, headers):
            raise foreign
        return Fetched(answer.status, headers, body)


async def _give(exchange: Exchange, found: Remembered) -> None:
    sent = exchange.fields.get(b"if-none-match", b"").decode("latin-1")
    if is_unchanged(sent, found.etag.decode("latin-1")):
        kept = (b"etag", b"cache-control", b"vary", b"expires", b"content-language")
        await exchange.start(304, [pair for pair in found.headers if pair[0] in kept])
        await exchange.write(b"", more=False)
        return
    await exchange.answer(200, found.body, headers=found.headers)
