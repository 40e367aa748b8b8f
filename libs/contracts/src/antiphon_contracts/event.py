"""What every event is: a frozen value about one aggregate at one revision."""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Visibility = Literal["public", "unlisted", "private"]
Timestamp = AwareDatetime
Text = Annotated[str, Field(max_length=4000)]


class Event(BaseModel):
    """One fact about one aggregate.

    `subject` is the aggregate's id. `revision` counts its changes from 1, so a projection ignores an event
    older than what it holds. Unknown fields are ignored: newer publishers may add, never remove.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: ClassVar[str]

    subject: UUID
    revision: int = Field(ge=1)


class Value(BaseModel):
    """A flat value inside an event."""

    model_config = ConfigDict(frozen=True, extra="ignore")
