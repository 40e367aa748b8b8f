"""What changes a library. Each function receives an open unit; the caller commits.

Whatever concerns one listener begins by holding that listener, so it happens one after the other; a counter
is changed in the transaction of its set and announced as an absolute value.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from antiphon_common.errors import Conflict, NotFound, Unauthenticated
from antiphon_common.principal import Principal
from antiphon_contracts.auth import AccountDeleted
from antiphon_contracts.catalog import AlbumChanged, AlbumDeleted, TrackChanged, TrackDeleted
from antiphon_contracts.catalog import Credit as ArtistCredit
from antiphon_contracts.library import TrackLikesCounted, TrackPlaysCounted
from antiphon_contracts.playlist import PlaylistChanged, PlaylistDeleted
from antiphon_contracts.stream import AudioServed
from antiphon_library.domain import (
    Count,
    CounterName,
    Credit,
    Item,
    Keep,
    Kind,
    Play,
    Report,
    check_started,
    is_enough,
    may_see,
)
from antiphon_library.ports import Unit


async def keep_item(
    unit: Unit, user: Principal, kind: Kind, *, item_id: UUID, now: datetime
) -> tuple[Keep, bool]:
    """Like a track, or save an album or playlist; the keep, and whether it is new.

    Raises `NotFound` for what the user cannot see, whether or not it exists.
    """
    await _hold(unit, user.user_id)
    known = await unit.keeps.find(user.user_id, kind, item_id)
    if known:
        return known, False
    await _visible(unit, user, kind, item_id)
    keep = Keep(user.user_id, kind, item_id, kept_at=now)
    await unit.keeps.add(keep)
    if kind == "track":
        await _count(unit, "likes", {item_id: 1})
    return keep, True


async def drop_item(unit: Unit, user: Principal, kind: Kind, *, item_id: UUID) -> None:
    """Take a like or save back; that it is not there is no error."""
    await _hold(unit, user.user_id)
    if await unit.keeps.remove(user.user_id, kind, item_id) and kind == "track":
        await _count(unit, "likes", {item_id: -1})


async def report_play(unit: Unit, user: Principal, report: Report, *, now: datetime) -> Play:
    """Note a play; it counts once when it was long enough and stream vouches for it, now or later.

    The same report again answers what became of the first. Raises `Conflict` when the play id was used for
    another report, `NotFound` for a track the user cannot see, `Invalid` for an impossible time.
    """
    await _hold(unit, user.user_id)
    known = await unit.plays.find(report.play_id)
    if known:
        if known.user_id != user.user_id or known.report != report:
            raise Conflict("play_id_taken", "This play id was used for another play.")
        return known
    track = await _visible(unit, user, "track", report.track_id)
    check_started(report.started_at, now)
    enough = is_enough(report.listened_ms, track.duration_ms or 0)
    credit = await unit.credits.unspent(user.user_id, report.track_id) if enough else None
    play = Play(user.user_id, report, enough, reported_at=now, credit_id=credit.id if credit else None)
    await unit.plays.add(play)
    if enough:
        await unit.plays.note_recent(user.user_id, report.track_id, report.started_at)
    if credit:
        await unit.credits.spend(credit.id)
        await _count(unit, "plays", {report.track_id: 1})
    return play


async def clear_history(unit: Unit, user: Principal) -> None:
    """Forget everything a listener played. What is forgotten is no longer counted either."""
    await _hold(unit, user.user_id)
    await _forget_plays(unit, user.user_id)


async def apply_credit(unit: Unit, event: AudioServed) -> None:
    """Stream vouches for one play: back the oldest one that waits, or wait for one."""
    alive = await unit.listeners.hold(event.user_id)
    if not alive or await unit.credits.known(event.subject):
        return
    play = await unit.plays.waiting(event.user_id, event.track_id)
    credit = Credit(event.subject, event.user_id, event.track_id, event.served_at, spent=play is not None)
    await unit.credits.add(credit)
    if play:
        await unit.plays.back(play.report.play_id, credit.id)
        await _count(unit, "plays", {event.track_id: 1})


async def erase_account(unit: Unit, event: AccountDeleted) -> None:
    """Forget a listener and correct the counters. The tombstone stays, so that nothing comes back."""
    await unit.listeners.hold(event.subject)
    liked = await unit.keeps.clear(event.subject)
    await _count(unit, "likes", dict.fromkeys(liked, -1))
    await _forget_plays(unit, event.subject)
    await unit.listeners.bury(event.subject)


async def apply_track(unit: Unit, event: TrackChanged) -> None:
    """Take over what catalog says of a track."""
    album = {"id": str(event.album_id), "title": event.album_title} if event.album_id else None
    card = {
        "title": event.title,
        "artists": _artists(event.artists),
        "album": album,
        "duration_ms": event.audio.duration_ms,
        "explicit": event.explicit,
        "cover": _text(event.cover_id),
        "dominant_color": event.dominant_color,
    }
    reachable = event.status == "published" and event.visibility != "private"
    await _apply(
        unit,
        Item(
            "track", event.subject, event.owner_id, reachable, card, event.revision,
            duration_ms=event.audio.duration_ms,
        ),
    )  # fmt: skip


async def apply_album(unit: Unit, event: AlbumChanged) -> None:
    """Take over what catalog says of an album; one without a listed track is for its owner only."""
    card = {
        "title": event.title,
        "type": event.kind,
        "artists": _artists(event.artists),
        "release_date": event.release_date,
        "cover": _text(event.cover_id),
        "dominant_color": event.dominant_color,
    }
    await _apply(unit, Item("album", event.subject, event.owner_id, event.listed, card, event.revision))


async def apply_playlist(unit: Unit, event: PlaylistChanged) -> None:
    """Take over what playlist says of a playlist."""
    card = {
        "title": event.title,
        "description": event.description,
        "visibility": event.visibility,
        "item_count": event.item_count,
        "cover": _text(event.cover_id),
        "owner_id": str(event.owner_id),
    }
    reachable = event.visibility != "private"
    await _apply(unit, Item("playlist", event.subject, event.owner_id, reachable, card, event.revision))


async def forget_track(unit: Unit, event: TrackDeleted) -> None:
    """A track is gone for good: it disappears from every list."""
    await _forget(unit, "track", event.subject, event.revision)


async def forget_album(unit: Unit, event: AlbumDeleted) -> None:
    """An album is gone for good."""
    await _forget(unit, "album", event.subject, event.revision)


async def forget_playlist(unit: Unit, event: PlaylistDeleted) -> None:
    """A playlist is gone for good."""
    await _forget(unit, "playlist", event.subject, event.revision)


def counted(name: CounterName, count: Count) -> TrackLikesCounted | TrackPlaysCounted:
    """The event that says what a counter is now."""
    if name == "likes":
        return TrackLikesCounted(subject=count.track_id, revision=count.revision, like_count=count.value)
    return TrackPlaysCounted(subject=count.track_id, revision=count.revision, play_count=count.value)


async def _hold(unit: Unit, user_id: UUID) -> None:
    if not await unit.listeners.hold(user_id):
        # The token outlives its account by some minutes; nothing may be left behind it.
        raise Unauthenticated("account_deleted", "This account was deleted.")


async def _visible(unit: Unit, user: Principal, kind: Kind, item_id: UUID) -> Item:
    item = await unit.items.find(kind, item_id)
    if item is None or not may_see(item, user):
        raise NotFound(f"{kind}_not_found", f"There is no such {kind}.")
    return item


async def _count(unit: Unit, name: CounterName, steps: Mapping[UUID, int]) -> None:
    counts = await unit.counters.add(name, steps)
    await unit.announce(*(counted(name, count) for count in counts))


async def _forget_plays(unit: Unit, user_id: UUID) -> None:
    lost = await unit.plays.clear(user_id)
    await unit.credits.erase(user_id)
    await _count(unit, "plays", {track_id: -number for track_id, number in lost.items()})


async def _apply(unit: Unit, item: Item) -> None:
    known = await unit.items.hold(item.kind, item.id)
    if known is None or (not known.deleted and item.revision >= known.revision):
        await unit.items.save(item)


async def _forget(unit: Unit, kind: Kind, item_id: UUID, revision: int) -> None:
    await unit.items.hold(kind, item_id)
    await unit.items.save(
        Item(kind, item_id, owner_id=None, reachable=False, card={}, revision=revision, deleted=True)
    )


def _artists(names: tuple[ArtistCredit, ...]) -> list[dict[str, Any]]:
    return [
        {"id": str(c.artist_id), "name": c.name, "role": c.role, "join_phrase": c.join_phrase} for c in names
    ]


def _text(image_id: UUID | None) -> str | None:
    return str(image_id) if image_id else None
