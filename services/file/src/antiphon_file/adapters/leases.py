"""Signs of life: the lease of an upload is extended while something works on it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import UUID

from antiphon_common.errors import Unavailable
from antiphon_file import usecases
from antiphon_file.domain import LEASE
from antiphon_file.ports import Deps

_SIGN_SECONDS = LEASE.total_seconds() / 4


@contextlib.asynccontextmanager
async def kept_alive(deps: Deps, upload_id: UUID) -> AsyncIterator[None]:
    """Extend the lease of an upload again and again while the block runs."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(_SIGN_SECONDS)
            with contextlib.suppress(Unavailable):  # the next sign may still come in time
                async with deps.open_unit() as unit:
                    await usecases.extend_upload(unit, upload_id, deps.clock.now() + LEASE)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating
