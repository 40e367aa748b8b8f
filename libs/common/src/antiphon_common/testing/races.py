"""Two units at once, in the order that hurts most."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

U = TypeVar("U")
Work = Callable[[U], Awaitable[object]]

_HEAD_START = 0.15


async def raced(
    open_unit: Callable[[], AbstractAsyncContextManager[U]], first: Work[U], second: Work[U]
) -> None:
    """Run `second` while `first` has done everything but commit.

    Who waits for a lock waits until then; who does not has read what is about to be overwritten. Raises what
    either raises.
    """

    async def other() -> None:
        async with open_unit() as unit:
            await second(unit)

    async with open_unit() as unit:
        await first(unit)
        task = asyncio.create_task(other())
        await asyncio.wait([task], timeout=_HEAD_START)
    await task
