"""The rules about uploads and images."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from antiphon_common.ids import new_id
from antiphon_file.domain import Form, Image, Said, audio_key, image_keys, merged, owner_of_key

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_what_the_uploader_wrote_wins_over_the_tags() -> None:
    said = Said(title="Tag", artists=("A", "B"), album="Album", genres=("Rock",), track_number=3)
    form = Form(title="Mine", artist="Me")
    assert merged(form, said) == Said(
        title="Mine", artists=("Me",), album="Album", genres=("Rock",), track_number=3
    )


@pytest.mark.parametrize(
    ("sizes", "wanted", "served"),
    [((64, 160, 320), 160, 160), ((64, 160, 320), 1280, 320), ((64,), 64, 64), ((64, 160), 65, 160)],
)
def test_the_next_larger_rendition_is_served_and_none_is_scaled_up(
    sizes: tuple[int, ...], wanted: int, served: int
) -> None:
    assert Image(new_id(), new_id(), "", NOW, NOW, sizes=sizes).stored_size(wanted) == served


def test_every_key_leads_back_to_its_row_and_foreign_ones_to_none() -> None:
    an_id = new_id()
    assert owner_of_key(audio_key(an_id)) == ("audio", an_id)
    assert {owner_of_key(key) for key in image_keys(an_id)} == {("images", an_id)}
    for foreign in ("audio/x/y", "other/1", "images/aa/bb", f"audio/{UUID(int=1)}"):
        assert owner_of_key(foreign) is None
