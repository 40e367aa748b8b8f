"""Every rule of the shape check is fed a violation once and seen to refuse it."""

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import orjson
import pytest
from check_shape import RULES
from shape import code, layout, snapshots, text
from shape.tree import Tree, Violation

README = "# x\n\n" + "\n".join(f"## {heading}\nNothing.\n" for heading in layout.HEADINGS)
DOCKERFILE = "# one text\nARG SERVICE={name}\nFROM scratch\n"
FILES = {
    "pyproject.toml": "",
    "Dockerfile": DOCKERFILE,
    "README.md": README,
    "openapi.json": "{{}}",
    "tests/conftest.py": '"""Fixtures."""\n',
    "tests/unit/test_it.py": '"""Tests."""\n\n\ndef test_it_is_what_it_is() -> None:\n    assert True\n',
    "src/antiphon_{name}/__init__.py": '"""Owns nothing."""\n',
    "src/antiphon_{name}/__main__.py": '"""Starts."""\n\nfrom antiphon_{name} import app\n',
    "src/antiphon_{name}/app.py": '"""Makes it."""\n',
    "src/antiphon_{name}/settings.py": '"""Told."""\n',
    "src/antiphon_{name}/py.typed": "",
    "src/antiphon_{name}/routes.py": '"""In and out."""\n',
    "src/antiphon_{name}/migrations/env.py": '"""Entry."""\n\nfrom antiphon_{name}.tables import Base\n',
}
ONE, TWO, THREE = "services/one", "services/two", "services/three"
INSIDE = f"{ONE}/src/antiphon_one"
COMMON = "libs/common/src/antiphon_common"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A small repository that breaks no rule: three services, a gateway and a library."""
    for name in ("one", "two", "three"):
        for path, content in FILES.items():
            write(tmp_path, f"services/{name}/{path.format(name=name)}", content.format(name=name))
    write(tmp_path, "gateway/Dockerfile", DOCKERFILE.format(name="gateway"))
    write(tmp_path, f"{COMMON}/pages.py", '"""Pages."""\n')
    return tmp_path


def write(root: Path, name: str, content: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")


def module(body: str) -> str:
    return f'"""A module."""\n\n{body}\n'


def nested(levels: int) -> str:
    lines = ["def deep(x: int) -> None:"]
    lines += ["    " * (level + 1) + "if x:" for level in range(levels)]
    return "\n".join([*lines, "    " * (levels + 1) + "print(x)"])


def fresh(root: Path) -> Iterable[Violation]:
    return snapshots.openapi_is_fresh(Tree(root), lambda _: b"{}")


def produces_other(tree: Tree) -> Iterable[Violation]:
    return snapshots.openapi_is_fresh(tree, lambda _: b'{"openapi": "3.1.0"}')


def cannot_produce(tree: Tree) -> Iterable[Violation]:
    def produce(_: str) -> bytes:
        raise RuntimeError

    return snapshots.openapi_is_fresh(tree, produce)


Rule = Callable[[Tree], Iterable[Violation]]
SPOILT: list[tuple[Rule, str, str, str]] = [
    (layout.files_are_the_same, f"{INSIDE}/helpers.py", module(""), "no such name"),
    (layout.files_are_the_same, f"{ONE}/notes.md", "", "no such name"),
    (layout.files_are_the_same, f"{ONE}/tests/helpers.py", module(""), "no such name"),
    (layout.files_are_the_same, f"{ONE}/src/other/__init__.py", module(""), "no such name"),
    (layout.files_are_the_same, f"{INSIDE}/routes/__init__.py", module(""), "a module and a package"),
    (layout.files_say_the_same, f"{INSIDE}/__main__.py", module("import os"), "differs"),
    (layout.files_say_the_same, f"{INSIDE}/migrations/env.py", module("import os"), "differs"),
    (layout.dockerfiles_are_identical, f"{ONE}/Dockerfile", DOCKERFILE.format(name="two"), "does not name"),
    (layout.dockerfiles_are_identical, f"{ONE}/Dockerfile", "ARG SERVICE=one\nFROM python\n", "differs"),
    (layout.dockerfiles_are_identical, "gateway/Dockerfile", "ARG SERVICE=gateway\n", "differs"),
    (layout.readmes_answer_the_same_questions, f"{ONE}/README.md", "# one\n\n## Owns\nAll.\n", "has the headings"),
    (layout.readmes_answer_the_same_questions, f"{ONE}/README.md", README.replace("Nothing.", "", 1), "empty"),
    (code.sizes, f"{INSIDE}/app.py", module("x = 1\n" * 399), "402 lines"),
    (code.sizes, f"{INSIDE}/app.py", module("def f() -> None:\n" + "    print()\n" * 60), "f has 61 lines"),
    (code.nesting, f"{INSIDE}/app.py", module(nested(4)), "deep is nested 4 levels deep"),
    (code.docstrings, f"{INSIDE}/app.py", "x = 1\n", "no docstring"),
    (code.no_shared_state, f"{INSIDE}/app.py", module("settings = Settings()"), "Settings() at module level"),
    (code.no_shared_state, f"{INSIDE}/app.py", module("E: object = sa.create_async_engine('x')"), "create_async"),
    (code.no_shared_state, f"{INSIDE}/app.py", module("class A:\n    lock = asyncio.Event()"), "Event()"),
    (code.no_banned_names, f"{INSIDE}/app.py", module("class A(base.BaseHTTPMiddleware): ..."), "BaseHTTP"),
    (code.no_banned_names, f"{INSIDE}/app.py", module("from a import set_tracer_provider"), "set_tracer"),
    (code.no_banned_names, f"{INSIDE}/app.py", module("loop.add_signal_handler(2, f)"), "add_signal_handler"),
    (code.no_banned_names, f"{ONE}/tests/unit/test_it.py", module("from unittest.mock import patch"), "patches"),
    (code.no_banned_names, f"{ONE}/tests/unit/test_it.py", module("with mock.patch('a'): ..."), "patches"),
    (code.no_banned_names, f"{ONE}/tests/unit/test_it.py", module("mock.patch.object(a, 'b')"), "patches"),
    (code.no_slow_client, f"{INSIDE}/app.py", module("import httpx"), "imports httpx"),
    (code.no_slow_client, "gateway/src/antiphon_gateway/x.py", module("from httpx import Client"), "httpx"),
    (code.routes_answer_bytes, f"{INSIDE}/routes.py", module("@router.get('/')\ndef f() -> dict: ..."), "f returns dict"),
    (code.routes_answer_bytes, f"{INSIDE}/routes.py", module("@router.get('/')\nasync def f(): ..."), "f returns"),
    (code.tests_are_sentences, f"{ONE}/tests/unit/test_it.py", module("def test_login() -> None: ..."), "no sentence"),
    (text.nothing_of_this_machine, f"{ONE}/README.md", "/" + "home/ada/antiphon\n", "somebody's home"),
    (text.nothing_of_this_machine, "requirements.lock", "--index-" + "url x\n", "package index"),
    (text.common_knows_no_domain, f"{COMMON}/pages.py", module("def page_of_tracks() -> None: ..."), "domain word"),
    (text.profiles_are_no_code_path, f"{INSIDE}/app.py", module("if profile == 'embedded': ..."), "asks for"),
    (produces_other, f"{ONE}/openapi.json", "{}", "is stale"),
    (cannot_produce, f"{ONE}/openapi.json", "{}", "create_app fails: RuntimeError"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "path", "content", "what"), SPOILT)
def test_a_rule_refuses_its_violation_and_names_the_place(
    house: Path, rule: Rule, path: str, content: str, what: str
) -> None:
    write(house, path, content)
    found = list(rule(Tree(house)))
    assert any(what in violation.what for violation in found), found
    assert any(path.startswith(violation.path) for violation in found)
    assert all(str(violation).startswith(f"{violation.path}:{violation.line}: ") for violation in found)


REMOVED: list[tuple[Rule, str]] = [
    (layout.files_are_the_same, f"{INSIDE}/app.py"),
    (layout.files_are_the_same, f"{INSIDE}/py.typed"),
    (layout.dockerfiles_are_identical, f"{ONE}/Dockerfile"),
    (layout.dockerfiles_are_identical, "gateway/Dockerfile"),
    (layout.readmes_answer_the_same_questions, f"{ONE}/README.md"),
    (snapshots.openapi_is_fresh, f"{ONE}/openapi.json"),
]


@pytest.mark.parametrize(("rule", "path"), REMOVED)
def test_a_rule_refuses_what_is_missing(house: Path, rule: Rule, path: str) -> None:
    (house / path).unlink()
    assert path in {violation.path for violation in rule(Tree(house))}


@pytest.mark.parametrize("rule", RULES[:-1])
def test_a_rule_has_nothing_against_a_house_in_order(house: Path, rule: Rule) -> None:
    assert list(rule(Tree(house))) == []
    assert list(fresh(house)) == []


def test_the_path_of_the_checkout_itself_is_found(house: Path) -> None:
    write(house, "docs/install.md", f"cd {house.resolve()}/services\n")
    assert [v.what for v in text.nothing_of_this_machine(Tree(house))] == ["names this machine"]


def test_three_levels_and_a_long_row_of_elifs_are_fine(house: Path) -> None:
    row = "def f(x: int) -> None:\n    if x == 0:\n        g()\n" + "".join(
        f"    elif x == {number}:\n        g()\n" for number in range(1, 9)
    )
    write(house, f"{INSIDE}/app.py", module(nested(3) + "\n\n" + row))
    assert list(code.nesting(Tree(house))) == []


def test_every_rule_is_shown_red_here() -> None:
    shown = {rule for rule, *_ in SPOILT} | {rule for rule, _ in REMOVED}
    assert set(RULES) <= shown


def test_the_command_prints_one_line_a_violation_and_fails(house: Path, root: Path) -> None:
    write(house, f"{INSIDE}/openapi.py", "x = 1\n")
    command = [sys.executable, str(root / "tools/check_shape.py"), str(house)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = ended.stdout.splitlines()
    assert ended.returncode == 1
    assert f"{INSIDE}/openapi.py:1: no docstring, say in one paragraph what this module is for" in lines
    assert lines[-1] == f"shape: {len(lines) - 1} violations"


def test_a_snapshot_is_compared_as_json_and_not_as_text(house: Path) -> None:
    write(house, f"{ONE}/openapi.json", orjson.dumps({"a": 1, "b": 2}).decode())
    spaced = b'{"b": 2,   "a": 1}'
    stale = snapshots.openapi_is_fresh(Tree(house), lambda name: spaced if name == "one" else b"{}")
    assert list(stale) == []
