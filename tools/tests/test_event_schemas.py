"""Events may only gain: each way of taking something away is shown once and refused."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from event_schemas import Schema, breaks, schemas
from export_schemas import DOCUMENT, RELEASED, SCHEMAS, files, load

Spoil = Callable[[dict[str, Schema]], object]


def track(version: dict[str, Schema]) -> dict[str, Any]:
    fields: dict[str, Any] = version["catalog.track_changed"]["properties"]
    return fields


def after(spoil: Spoil) -> list[str]:
    old = schemas()
    new = copy.deepcopy(old)
    spoil(new)
    return breaks(old, new)


TAKING: dict[str, tuple[Spoil, str]] = {
    "an event": (lambda v: v.pop("catalog.track_deleted"), "catalog.track_deleted: the event is gone"),
    "a field": (lambda v: track(v).pop("title"), "catalog.track_changed.title: the field is gone"),
    "a field of a value": (
        lambda v: track(v)["audio"]["properties"].pop("codec"),
        "catalog.track_changed.audio.codec: the field is gone",
    ),
    "a field of a list's items": (
        lambda v: track(v)["artists"]["items"]["properties"].pop("name"),
        "catalog.track_changed.artists[].name: the field is gone",
    ),
    "a type": (
        lambda v: track(v)["title"].update(type="integer"),
        "catalog.track_changed.title: type changed from string to integer",
    ),
    "a format": (
        lambda v: track(v)["owner_id"].pop("format"),
        "catalog.track_changed.owner_id: format changed from uuid to None",
    ),
    "a missing field's default": (
        lambda v: v["catalog.track_changed"]["required"].append("genres"),
        "catalog.track_changed.genres: it became required",
    ),
    "messages without a new field": (
        lambda v: (
            track(v).update(mood={"type": "string"}),
            v["catalog.track_changed"]["required"].append("mood"),
        ),
        "catalog.track_changed.mood: a new field needs a default",
    ),
    "a value of an enumeration": (
        lambda v: track(v)["status"]["enum"].remove("withdrawn"),
        "catalog.track_changed.status: no longer accepts withdrawn",
    ),
    "free text": (
        lambda v: track(v)["title"].update(enum=["a", "b"]),
        "catalog.track_changed.title: became an enumeration",
    ),
    "null": (
        lambda v: track(v)["album_title"]["anyOf"].pop(),
        "catalog.track_changed.album_title: accepts other types than before",
    ),
    "larger values": (
        lambda v: track(v)["title"].update(maxLength=10),
        "catalog.track_changed.title: maxLength changed from None to 10",
    ),
}  # fmt: skip


@pytest.mark.parametrize("taken", TAKING)
def test_taking_something_away_is_refused(taken: str) -> None:
    spoil, said = TAKING[taken]
    assert after(spoil) == [said]


ADDING: dict[str, Spoil] = {
    "an event": lambda v: v.update({"catalog.mood_changed": {"type": "object"}}),
    "a field with a default": lambda v: track(v).update(mood={"type": "string", "default": ""}),
    "a value of an enumeration": lambda v: track(v)["status"]["enum"].append("hidden"),
    "a description": lambda v: track(v)["title"].update(description="What people call it."),
}


@pytest.mark.parametrize("added", ADDING)
def test_adding_something_is_allowed(added: str) -> None:
    assert after(ADDING[added]) == []


def test_the_committed_schemas_and_document_are_what_the_contracts_say() -> None:
    stale = [
        path.name for path, content in files().items() if not path.is_file() or path.read_bytes() != content
    ]
    orphans = {path.name for path in SCHEMAS.glob("*.json")} - {path.name for path in files()}
    assert (stale, orphans) == ([], set()), f"run make schemas ({DOCUMENT.name} too)"


def test_the_contracts_only_add_to_the_released_ones() -> None:
    released = load(RELEASED)
    assert released
    assert breaks(released, schemas()) == []
