"""Rules about generated files: what is committed is what the code says today."""

from collections.abc import Callable, Iterator
from importlib import import_module

import orjson

from antiphon_common.cli import openapi_document
from shape.tree import Tree, Violation

Produce = Callable[[str], bytes]


def openapi_of(service: str) -> bytes:
    """The OpenAPI document of an installed service, as its snapshot is written."""
    package = f"antiphon_{service}"
    app, settings = import_module(f"{package}.app"), import_module(f"{package}.settings")
    return openapi_document(app.create_app, settings.Settings)


def openapi_is_fresh(tree: Tree, produce: Produce = openapi_of) -> Iterator[Violation]:
    """The OpenAPI snapshot of each service is committed and up to date."""
    for service in tree.services():
        if not (service / "src" / f"antiphon_{service.name}" / "app.py").is_file():
            continue
        path, name = service / "openapi.json", service.name
        command = f"python -m antiphon_{name} openapi > services/{name}/openapi.json"
        if not path.is_file():
            yield Violation(tree.name(path), 1, "missing", f"run {command}")
            continue
        try:
            produced = produce(name)
        except Exception as error:  # noqa: BLE001 - whatever it is, this service has no document
            yield Violation(tree.name(path), 1, f"create_app fails: {type(error).__name__}", f"run {command}")
            continue
        if orjson.loads(produced) != orjson.loads(path.read_bytes()):
            yield Violation(tree.name(path), 1, "is stale", f"run {command}")
