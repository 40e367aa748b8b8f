"""Every operation of the platform's document shows an example, and made ones fit their schemas."""

from pathlib import Path

import jsonschema_rs
import orjson
import pytest

from antiphon_gateway.examples import example_of, has_example
from antiphon_gateway.openapi import merge
from antiphon_gateway.routes import ROUTES
from antiphon_gateway.settings import SERVICES

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def document() -> dict:
    documents = {
        name: orjson.loads((ROOT / "services" / name / "openapi.json").read_bytes()) for name in SERVICES
    }
    return merge(documents, ROUTES, version="test")


def test_every_operation_has_an_example(document: dict) -> None:
    schemas = document["components"]["schemas"]
    bare = [
        operation["operationId"]
        for item in document["paths"].values()
        for operation in item.values()
        if not has_example(operation, schemas)
        and any(s != "204" for s in operation["responses"] if s < "300")
    ]
    assert bare == []


def test_an_example_that_was_made_fits_its_schema(document: dict) -> None:
    schemas = document["components"]["schemas"]
    checked = 0
    for item in document["paths"].values():
        for operation in item.values():
            for status, answer in operation["responses"].items():
                media = answer.get("content", {}).get("application/json", {})
                if status < "300" and "example" in media:
                    whole = {**media["schema"], "components": {"schemas": schemas}}
                    jsonschema_rs.validator_for(whole).validate(media["example"])
                    checked += 1
    assert checked > 20


def test_field_examples_defaults_and_choices_come_first() -> None:
    schema = {
        "type": "object",
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "title": {"type": "string", "examples": ["Harbour Lights"]},
            "kind": {"enum": ["album", "ep"]},
            "cover": {"anyOf": [{"type": "string", "format": "uuid"}, {"type": "null"}]},
            "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Part"}},
        },
    }
    made = example_of(
        schema, {"Part": {"type": "object", "properties": {"ms": {"type": "integer", "default": 7}}}}
    )
    assert made == {
        "id": "01920000-0000-7000-8000-000000000001",
        "title": "Harbour Lights",
        "kind": "album",
        "cover": "01920000-0000-7000-8000-000000000001",
        "parts": [{"ms": 7}],
    }
