"""Pages of other origins: nobody by default, else exactly the origins on the list.

Credentials are never allowed across origins, so the session cookie works from our own origin only; a page
elsewhere sends its access token in a header.
"""

from collections.abc import Collection

from antiphon_gateway.exchange import Exchange

_EXPOSED = (
    b"access-control-expose-headers",
    b"etag, location, retry-after, ratelimit, ratelimit-policy, content-range, accept-ranges",
)
_HEADERS = (
    b"access-control-allow-headers",
    b"authorization, content-type, idempotency-key, if-match, if-none-match, if-range, range, traceparent",
)


class Cors:
    """The allow-list of origins."""

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = {origin.encode() for origin in origins}

    def open_to(self, exchange: Exchange) -> bool:
        """Whether the request comes from a page of an allowed origin; marks the answer for it."""
        origin = exchange.fields.get(b"origin")
        if origin is None or origin not in self._origins:
            return False
        exchange.extra.append((b"access-control-allow-origin", origin))
        exchange.extra.append(_EXPOSED)
        return True

    @staticmethod
    def is_preflight(exchange: Exchange) -> bool:
        """Whether a browser asks what it may send (Fetch, 4.8)."""
        return exchange.method == "OPTIONS" and b"access-control-request-method" in exchange.fields

    @staticmethod
    async def answer_preflight(exchange: Exchange, allow: bytes) -> None:
        """Tell the browser what this path takes."""
        headers = [(b"access-control-allow-methods", allow), _HEADERS, (b"access-control-max-age", b"600")]
        await exchange.start(204, headers)
        await exchange.write(b"", more=False)
