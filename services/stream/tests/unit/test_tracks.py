"""Who may hear what."""

from dataclasses import replace
from uuid import UUID

import pytest

from antiphon_stream.domain import Track, may_hear

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
    status: str, visibility: str, *, everyone: bool
) -> None:
    track = replace(TRACK, status=status, visibility=visibility)
    assert may_hear(track, user_id=OTHER, is_admin=False) is everyone
    assert may_hear(track, user_id=OWNER, is_admin=False)
    assert may_hear(track, user_id=OTHER, is_admin=True)


def test_a_deleted_track_is_for_nobody() -> None:
    gone = replace(TRACK, deleted=True)
    assert not may_hear(gone, user_id=OWNER, is_admin=True)
