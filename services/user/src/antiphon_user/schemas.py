"""Requests and answers of the user service."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from antiphon_common.web.fields import STRICT, Id, Line, Prose
from antiphon_user.domain import Quality, Theme


class MePatch(BaseModel):
    """The fields to change; what is not sent stays. `null` clears what may be empty."""

    model_config = STRICT

    name: Line = Field(default="", examples=["Ada"])
    username: Annotated[str, Field(min_length=2, max_length=30)] | None = Field(
        default=None, examples=["ada"]
    )
    bio: Prose | None = None
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")] | None = Field(
        default=None, description="ISO 3166-1 alpha-2", examples=["DE"]
    )


class AvatarIn(BaseModel):
    """An image of the file service."""

    model_config = STRICT

    image_id: Id


class PreferencesPatch(BaseModel):
    """The preferences to change; what is not sent stays."""

    model_config = STRICT

    language: Annotated[str, Field(pattern="^[a-z]{2,3}(-[A-Z]{2})?$")] = Field(default="en", examples=["en"])
    theme: Theme = "system"
    quality: Quality = "original"
    crossfade_ms: Annotated[int, Field(ge=0, le=12_000)] = 0
    normalise: bool = True
    explicit: bool = True
    show_activity: bool = True
    show_playlists: bool = True


class MeOut(BaseModel):
    """One's own profile."""

    id: UUID
    email: str
    name: str
    username: str | None
    bio: str | None
    country: str | None
    avatar: UUID | None
    roles: list[Literal["listener", "artist", "admin"]]
    email_verified: bool
    created_at: str = Field(json_schema_extra={"format": "date-time"})


class ProfileOut(BaseModel):
    """A public profile."""

    id: UUID
    name: str
    username: str | None
    avatar: UUID | None
    public_playlist_count: int


class PreferencesOut(BaseModel):
    """All preferences."""

    language: str
    theme: Theme
    quality: Quality
    crossfade_ms: int
    normalise: bool
    explicit: bool
    show_activity: bool
    show_playlists: bool
