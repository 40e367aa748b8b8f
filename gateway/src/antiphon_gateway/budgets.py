"""Request bodies, read no faster than needed and no slower than allowed.

A small body is read whole before a service hears of it, so a slow client never holds one up. A large one
flows through, counted as it goes. Only time spent waiting for the client counts against it: over `grace`
seconds of waiting it must have kept up 1 KB/s.
"""

import asyncio
import time

from antiphon_common.web.middleware import json_nests_deeper
from antiphon_gateway.exchange import Exchange
from antiphon_gateway.problems import ClientGone, Refused

JSON_BYTES = 256 * 1024
JSON_DEPTH = 32
BYTES_PER_SECOND = 1024


class BodyReader:
    """Reads the body of one request. `failure` keeps what went wrong for whoever drove the reading."""

    def __init__(self, exchange: Exchange, *, limit: int, grace: float) -> None:
        self._exchange = exchange
        self._limit = limit
        self._grace = grace
        self._waited = 0.0
        self._size = 0
        self.more = True
        self.failure: Exception | None = None
        announced = exchange.fields.get(b"content-length")
        self.length = int(announced) if announced is not None and announced.isdigit() else None
        if self.length is not None and self.length > limit:
            raise self._too_large()

    async def whole(self) -> bytes:
        """The whole body."""
        chunks = []
        while self.more:
            chunks.append(await self.next())
        return b"".join(chunks)

    async def next(self) -> bytes:
        """The next part. Raises 413, 408 and `ClientGone`, and remembers it as `failure`."""
        try:
            return await self._next()
        except (Refused, ClientGone) as error:
            self.failure = error
            raise

    async def _next(self) -> bytes:
        # The wait that would bring the average below the floor ends here.
        allowed = self._grace + self._size / BYTES_PER_SECOND - self._waited
        began = time.perf_counter()
        try:
            async with asyncio.timeout(allowed):
                chunk, self.more = await self._exchange.receive()
        except TimeoutError:
            raise Refused(408, "body_too_slow", detail="The body came too slowly.", close=True) from None
        self._waited += time.perf_counter() - began
        self._size += len(chunk)
        if self._size > self._limit:
            raise self._too_large()
        return chunk

    def _too_large(self) -> Refused:
        return Refused(413, "body_too_large", detail=f"The body may have {self._limit} bytes.", close=True)


def check_depth(body: bytes) -> None:
    """Raises 400 for JSON nested deeper than 32 levels."""
    if json_nests_deeper(body, JSON_DEPTH):
        raise Refused(400, "json_too_deep", detail=f"The JSON is nested deeper than {JSON_DEPTH} levels.")
