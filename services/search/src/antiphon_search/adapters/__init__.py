"""Index engines by URL scheme."""

from typing import cast

from antiphon_common.schemes import open_by_scheme
from antiphon_search.ports import SearchIndex

_ELASTICSEARCH = ("antiphon_search.adapters.elasticsearch_index:ElasticsearchIndex", "")
_ADAPTERS = {
    "tantivy": ("antiphon_search.adapters.tantivy_index:TantivyIndex", ""),
    "elasticsearch": _ELASTICSEARCH,
    "elasticsearch+https": _ELASTICSEARCH,
}


def open_index(url: str, deadline: float = 1.0) -> SearchIndex:
    """The index for a URL: `tantivy:///directory` or `elasticsearch://user:password@host:port/alias`.

    Whoever searches waits `deadline` seconds and no longer.
    """
    return cast(SearchIndex, open_by_scheme(_ADAPTERS, url, deadline))
