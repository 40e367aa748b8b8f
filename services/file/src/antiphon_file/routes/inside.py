"""What every route of this service takes: the way to everything inside."""

from typing import Annotated

from fastapi import Depends, Request

from antiphon_common.errors import Unavailable
from antiphon_file.ports import Deps


def _deps(request: Request) -> Deps:
    deps: Deps = request.app.state.deps
    return deps


Inside = Annotated[Deps, Depends(_deps)]


async def check_store(deps: Deps) -> None:
    """Raise `Unavailable` before a body is read that nobody could keep.

    The store's own words are for the operator, so the log has them and the answer does not.
    """
    try:
        await deps.blobs.ping()
    except Unavailable as error:
        raise Unavailable("blob_unavailable", "Files cannot be stored now.") from error
