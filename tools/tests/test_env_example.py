""".env.example names every setting, with its default in the spelling that is read."""

import re
from importlib import import_module

import orjson
import pytest
from env_example import PATH, example, packages
from pydantic import TypeAdapter

from antiphon_common.settings import ServiceSettings


def test_the_committed_example_is_what_the_settings_say() -> None:
    assert PATH.read_text("utf-8") == example(), "run python tools/env_example.py"


@pytest.mark.parametrize("package", packages())
def test_what_the_example_says_is_read_as_the_default(package: str) -> None:
    settings: type[ServiceSettings] = import_module(f"{package}.settings").Settings
    prefix = str(settings.model_config["env_prefix"])
    written = dict(re.findall(rf"^(?:# )?{prefix}([A-Z_]+)=(.*)$", example(), re.MULTILINE))
    assert {name.lower() for name in written} == set(settings.model_fields)
    for name, field in settings.model_fields.items():
        text = written[name.upper()]
        if text:
            value = orjson.loads(text) if text[0] in "[{" else text
            read = TypeAdapter(field.rebuild_annotation()).validate_python(value)
            assert read == field.get_default(call_default_factory=True, validated_data={})
        else:
            assert field.is_required() or field.default in (None, "")
