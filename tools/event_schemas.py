"""JSON Schemas of the events, and what may change between two versions of them: additions only.

A schema says what a consumer accepts. Old messages are read by new consumers and new messages by old ones, so
a field stays, keeps its type, and a new one has a default.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import antiphon_contracts
from antiphon_contracts.event import Event

Schema = dict[str, Any]
_ANNOTATIONS = {"title", "description", "default", "examples", "$defs", "x-type"}


def events() -> list[type[Event]]:
    """Every event of the contracts, by its type's name."""
    for module in iter_modules(antiphon_contracts.__path__):
        import_module(f"{antiphon_contracts.__name__}.{module.name}")
    ours = (event for event in _below(Event) if event.__module__.startswith(antiphon_contracts.__name__))
    return sorted(ours, key=lambda event: event.type)


def schema_of(event: type[Event]) -> Schema:
    """The schema of one event, with every reference written out."""
    whole = event.model_json_schema(mode="validation")
    schema: Schema = _inlined(whole, whole.get("$defs", {}))
    return {"x-type": event.type, **schema}


def schemas() -> dict[str, Schema]:
    """The schemas of all events, by type."""
    return {event.type: schema_of(event) for event in events()}


def breaks(old: Mapping[str, Schema], new: Mapping[str, Schema]) -> list[str]:
    """What the new version of all events takes away from the old one; empty when it only adds."""
    found = [f"{name}: the event is gone" for name in sorted(old.keys() - new.keys())]
    for name in sorted(old.keys() & new.keys()):
        found += [f"{name}{path}: {what}" for path, what in _compare(old[name], new[name], "")]
    return found


def _compare(old: Schema, new: Schema, path: str) -> Iterator[tuple[str, str]]:
    fields, kept = old.get("properties", {}), new.get("properties", {})
    for name, field in fields.items():
        if name in kept:
            yield from _compare(field, kept[name], f"{path}.{name}")
        else:
            yield f"{path}.{name}", "the field is gone"
    for name in sorted(set(new.get("required", [])) - set(old.get("required", []))):
        yield f"{path}.{name}", "a new field needs a default" if name not in fields else "it became required"
    if gone := _values(old) - _values(new):
        yield path, f"no longer accepts {', '.join(sorted(map(str, gone)))}"
    if not _values(old) and _values(new):
        yield path, "became an enumeration"
    yield from _compare_parts(old, new, path)
    handled = {*_ANNOTATIONS, "properties", "required", "enum", "const", "items", "anyOf"}
    for keyword in sorted((old.keys() | new.keys()) - handled):
        if old.get(keyword) != new.get(keyword):
            yield path, f"{keyword} changed from {old.get(keyword)} to {new.get(keyword)}"


def _compare_parts(old: Schema, new: Schema, path: str) -> Iterator[tuple[str, str]]:
    if "items" in old and "items" in new:
        yield from _compare(old["items"], new["items"], f"{path}[]")
    elif ("items" in old) != ("items" in new):
        yield path, "a list changed into something else, or something else into a list"
    choices, kept = old.get("anyOf", []), new.get("anyOf", [])
    if len(choices) != len(kept):
        yield path, "accepts other types than before"
    for number, (choice, now) in enumerate(zip(choices, kept, strict=False)):
        yield from _compare(choice, now, f"{path}|{number}")


def _values(schema: Schema) -> set[Any]:
    return {schema["const"]} if "const" in schema else set(schema.get("enum", []))


def _below(kind: type[Event]) -> Iterator[type[Event]]:
    for event in kind.__subclasses__():
        yield event
        yield from _below(event)


def _inlined(value: Any, definitions: Mapping[str, Schema]) -> Any:
    if isinstance(value, list):
        return [_inlined(item, definitions) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        referred = definitions[value["$ref"].rpartition("/")[2]]
        return _inlined({**referred, **{k: v for k, v in value.items() if k != "$ref"}}, definitions)
    return {key: _inlined(item, definitions) for key, item in value.items() if key != "$defs"}
