"""Index engines by URL scheme."""

from typing import cast

from antiphon_common.schemes import open_by_scheme
from antiphon_search.ports import SearchIndex

_ADAPTERS = {"tantivy": ("antiphon_search.adapters.tantivy_index:TantivyIndex", "")}


def open_index(url: str) -> SearchIndex:
    """The index for a URL: `tantivy:///directory`."""
    return cast(SearchIndex, open_by_scheme(_ADAPTERS, url))
