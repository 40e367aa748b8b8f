"""Requests of the catalog service."""

from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from antiphon_catalog.domain.credits import Role
from antiphon_catalog.domain.music import MOST_DISCS, MOST_GENRES, MOST_TRACKS, RELEASE_DATE, Kind
from antiphon_catalog.usecases.albums import AlbumChange
from antiphon_catalog.usecases.wishes import AlbumWish, CreditWish, TrackChange
from antiphon_common.web.fields import STRICT, Id, Line
from antiphon_contracts.event import Visibility

JoinPhrase = Annotated[str, StringConstraints(max_length=30, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
ReleaseDate = Annotated[str, Field(pattern=RELEASE_DATE)]
Genres = Annotated[list[Line], Field(max_length=MOST_GENRES, examples=[["Jazz"]])]


class _Credited(BaseModel):
    model_config = STRICT

    role: Role = "main"
    join_phrase: JoinPhrase | None = Field(
        default=None, description="Printed after the name; null is the usual", examples=[" feat. "]
    )


class ArtistById(_Credited):
    """A credit of one of the owner's artists."""

    artist_id: Id


class ArtistByName(_Credited):
    """A credit by name: the owner's artist of that name, made if there is none."""

    name: Line = Field(examples=["Ada"])


class AlbumById(BaseModel):
    """One of the owner's albums."""

    model_config = STRICT

    id: Id


Credits = Annotated[list[ArtistById | ArtistByName], Field(min_length=1, max_length=50)]


class TrackPatch(BaseModel):
    """The fields to change; what is not sent stays. `null` clears what may be empty.

    `album` is a title (found or made under the track's first artist), `{"id": ...}`, or `null` for none.
    """

    model_config = STRICT

    title: Line = Field(default="", examples=["Song"])
    artists: Credits = Field(default=[])
    album: Line | AlbumById | None = None
    disc_number: Annotated[int, Field(ge=1, le=MOST_DISCS)] | None = None
    track_number: Annotated[int, Field(ge=1, le=MOST_TRACKS)] | None = None
    genres: Genres = Field(default=[])
    explicit: bool = False
    release_date: ReleaseDate | None = Field(default=None, examples=["2024-05"])
    visibility: Visibility = "public"
    cover_id: Id | None = None

    def change(self) -> TrackChange:
        """What the use case is asked for."""
        values = _sent(self, "artists", "album", "upload_id")
        artists = _wishes(self.artists) if "artists" in self.model_fields_set else None
        album = _album(self.album) if "album" in self.model_fields_set else None
        return TrackChange(values, artists, album)


class TrackIn(TrackPatch):
    """The upload to publish, and what its tags did not say."""

    upload_id: Id


class ArtistPatch(BaseModel):
    """The fields to change; what is not sent stays."""

    model_config = STRICT

    name: Line = Field(default="", examples=["Ada"])
    image_id: Id | None = None

    def values(self) -> dict[str, Any]:
        """The fields that were sent."""
        return _sent(self)


class ArtistIn(BaseModel):
    """A new artist."""

    model_config = STRICT

    name: Line = Field(examples=["Ada"])
    image_id: Id | None = None


class AlbumPatch(BaseModel):
    """The fields to change; what is not sent stays. A `null` cover or date is that of the tracks again."""

    model_config = STRICT

    title: Line = Field(default="", examples=["First Light"])
    artists: Credits = Field(default=[])
    type: Kind = "album"
    release_date: ReleaseDate | None = Field(default=None, examples=["2024-05"])
    cover_id: Id | None = None

    def change(self) -> AlbumChange:
        """What the use case is asked for."""
        values = _sent(self, "artists")
        if "type" in values:
            values["kind"] = values.pop("type")
        artists = _wishes(self.artists) if "artists" in self.model_fields_set else None
        return AlbumChange(values, artists)


class AlbumIn(AlbumPatch):
    """A new album."""

    title: Line = Field(examples=["First Light"])
    artists: Credits


def _sent(body: BaseModel, *but: str) -> dict[str, Any]:
    return {name: getattr(body, name) for name in body.model_fields_set if name not in but}


def _wishes(credits_: list[ArtistById | ArtistByName]) -> list[CreditWish]:
    return [
        CreditWish(
            artist_id=credit.artist_id if isinstance(credit, ArtistById) else None,
            name=credit.name if isinstance(credit, ArtistByName) else None,
            role=credit.role,
            join_phrase=credit.join_phrase,
        )
        for credit in credits_
    ]


def _album(album: str | AlbumById | None) -> AlbumWish:
    return AlbumWish(album_id=album.id) if isinstance(album, AlbumById) else AlbumWish(title=album)
