"""The rules of tracks and albums that need no database."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from antiphon_catalog.domain.credits import Credit
from antiphon_catalog.domain.folding import sort_key
from antiphon_catalog.domain.music import Track, album_identity, check_publishable, is_date
from antiphon_catalog.domain.preconditions import Expected
from antiphon_common.errors import Conflict, Stale
from antiphon_common.ids import new_id
from antiphon_contracts.file import Audio

AUDIO = Audio(
    blob_key="x", mime="audio/flac", codec="flac", bytes=1, sha256="0" * 64, bitrate=1, sample_rate=1, channels=1,
    duration_ms=1,
)  # fmt: skip
TRACK = Track(
    id=new_id(), owner_id=new_id(), upload_id=new_id(), upload_revision=1, status="published", visibility="public",
    title="Song", credits=(Credit(new_id(), "Ada"),), album=None, disc_number=None, track_number=None, genres=(),
    explicit=False, release_date=None, cover_id=None, dominant_color=None, audio=AUDIO,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)  # fmt: skip


def test_tracks_are_ordered_by_disc_then_number_and_those_without_come_last() -> None:
    places = [(None, 1), (1, 2), (1, 9_999), (1, None), (2, 1), (2, None), (999, 9_999)]
    positions = [replace(TRACK, disc_number=d, track_number=n).position for d, n in places]
    assert positions == sorted(positions)
    assert len(set(positions)) == len(places)
    assert max(positions) < 2**31


def test_only_what_is_published_and_public_is_listed() -> None:
    listed = [
        (status, visibility)
        for status in ("draft", "published", "withdrawn")
        for visibility in ("public", "unlisted", "private")
        if replace(TRACK, status=status, visibility=visibility).listed  # type: ignore[arg-type]
    ]
    assert listed == [("published", "public")]


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("2024", True), ("2024-05", True), ("2024-05-31", True), ("1899", True), (None, False), ("", False),
        ("24", False), ("2024-13", False), ("2024-00", False), ("2024-05-32", False), ("2024-5", False),
        ("2024\n", False), ("٢٠٢٤", False), ("2024-05-31T00:00", False), ("0999", False),
    ],
)  # fmt: skip
def test_a_release_date_is_a_year_or_a_month_or_a_day(text: str | None, good: bool) -> None:
    assert is_date(text) is good


def test_the_year_of_a_track_is_that_of_its_date() -> None:
    assert replace(TRACK, release_date="1999-05").release_year == 1999
    assert TRACK.release_year is None


def test_an_album_is_the_same_by_folded_title_and_first_artist() -> None:
    ada, bob = Credit(new_id(), "Ada"), Credit(new_id(), "Bob")
    same = album_identity("One", (ada,))
    assert album_identity("ONE ", (ada, bob)) == same
    assert album_identity("One", (replace(ada, name="renamed"),)) == same
    assert (
        len({same, album_identity("One", (bob,)), album_identity("One", ()), album_identity("Öne", (ada,))})
        == 4
    )


def test_the_first_spelling_of_a_genre_names_it() -> None:
    assert replace(TRACK, genres=("Hip-Hop", "Jazz")).genre_names == {"hip-hop": "Hip-Hop", "jazz": "Jazz"}


def test_a_track_without_title_or_artist_cannot_be_published() -> None:
    check_publishable(TRACK)
    for incomplete in (replace(TRACK, title=""), replace(TRACK, credits=())):
        with pytest.raises(Conflict) as refused:
            check_publishable(incomplete)
        assert refused.value.code == "track_incomplete"


def test_without_a_precondition_every_revision_is_good() -> None:
    Expected().check(7)
    Expected(frozenset({6, 7})).check(7)
    for expected in (frozenset[int](), frozenset({6})):
        with pytest.raises(Stale):
            Expected(expected).check(7)


def test_a_sort_key_stays_short_however_a_character_unfolds() -> None:
    assert len(sort_key("\ufdfa" * 300)) == 100
