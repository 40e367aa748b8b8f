"""What the routes share: parameters, and answers with a revision."""

import hashlib
from collections.abc import Mapping
from typing import Annotated

import orjson
from fastapi import Depends, Header, Query, Request, Response

from antiphon_catalog.ports import Deps
from antiphon_catalog.queries.paging import Slice
from antiphon_common.errors import Stale


def _deps(request: Request) -> Deps:
    deps: Deps = request.app.state.deps
    return deps


def _slice(
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str, Query(max_length=500)] | None = None,
) -> Slice:
    return Slice(limit, cursor)


def _expected(
    if_match: Annotated[
        str | None, Header(max_length=500, description="Change only this `ETag`; else 412.")
    ] = None,
) -> "Expected":
    return Expected(if_match)


class Expected:
    """What `If-Match` demands (RFC 9110, section 13.1.1)."""

    def __init__(self, header: str | None) -> None:
        self._header = header

    def check(self, revision: int) -> None:
        """Raise `Stale` unless the header is absent, `*`, or names this revision."""
        if self._header is None or self._header.strip() == "*":
            return
        named = [tag.strip().strip('"').partition("-")[0] for tag in self._header.split(",")]
        # A weak tag (W/"...") never matches here: its text is no number.
        if str(revision) not in named:
            raise Stale("stale_revision", "It was changed since you read it.")


Inside = Annotated[Deps, Depends(_deps)]
Part = Annotated[Slice, Depends(_slice)]
IfMatch = Annotated[Expected, Depends(_expected)]
IfNoneMatch = Annotated[str | None, Header(max_length=500)]


def revised_answer(
    body: Mapping[str, object], *, status: int = 200, if_none_match: str | None = None
) -> Response:
    """The answer of something with a revision; 304 when the client has exactly it.

    The tag is the revision, for `If-Match`, and a digest of the body, because counts and names of others
    change without one.
    """
    content = orjson.dumps(body, option=orjson.OPT_UTC_Z)
    digest = hashlib.blake2b(content, digest_size=6).hexdigest()
    tag = f'"{body["revision"]}-{digest}"'
    if if_none_match and any(
        known.strip().removeprefix("W/") in {tag, "*"} for known in if_none_match.split(",")
    ):
        return Response(status_code=304, headers={"etag": tag})
    return Response(content, status, {"etag": tag}, media_type="application/json")


NOT_MODIFIED: dict[int | str, dict[str, str]] = {304: {"description": "Not modified"}}
