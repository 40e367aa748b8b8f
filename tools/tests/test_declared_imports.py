"""Whatever a member imports is declared by it, or by a library of the workspace that it declares."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MEMBERS = {path.parent.name: path for path in ROOT.glob("*/*/pyproject.toml")} | {
    "gateway": ROOT / "gateway/pyproject.toml"
}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def declared(pyproject: Path) -> frozenset[str]:
    """The distributions, without versions and extras, with those of our own libraries."""
    project = tomllib.loads(pyproject.read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *chain(*project.get("optional-dependencies", {}).values())]
    names = {normal(re.split(r"[\[<>=!~; ]", each)[0]) for each in wanted} | {project["name"]}
    for name in tuple(names - {project["name"]}):
        member = name.removeprefix("antiphon-")
        if name != member and member in MEMBERS:
            names |= declared(MEMBERS[member])
    return frozenset(names)


def imported(source: Path) -> Iterator[str]:
    """Top-level names, but for what only type checkers import."""
    tree = ast.parse(source.read_text("utf-8"))
    hidden = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_what_is_imported_is_declared(name: str) -> None:
    known, allowed = packages_distributions(), declared(MEMBERS[name])
    # What tests are made of comes with the development group.
    sources = [each for each in MEMBERS[name].parent.glob("src/**/*.py") if "testing" not in each.parts]
    found = {each for source in sources for each in imported(source)}
    missing = {
        each
        for each in found - sys.stdlib_module_names
        if not allowed & {normal(one) for one in known.get(each, [each])}
    }
    assert not missing
