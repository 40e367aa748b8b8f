"""What the routes share: parameters, and answers with a revision."""

import hashlib
from collections.abc import Mapping
from typing import Annotated

import orjson
from fastapi import Depends, Header, Query, Request, Response

from antiphon_catalog.domain.preconditions import Expected
from antiphon_catalog.ports import Deps
from antiphon_catalog.queries.paging import Slice
from antiphon_catalog.usecases.wishes import Editing
from antiphon_common.errors import Forbidden
from antiphon_common.principal import Principal
from antiphon_common.web.etags import is_unchanged
from antiphon_common.web.identity import User


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
        str | None, Header(max_length=500, description="Change only what has this `ETag`; else 412.")
    ] = None,
) -> Expected:
    """`If-Match` (RFC 9110, section 13.1.1); of a tag only the revision before the hyphen counts.

    A weak tag (`W/"..."`) never matches: its beginning is no number.
    """
    if if_match is None or if_match.strip() == "*":
        return Expected()
    named = (tag.strip().strip('"').partition("-")[0] for tag in if_match.split(","))
    return Expected(frozenset(int(name) for name in named if name.isascii() and name.isdecimal()))


async def _maker(user: User) -> Principal:
    if not user.roles & {"artist", "admin"}:
        raise Forbidden("artist_only", "Only artists and administrators may do this.")
    return user


def editing(user: Principal, deps: Deps, expected: Expected | None = None) -> Editing:
    """How this user changes things: their own, an administrator everybody's."""
    owner_id = None if user.is_admin else user.user_id
    return Editing(owner_id, deps.clock.now(), expected or Expected())


Inside = Annotated[Deps, Depends(_deps)]
Part = Annotated[Slice, Depends(_slice)]
Genre = Annotated[str, Query(min_length=1, max_length=100)]
IfMatch = Annotated[Expected, Depends(_expected)]
Maker = Annotated[Principal, Depends(_maker)]
IfNoneMatch = Annotated[str | None, Header()]


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
    if is_unchanged(if_none_match, tag):
        return Response(status_code=304, headers={"etag": tag})
    return Response(content, status, {"etag": tag}, media_type="application/json")


NOT_MODIFIED: dict[int | str, dict[str, str]] = {304: {"description": "Not modified"}}
