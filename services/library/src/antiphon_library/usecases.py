"""What changes a library. Each function receives an open unit; the caller commits.

What units of one listener do goes on side by side; only forgetting holds the listener alone. A play and what
vouches for it meet under a lock of their own. A counter is changed in the transaction of its set, as the last
act (`finish`), and announced as an absolute value.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
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
    pair_up,
)
from antiphon_library.ports import Unit


async def keep_item(
    unit: Unit, user: Principal, kind: Kind, *, item_id: UUID, now: datetime
) -> tuple[Keep, bool]:
    """Like a track, or save an album or playlist; the keep, and whether it is new.

    Raises `NotFound` for what the user cannot see, whether or not it exists.
    """
    await _enter(unit, user)
    known = await unit.keeps.find(user.user_id, kind, item_id)
    if known:
        return known, False
    await _visible(unit, user, kind, item_id)
    keep = Keep(user.user_id, kind, item_id, kept_at=now)
    if not await unit.keeps.add(keep):
        # The same request, twice at once.
        return await unit.keeps.find(user.user_id, kind, item_id) or keep, False
    if kind == "track":
        unit.steps["likes", item_id] += 1
    return keep, True


async def drop_item(unit: Unit, user: Principal, kind: Kind, *, item_id: UUID) -> None:
    """Take a like or save back; that it is not there is no error."""
    await _enter(unit, user)
    if await unit.keeps.remove(user.user_id, kind, item_id) and kind == "track":
        unit.steps["likes", item_id] -= 1


async def report_play(unit: Unit, user: Principal, report: Report, *, now: datetime) -> Play:
    """Note a play; it counts once when it was long enough and stream vouches for it, now or later.

    The same report again answers what became of the first. Raises `Conflict` when the play id was used for
    another report, `NotFound` for a track the user cannot see, `Invalid` for an impossible time.
    """
    await _enter(unit, user)
    known = await unit.plays.find(report.play_id)
    if known:
        return _same(known, user, report)
    track = await _visible(unit, user, "track", report.track_id)
    check_started(report.started_at, now)
    enough = is_enough(report.listened_ms, track.duration_ms or 0)
    play = Play(user.user_id, report, enough, reported_at=now)
    if not await unit.plays.add(play):
        # Somebody else used the id a moment ago: most likely this very request, sent twice.
        return _same(await unit.plays.find(report.play_id), user, report)
    if not enough:
        return play
    await unit.plays.note_recent(user.user_id, report.track_id, report.started_at)
    backed = await _match(unit, [(user.user_id, report.track_id)])
    return replace(play, credit_id=backed.get(report.play_id))


async def clear_history(unit: Unit, user: Principal) -> None:
    """Forget everything a listener played. What is forgotten is no longer counted either."""
    await _enter(unit, user, alone=True)
    await _forget_plays(unit, user.user_id)


async def apply_credit(unit: Unit, event: AudioServed) -> None:
    """Stream vouches for one play: at the end of the unit it backs the oldest one that waits, or waits."""
    unit.served.append(Credit(event.subject, event.user_id, event.track_id, event.served_at))


async def erase_account(unit: Unit, event: AccountDeleted) -> None:
    """Forget a listener and correct the counters. The tombstone stays, so that nothing comes back."""
    await unit.listeners.hold(event.subject)
    for track_id in await unit.keeps.clear(event.subject):
        unit.steps["likes", track_id] -= 1
    await _forget_plays(unit, event.subject)
    await unit.listeners.bury(event.subject)


async def finish(unit: Unit) -> None:
    """The last act of every unit, because others may wait for what it locks: first credits, then counters.

    It holds everything of one kind at once and in one order, so that no two units wait for each other.
    """
    served = {credit.id: credit for credit in unit.served}
    unit.served.clear()
    if served:
        alive = await unit.listeners.enter({credit.user_id for credit in served.values()})
        new = await unit.credits.add([credit for credit in served.values() if credit.user_id in alive])
        await _match(unit, {(served[key].user_id, served[key].track_id) for key in new})
    steps = {key: step for key, step in unit.steps.items() if step}
    unit.steps.clear()
    counts = await unit.counters.add(steps)
    await unit.announce(*(counted(name, count) for name, count in counts))


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


async def _enter(unit: Unit, user: Principal, *, alone: bool = False) -> None:
    if alone:
        await unit.listeners.hold(user.user_id)
    if not await unit.listeners.enter([user.user_id]):
        # The token outlives its account by some minutes; nothing may be left behind it.
        raise Unauthenticated("account_deleted", "This account was deleted.")


async def _visible(unit: Unit, user: Principal, kind: Kind, item_id: UUID) -> Item:
    item = await unit.items.find(kind, item_id)
    if item is None or not may_see(item, user):
        raise NotFound(f"{kind}_not_found", f"There is no such {kind}.")
    return item


def _same(known: Play | None, user: Principal, report: Report) -> Play:
    if known is None or known.user_id != user.user_id or known.report != report:
        raise Conflict("play_id_taken", "This play id was used for another play.")
    return known


async def _match(unit: Unit, pairs: Collection[tuple[UUID, UUID]]) -> dict[UUID, UUID]:
    """Let credits back plays of these listeners and tracks; the credit of each play that counts from now."""
    await unit.plays.hold(pairs)
    waiting = await unit.plays.waiting(pairs)
    backed = pair_up(waiting, await unit.credits.unspent(pairs) if waiting else [])
    await unit.plays.back(backed)
    await unit.credits.spend(backed.values())
    unit.steps.update(
        Counter(("plays", play.report.track_id) for play in waiting if play.report.play_id in backed)
    )
    return backed


async def _forget_plays(unit: Unit, user_id: UUID) -> None:
    lost = await unit.plays.clear(user_id)
    await unit.credits.erase(user_id)
    for track_id, number in lost.items():
        unit.steps["plays", track_id] -= number


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
