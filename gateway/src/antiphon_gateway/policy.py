"""The words of the route table: who may call, how often, with what body, and what may be remembered."""

from dataclasses import dataclass
from enum import StrEnum


class Access(StrEnum):
    """Who may call a route.

    `ANONYMOUS`: nobody is asked and credentials are not forwarded (an expired token must not stop a login).
    `ANYONE`: a token is optional, and refused when it is there and not valid.
    """

    ANONYMOUS = "anonymous"
    ANYONE = "anyone"
    USER = "user"
    ADMIN = "admin"


class Rate(StrEnum):
    """The class of a route's limit; `ratelimit.LIMITS` holds the values."""

    READ = "read"
    WRITE = "write"
    SEARCH = "search"
    STREAM = "stream"
    UPLOAD = "upload"
    AUTH = "auth"
    SESSION = "session"


class Body(StrEnum):
    """What a request may carry: nothing, a small body read whole, or a large one that flows through."""

    NONE = "none"
    JSON = "json"
    UPLOAD = "upload"
    IMAGE = "image"


@dataclass(frozen=True, slots=True)
class Public:
    """The answer is the same for everybody without a token, and may be remembered for `seconds`.

    `tags` name what it is made of (`{id}` is filled from the path); an event about that purges it. `query`
    names the parameters that it depends on; others are neither in its key nor sent on. `shared` says that a
    token makes no difference either, so it is left out of the upstream request.
    """

    seconds: float
    tags: tuple[str, ...]
    query: tuple[str, ...] = ()
    shared: bool = False


PRIVATE = None
"""The answer is never remembered."""


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table. Everything up to `body` must be said: there are no defaults for policy.

    `upstream` is the path at the service when it differs from the public one. `stream` lifts the deadline
    for the body, `cookies` lets the session cookie through.
    """

    method: str
    path: str
    service: str
    access: Access
    rate: Rate
    cache: Public | None
    body: Body
    stream: bool = False
    cookies: bool = False
    upstream: str | None = None
