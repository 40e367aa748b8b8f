"""A gateway is sent requests from the moment it listens: nobody before it asks whether it is ready."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any


async def test_a_gateway_that_listens_can_judge_tokens_at_once(
    new_site: Callable[..., AbstractAsyncContextManager[Any]],
    another: Callable[..., AbstractAsyncContextManager[Any]],
    tmp_path: Any,
) -> None:
    async with new_site(tmp_path) as site:
        site.services.feed_seconds = 0.5
        async with another(site) as second:
            reply = await second.get("/api/me", headers=second.bearer())
            assert reply.status == 200, reply.json()
