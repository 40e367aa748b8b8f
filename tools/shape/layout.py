"""Rules about files: the same ones in every service, with the same headings and the same Dockerfile."""

import re
from collections.abc import Iterator
from pathlib import Path

from shape.tree import Tree, Violation

ROOT_FILES = {"pyproject.toml", "Dockerfile", "README.md", "openapi.json", "src", "tests"}
TEST_FILES = {"conftest.py", "unit", "integration", "api"}
MODULES = (
    "__init__", "__main__", "app", "settings", "routes", "consumers", "schemas", "queries", "repository",
    "adapters", "tables", "usecases", "ports", "domain", "migrations",
)  # fmt: skip
REQUIRED = ("__init__.py", "__main__.py", "app.py", "settings.py", "py.typed")
HEADINGS = (
    "Owns", "Publishes", "Consumes", "Endpoints", "Settings", "Run alone", "What may be stale",
)  # fmt: skip
_SAME = ("__main__.py", "migrations/env.py", "migrations/script.py.mako")


def files_are_the_same(tree: Tree) -> Iterator[Violation]:
    """A file may be absent or be a package of the same name; nothing else may appear."""
    for service in tree.services():
        package = service / "src" / f"antiphon_{service.name}"
        yield from _only(tree, service, ROOT_FILES)
        yield from _only(tree, service / "tests", TEST_FILES)
        yield from _only(tree, service / "src", {package.name})
        yield from _only(tree, package, {*MODULES, *(f"{name}.py" for name in MODULES), "py.typed"})
        for name in REQUIRED:
            if not (package / name).is_file():
                yield Violation(tree.name(package / name), 1, "missing", "every service has this file")
        for name in MODULES:
            if (package / f"{name}.py").is_file() and (package / name).is_dir():
                yield Violation(tree.name(package / name), 1, "a module and a package", "keep one of them")


def files_say_the_same(tree: Tree) -> Iterator[Violation]:
    """The entry points of all services differ in nothing but the service's name."""
    for name in _SAME:
        texts: dict[Path, str] = {}
        for service in tree.services():
            path = service / "src" / f"antiphon_{service.name}" / name
            if path.is_file():
                text = path.read_text("utf-8").replace(f"antiphon_{service.name}", "antiphon_X")
                # Sorted, because imports are: `antiphon_auth` comes before `antiphon_common`.
                texts[path] = "\n".join(sorted(text.splitlines()))
        yield from _odd_ones(tree, texts, "copy that of another service")


def dockerfiles_are_identical(tree: Tree) -> Iterator[Violation]:
    """One text, and one line that names the service."""
    texts: dict[Path, str] = {}
    for folder in [*tree.services(), tree.root / "gateway"]:
        path, line = folder / "Dockerfile", f"ARG SERVICE={folder.name}\n"
        if not path.is_file():
            if folder.is_dir():
                yield Violation(tree.name(path), 1, "missing", f"copy another and write {line.strip()}")
            continue
        text = path.read_text("utf-8")
        if text.count(line) != 1:
            yield Violation(tree.name(path), 1, "does not name its service", f"write {line.strip()} once")
        texts[path] = text.replace(line, "ARG SERVICE=X\n")
    yield from _odd_ones(tree, texts, "only ARG SERVICE may differ")


def readmes_answer_the_same_questions(tree: Tree) -> Iterator[Violation]:
    """Seven headings, in this order, none of them empty."""
    for service in tree.services():
        path = service / "README.md"
        if not path.is_file():
            yield Violation(tree.name(path), 1, "missing", f"write one with {', '.join(HEADINGS)}")
            continue
        text = path.read_text("utf-8")
        # A comment in an example is no heading.
        plain = re.sub(
            r"^```.*?^```", lambda m: "\n" * m[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE
        )
        found = tuple(re.findall(r"^## (.+?)\s*$", plain, re.MULTILINE))
        if found != HEADINGS:
            what = f"has the headings {', '.join(found) or 'none'}"
            yield Violation(tree.name(path), 1, what, f"they are {', '.join(HEADINGS)}")
        for match in re.finditer(r"^## (.+)\n\s*(?=^## |\Z)", text, re.MULTILINE):
            line = text.count("\n", 0, match.start()) + 1
            yield Violation(tree.name(path), line, f"{match[1]!r} is empty", "write 'Nothing.' if so it is")


def _only(tree: Tree, folder: Path, allowed: set[str]) -> Iterator[Violation]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name not in allowed and path.name != "__pycache__" and not path.name.startswith("."):
            what = f"no such name in {tree.name(folder)}"
            yield Violation(tree.name(path), 1, what, "move it into one of the files of the house")


def _odd_ones(tree: Tree, texts: dict[Path, str], remedy: str) -> Iterator[Violation]:
    versions = list(texts.values())
    if len(set(versions)) < 2:
        return
    usual = max(set(versions), key=versions.count)
    for path, text in texts.items():
        if text != usual:
            pairs = zip(text.splitlines(), usual.splitlines(), strict=False)
            line = next((number for number, (a, b) in enumerate(pairs, 1) if a != b), len(text.splitlines()))
            yield Violation(tree.name(path), line, "differs from the other services", remedy)
