"""What can go wrong, as categories. A use case raises one; `web.problems` and `bus.consuming` translate it.

Each error holds a stable snake_case `code` for programs and a `detail` for people, never a secret, a path or
a submitted value. `errors` (only on `Invalid`) lists `{loc, code, message}` for single fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One rejected field: where (`body.title`), a stable code, and a sentence."""

    loc: str
    code: str
    message: str


class ServiceError(Exception):
    """The root of all expected failures; its subclasses are the categories."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after = retry_after


class Invalid(ServiceError):
    """The request is understood and wrong: nothing was changed."""


class Malformed(ServiceError):
    """The request cannot be read at all (broken JSON, a broken header)."""


class Unauthenticated(ServiceError):
    """Nobody is logged in, or the token is not valid."""


class Forbidden(ServiceError):
    """Somebody is logged in and may not do this, and may know that it exists."""


class NotFound(ServiceError):
    """No such thing, or the caller may not know of it: both look the same."""


class Gone(ServiceError):
    """It was here, was used up, and will not come back."""


class Conflict(ServiceError):
    """The present state refuses the change."""


class Stale(ServiceError):
    """`If-Match` named another revision than the present one."""


class TooLarge(ServiceError):
    """The body is over its limit."""


class Unsupported(ServiceError):
    """The media type or coding is not accepted."""


class TooMany(ServiceError):
    """A rate or attempt limit; `retry_after` says when to come back (seconds)."""


class Unavailable(ServiceError):
    """Something we depend on is down or full; trying again later may work."""
