"""Requests and answers of the file service."""

from enum import IntEnum
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from antiphon_common.web.fields import STRICT, Line
from antiphon_file.domain import REASONS, State, Visibility


class ImageSize(IntEnum):
    """The longest side of a rendition in pixels."""

    ICON = 64
    SMALL = 160
    MEDIUM = 320
    LARGE = 640
    FULL = 1280


Reason = Literal[
    "not_audio",
    "empty",
    "truncated",
    "zero_length",
    "too_large",
    "too_long",
    "tag_bomb",
    "unsupported_format",
    "corrupt",
    "analysis_timeout",
    "analysis_failed",
]


class UploadForm(BaseModel):
    """The text fields that may come with a file; they win over its tags."""

    model_config = STRICT

    title: Line | None = Field(default=None, examples=["Đêm"])
    artist: Line | None = Field(default=None, examples=["Nguyễn Ánh"])
    album: Line | None = None
    genre: Line | None = Field(default=None, examples=["ambient"])
    visibility: Visibility = "public"


class UploadOut(BaseModel):
    """An upload as its owner sees it."""

    id: UUID
    state: State
    reason: Reason | None = Field(description="Why it was rejected: " + ", ".join(REASONS))
    detail: str | None = Field(description="The same in a sentence")
    filename: str | None
    bytes: int
    sha256: str | None = Field(description="Of the file as it was sent; none until it has arrived")
    title: str | None
    artists: list[str]
    duration_ms: int | None
    track_id: UUID | None
    duplicate_of: UUID | None
    cover: UUID | None
    created_at: str = Field(json_schema_extra={"format": "date-time"})


class UploadsOut(BaseModel):
    """A page of uploads, and what all of them take of the quota."""

    items: list[UploadOut]
    next_cursor: str | None
    bytes_used: int
    bytes_quota: int
    files_used: int
    files_quota: int


class ImageOut(BaseModel):
    """An image: where each size of it is, and the colour to show before it is loaded."""

    id: UUID
    width: int
    height: int
    dominant_color: str = Field(examples=["#3a6ea5"])
    urls: dict[str, str] = Field(
        examples=[{"64": "/api/images/0190c0de-0000-7000-8000-000000000000?size=64"}]
    )
