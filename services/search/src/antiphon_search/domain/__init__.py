"""What search knows about names and the people who mistype them. Pure: values in, values out."""

from antiphon_search.domain.asking import (
    EDITS,
    MAX_QUERY_CHARACTERS,
    Filters,
    Found,
    Group,
    Hit,
    Mode,
    Query,
    SearchRequest,
    read_query,
)
from antiphon_search.domain.documents import (
    KINDS,
    Counts,
    Document,
    Entry,
    Kind,
    Terms,
    genre_key,
    popularity,
    terms_of,
)
from antiphon_search.domain.folding import fold
from antiphon_search.domain.matching import Span, did_you_mean, highlights

__all__ = [
    "EDITS",
    "KINDS",
    "MAX_QUERY_CHARACTERS",
    "Counts",
    "Document",
    "Entry",
    "Filters",
    "Found",
    "Group",
    "Hit",
    "Kind",
    "Mode",
    "Query",
    "SearchRequest",
    "Span",
    "Terms",
    "did_you_mean",
    "fold",
    "genre_key",
    "highlights",
    "popularity",
    "read_query",
    "terms_of",
]
