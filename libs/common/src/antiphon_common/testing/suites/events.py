"""An event and its envelopes for the suites, which know no domain."""

from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel

from antiphon_common.bus import Envelope
from antiphon_common.clock import SystemClock
from antiphon_common.ids import new_id


class Changed(BaseModel):
    """Something changed and now has this value."""

    type: ClassVar[str] = "test.changed"

    subject: UUID
    revision: int
    value: str = ""


class Removed(BaseModel):
    """Something is gone."""

    type: ClassVar[str] = "test.removed"

    subject: UUID
    revision: int


def changed(value: str = "", *, subject: UUID | None = None, revision: int = 1) -> Changed:
    """A change of something, of something new unless told."""
    return Changed(subject=subject or new_id(), revision=revision, value=value)


def envelope(value: str = "") -> Envelope:
    """A message about a change."""
    return Envelope.of(changed(value), SystemClock())


def envelopes(count: int) -> list[Envelope]:
    """Messages whose values are the numbers from 0."""
    return [envelope(str(number)) for number in range(count)]


def values(bodies: Sequence[bytes]) -> list[str]:
    """What the messages say."""
    return [str(Envelope.from_bytes(body).data["value"]) for body in bodies]
