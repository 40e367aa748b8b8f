"""What every route of this service takes: the way to everything inside."""

from typing import Annotated

from fastapi import Depends, Request

from antiphon_file.ports import Deps


def _deps(request: Request) -> Deps:
    deps: Deps = request.app.state.deps
    return deps


Inside = Annotated[Deps, Depends(_deps)]
