"""What somebody wants changed, and how names in it become artists and albums of the owner."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from antiphon_catalog.domain.credits import Credit, NamedCredit, Role, default_joins
from antiphon_catalog.domain.folding import fold
from antiphon_catalog.domain.music import AlbumRef, Track
from antiphon_catalog.domain.preconditions import Expected
from antiphon_catalog.ports import Unit
from antiphon_catalog.usecases.ingesting import credited, home_of
from antiphon_common.errors import Conflict


@dataclass(frozen=True, slots=True)
class Editing:
    """Who changes something, when, and of which revision. `owner_id` is none for an administrator."""

    owner_id: UUID | None
    at: datetime
    expected: Expected = field(default_factory=Expected)


@dataclass(frozen=True, slots=True)
class CreditWish:
    """A wanted credit: an artist by id or by name; without a join phrase the usual one is used."""

    artist_id: UUID | None = None
    name: str | None = None
    role: Role = "main"
    join_phrase: str | None = None


@dataclass(frozen=True, slots=True)
class AlbumWish:
    """A wanted album: by id, by title, or (with neither) none."""

    album_id: UUID | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class TrackChange:
    """The fields to set, by name; artists and album when they are to change. What is not named stays."""

    values: Mapping[str, object]
    artists: Sequence[CreditWish] | None = None
    album: AlbumWish | None = None


async def wished_credits(
    unit: Unit, owner_id: UUID, wishes: Sequence[CreditWish], *, at: datetime
) -> tuple[Credit, ...]:
    """The credits, with artists of the owner. Raises `Conflict` for an id that is none of them."""
    names = [NamedCredit(await _name(unit, owner_id, wish), wish.role) for wish in wishes]
    if len({fold(named.name) for named in names}) != len(names):
        raise Conflict("duplicate_artist", "An artist is credited once.")
    joined = default_joins(names, [wish.join_phrase for wish in wishes])
    return await credited(unit, owner_id, joined, at=at)


async def wished_album(unit: Unit, track: Track, wish: AlbumWish, *, at: datetime) -> AlbumRef | None:
    """The album a track shall be on. Raises `Conflict` for an id that is none of the owner's."""
    if wish.album_id:
        album = await unit.albums.find(wish.album_id, track.owner_id)
        if album is None:
            raise Conflict("unknown_album", "There is no such album of this owner.")
        return AlbumRef(album.id, album.title)
    if wish.title is None:
        return None
    if track.album and fold(track.album.title) == fold(wish.title):
        return track.album
    return await home_of(unit, track.owner_id, wish.title, track.credits, at=at)


async def rehomed(unit: Unit, track: Track, *, at: datetime) -> Track:
    """A track whose album was made when no artist was known moves to that of its artist."""
    album = await unit.albums.find(track.album.id) if track.album else None
    if album is None or album.credits or not album.automatic or not track.credits:
        return track
    return replace(track, album=await home_of(unit, track.owner_id, album.title, track.credits, at=at))


async def _name(unit: Unit, owner_id: UUID, wish: CreditWish) -> str:
    if wish.artist_id is None:
        return wish.name or ""
    artist = await unit.artists.find(wish.artist_id, owner_id)
    if artist is None:
        raise Conflict("unknown_artist", "There is no such artist of this owner.")
    return artist.name
