"""What every route of this service takes: the deps, a page, a list of ids."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request

from antiphon_library.ports import Deps

_UUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


def _deps(request: Request) -> Deps:
    deps: Deps = request.app.state.deps
    return deps


def _ids(
    ids: Annotated[
        str, Query(pattern=f"^{_UUID}(,{_UUID}){{0,99}}$", description="1 to 100 ids, joined by commas")
    ],
) -> list[UUID]:
    return [UUID(part) for part in ids.split(",")]


Inside = Annotated[Deps, Depends(_deps)]
Ids = Annotated[list[UUID], Depends(_ids)]
Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=500)]
