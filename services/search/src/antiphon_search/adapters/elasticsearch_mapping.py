"""What Elasticsearch is told of a document: a strict mapping, and the row for it.

The engine analyses nothing. Terms come folded from the domain (the same for every engine), so the mapping
needs no plugin, no filter and no language, and runs on the smallest server as on the largest. Beginnings of
words are terms too: a word that is being typed is looked up, and a misspelt beginning is a misspelt term.
`FORMAT` changes with whatever changes the meaning of a field; an index says in its `_meta` which it has.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from antiphon_search.domain import Document, terms_of
from antiphon_search.ports import Change

FORMAT = 1
STAMP_ID = "stamp"
FIELDS = ("title", "artist", "extra")
_LONGEST_BEGINNING = 16

_TERMS = {"type": "keyword", "doc_values": False}
_PROPERTIES: dict[str, Any] = {
    "kind": {"type": "keyword"},
    "number": {"type": "keyword", "index": False},
    "public": {"type": "boolean", "doc_values": False},
    "owner": _TERMS,
    "genre": _TERMS,
    "key": _TERMS,
    "year": {"type": "short"},
    "weight": {"type": "float", "index": False},
    "words": {"type": "text", "analyzer": "whitespace", "norms": False},
    "any": _TERMS,
    "any_begun": _TERMS,
    "title_begun": _TERMS,
    **{f"{field}_{spelling}": _TERMS for field in FIELDS for spelling in ("exact", "folded", "all")},
}

MAPPINGS: dict[str, Any] = {
    "dynamic": "strict",
    "_meta": {"format": FORMAT},
    # Nobody reads documents here: what is shown comes from the database.
    "_source": {"enabled": False},
    "properties": _PROPERTIES,
}
SETTINGS: dict[str, Any] = {
    "number_of_shards": 1,
    "auto_expand_replicas": "0-1",
    # Said explicitly: otherwise an index that nobody has searched for a while is not refreshed at all.
    "refresh_interval": "1s",
    # A question is asked of every segment, and each second of events makes one. Merged early, an index of
    # 200,000 tracks that events alone have filled answers in less than half the time; writing costs the same.
    "merge": {"policy": {"segments_per_tier": 2, "floor_segment": "64mb"}},
}


def row_of(document: Document) -> dict[str, Any]:
    """A document as the mapping wants it."""
    terms = terms_of(document)
    row: dict[str, Any] = {
        "kind": document.kind,
        "number": document.id.hex,
        "public": document.public,
        "owner": document.owner_id.hex,
        "genre": terms.genres,
        "key": terms.keys,
        "year": document.year,
        "weight": terms.weight,
        "words": " ".join(terms.title.folded),
    }
    everything: set[str] = set()
    for name in FIELDS:
        field = getattr(terms, name)
        spellings = {*field.folded, *field.other}
        row[f"{name}_exact"], row[f"{name}_folded"] = _unique(field.exact), _unique(field.folded)
        row[f"{name}_all"] = sorted(spellings)
        everything |= spellings
    row["any"] = sorted(everything)
    row["any_begun"] = _beginnings(everything)
    row["title_begun"] = _beginnings(row["title_all"])
    return row


def bulk_lines(changes: Iterable[Change], targets: Iterable[str], *, stamp: int) -> list[bytes]:
    """The body of a bulk request: every change, then the stamp, once for each target alias.

    What is gone becomes an empty document with its version. A deletion would be forgotten by the engine after
    a minute, and an older version that arrives later (from an instance that was frozen) would revive it.
    """
    rows = [(x.id.hex, x.version, orjson.dumps(row_of(x.document) if x.document else {})) for x in changes]
    rows.append((STAMP_ID, stamp, b"{}"))
    lines: list[bytes] = []
    for target in targets:
        for which, version, row in rows:
            action = {"_index": target, "_id": which, "version": version, "version_type": "external"}
            lines += [orjson.dumps({"index": {**action, "require_alias": True}}), row]
    return lines


def _unique(terms: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(terms))


def _beginnings(terms: Iterable[str]) -> list[str]:
    lengths = range(1, _LONGEST_BEGINNING + 1)
    return sorted({term[:length] for term in terms for length in lengths})
