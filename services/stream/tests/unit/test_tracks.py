"""Who may hear what."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from antiphon_stream.domain import Status, Ticket, Track, Visibility, may_hear, opens

OWNER, OTHER = UUID(int=1), UUID(int=2)
TRACK = Track(
    id=UUID(int=3), revision=1, owner_id=OWNER, status="published", visibility="public", blob_key="a/b",
    mime="audio/mpeg", bytes=10, sha256="ab", bitrate=1, duration_ms=1, gain_db=None,
)  # fmt: skip


@pytest.mark.parametrize(
    ("status", "visibility", "everyone"),
    [
        ("published", "public", True),
        ("published", "unlisted", True),
        ("published", "private", False),
        ("draft", "public", False),
        ("draft", "private", False),
        ("withdrawn", "public", False),
        ("withdrawn", "unlisted", False),
    ],
)
def test_only_published_tracks_that_are_not_private_are_for_everyone(
    status: Status, visibility: Visibility, *, everyone: bool
) -> None:
    track = replace(TRACK, status=status, visibility=visibility)
    assert may_hear(track, user_id=OTHER, is_admin=False) is everyone
    assert may_hear(track, user_id=OWNER, is_admin=False)
    assert may_hear(track, user_id=OTHER, is_admin=True)


def test_a_deleted_track_is_for_nobody() -> None:
    gone = replace(TRACK, deleted=True)
    assert not may_hear(gone, user_id=OWNER, is_admin=True)


def _ticket(track: Track) -> Ticket:
    return Ticket(track.id, "original", OWNER, UUID(int=9), datetime(2026, 1, 1, tzinfo=UTC), track.state)


def test_a_ticket_for_an_open_track_dies_with_the_withdrawal_also_the_owners() -> None:
    ticket = _ticket(TRACK)
    assert opens(ticket, TRACK)
    assert opens(ticket, replace(TRACK, visibility="unlisted"))
    assert not opens(ticket, replace(TRACK, status="withdrawn"))
    assert not opens(ticket, replace(TRACK, visibility="private"))
    assert not opens(ticket, replace(TRACK, deleted=True))


def test_a_ticket_for_a_draft_is_good_while_it_is_one() -> None:
    draft = replace(TRACK, status="draft")
    assert opens(_ticket(draft), draft)
    assert opens(_ticket(draft), TRACK)
    assert not opens(_ticket(draft), replace(TRACK, status="withdrawn"))


def test_every_state_has_its_own_number() -> None:
    states = {
        replace(TRACK, status=status, visibility=visibility).state
        for status in ("draft", "published", "withdrawn")
        for visibility in ("public", "unlisted", "private")
    }
    assert states == set(range(9))
