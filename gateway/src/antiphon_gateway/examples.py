"""An example for every operation whose service wrote none: of its answer, or of the id in its path.

An answer's example is made of its schema: the examples, defaults and first choices of its fields where they
have some, and a plain value of the type where not.
"""

from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]

_DEEPEST = 8
_BY_FORMAT = {
    "uuid": "01920000-0000-7000-8000-000000000001",
    "date-time": "2026-01-31T12:00:00Z",
    "date": "2026-01-31",
    "byte": "AAECAw==",
}
_BY_TYPE: Mapping[str, object] = {
    "string": "text",
    "integer": 1,
    "number": 0.5,
    "boolean": True,
    "null": None,
}
_REF = "#/components/schemas/"


def give_examples(document: Document) -> None:
    """Add an example to each operation of a merged document that has none."""
    schemas = document["components"]["schemas"]
    for item in document["paths"].values():
        for operation in item.values():
            if not has_example(operation, schemas):
                _give(operation, schemas)


def has_example(operation: Document, schemas: Document) -> bool:
    """Whether an operation shows what is sent, what comes back, or what its address looks like."""
    bodies = [operation.get("requestBody", {}), *_successes(operation)]
    media = [kind for body in bodies for kind in body.get("content", {}).values()]
    return any(_shown(part, schemas) for part in [*media, *operation.get("parameters", [])])


def example_of(schema: Document, schemas: Document, depth: int = 0) -> object:
    """A value that fits the schema."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].removeprefix(_REF)]
    for name in ("example", "const", "default"):
        if name in schema:
            return schema[name]
    chosen = [*schema.get("examples", []), *schema.get("enum", [])]
    if chosen:
        return chosen[0]
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return example_of(schema[name][0], schemas, depth)
    return _structure(schema, schemas, depth + 1)


def _structure(schema: Document, schemas: Document, depth: int) -> object:
    kind = schema.get("type", "object")
    if kind == "array":
        return [example_of(schema.get("items", {}), schemas, depth)] if depth < _DEEPEST else []
    if kind == "object":
        fields = schema.get("properties", {}) if depth < _DEEPEST else {}
        return {name: example_of(field, schemas, depth) for name, field in fields.items()}
    return _BY_FORMAT.get(schema.get("format", ""), _BY_TYPE.get(kind))


def _give(operation: Document, schemas: Document) -> None:
    for success in _successes(operation):
        for mime, media in success.get("content", {}).items():
            if mime == "application/json" and "schema" in media:
                media["example"] = example_of(media["schema"], schemas)
                return
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            parameter["example"] = example_of(parameter["schema"], schemas)
            return


def _successes(operation: Document) -> list[Document]:
    return [body for status, body in operation["responses"].items() if status.startswith("2")]


def _shown(part: Document, schemas: Document) -> bool:
    schema = part.get("schema", {})
    if "$ref" in schema:
        schema = schemas[schema["$ref"].removeprefix(_REF)]
    fields = schema.get("properties", {}).values()
    marks = ("example", "examples")
    return any(mark in place for mark in marks for place in (part, schema, *fields))
