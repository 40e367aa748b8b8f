"""Requests and answers of the stream service."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from antiphon_common.web.fields import STRICT, Id
from antiphon_stream.domain import Variant


class ResolveIn(BaseModel):
    """The tracks to hear next."""

    model_config = STRICT

    track_ids: Annotated[list[Id], Field(min_length=1, max_length=5)]
    variant: Variant = Field(
        default="original", description="Only the original is stored yet: every variant is answered with it"
    )


class ResolvedOut(BaseModel):
    """Where to hear one track: an address that `<audio>` can use without a header, until it expires."""

    track_id: UUID
    url: str = Field(
        description="A path on this origin", examples=["/api/stream/0190.../?variant=original&ticket=k1..."]
    )
    mime: str = Field(examples=["audio/mpeg"])
    bytes: int
    bitrate: int = Field(description="bit/s")
    duration_ms: int
    gain_db: float | None = Field(description="What brings it to -18 LUFS")
    expires_at: str = Field(json_schema_extra={"format": "date-time"})
