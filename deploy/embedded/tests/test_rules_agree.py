"""Rules that two services hold, each in its own words, because no service imports another."""

from antiphon_file.settings import Settings as FileSettings
from antiphon_library.domain import is_enough
from antiphon_search.settings import Settings as SearchSettings
from antiphon_stream.domain.listens import needed_ms
from antiphon_stream.settings import Settings as StreamSettings


def test_what_earns_a_credit_at_stream_is_what_counts_at_library() -> None:
    for duration_ms in range(1, 200_001, 7):
        needed = needed_ms(duration_ms)
        assert is_enough(needed, duration_ms), duration_ms
        assert not is_enough(needed - 1, duration_ms), duration_ms


def test_what_nobody_configured_is_kept_under_data_where_the_others_look_for_it() -> None:
    written, read = (kind.model_fields["blob_url"].default for kind in (FileSettings, StreamSettings))
    assert written == read == "file:///data/blobs"
    assert SearchSettings.model_fields["index_url"].default == "tantivy:///data/index"
