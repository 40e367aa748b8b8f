"""The settings of ruff, mypy and import-linter refuse what they are there for: each is fed a violation."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
BANNED = {
    "from starlette.middleware.base import BaseHTTPMiddleware\n": "TID251",
    "from unittest.mock import patch\n": "TID251",
    "from opentelemetry.trace import set_tracer_provider\n": "TID251",
    "from .tables import Base\n": "TID252",
    "print('x')\n": "T201",
    "try:\n    x = 1\nexcept Exception:\n    x = 2\n": "BLE001",
    "from datetime import datetime\n\nnow = datetime.now()\n": "DTZ005",
    "import subprocess\n\nsubprocess.run('ls', shell=True)\n": "S602",
    "# x = compute(1, 2)\n": "ERA001",
    "import os\n\nos.path.join('a', 'b')\n": "PTH118",
    "import time\n\n\nasync def f() -> None:\n    time.sleep(1)\n": "ASYNC251",
}
UNTYPED = '''"""Wrong in five ways."""

from typing import Any

from antiphon_common.ids import new_id
from antiphon_common.principal import Principal


def untyped(x):
    return x


def wrong() -> int:
    return str(new_id())


def loose(items: list) -> Any:
    return items


def reads(principal: Principal) -> str:
    return principal.email
'''
SERVICES = ("auth", "user", "file", "catalog", "playlist", "library", "stream", "search")
MODULES = (
    "__main__", "app", "settings", "routes", "consumers", "schemas", "queries", "repository", "tables",
    "usecases", "ports", "domain",
)  # fmt: skip
ROOT = Path(__file__).parent.parent.parent


def modules_of(source: str) -> tuple[str, ...]:
    """The modules of a real package, so that the empty house has what the rules name."""
    package = ROOT / source
    return tuple(sorted(str(path.relative_to(package).with_suffix("")) for path in package.rglob("*.py")))


COMMON = modules_of("libs/common/src/antiphon_common")
GATEWAY = modules_of("gateway/src/antiphon_gateway")


@pytest.mark.parametrize("snippet", BANNED)
def test_ruff_refuses_what_the_house_does_not_write(root: Path, snippet: str) -> None:
    command = [f"{BIN}/ruff", "check", "--no-cache", "--output-format", "concise", "--stdin-filename",
               "services/user/src/antiphon_user/routes.py", "-"]  # fmt: skip
    ended = subprocess.run(command, cwd=root, input=snippet, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert BANNED[snippet] in ended.stdout


def test_mypy_is_strict(root: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(UNTYPED)
    command = [f"{BIN}/mypy", "--cache-dir", str(root / ".mypy_cache"), str(tmp_path / "wrong.py")]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    found = set(re.findall(r"\[([a-z-]+)\]$", ended.stdout, re.MULTILINE))
    assert ended.returncode == 1
    assert found >= {"no-untyped-def", "return-value", "type-arg", "attr-defined"}


@pytest.fixture(scope="module")
def empty_house(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """Every package with nothing in its modules, and the real import rules."""
    house = tmp_path_factory.mktemp("house")
    shutil.copy(root / ".importlinter", house)
    packages = {
        **{f"antiphon_{name}": MODULES for name in SERVICES},
        "antiphon_common": COMMON,
        "antiphon_contracts": ("event",),
        "antiphon_gateway": GATEWAY,
        "antiphon_embedded": ("platform",),
        "antiphon_cli": ("main",),
    }
    for package, modules in packages.items():
        for name in ("__init__", *modules):
            path = house / package / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return house


def lint_imports(root: Path, house: Path) -> tuple[int, str]:
    command = [str(BIN / "lint-imports"), "--no-cache"]
    ended = subprocess.run(command, cwd=house, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def test_an_empty_house_keeps_every_import_rule(root: Path, empty_house: Path) -> None:
    code, said = lint_imports(root, empty_house)
    assert code == 0, said
    assert "6 kept, 0 broken" in said


IMPORTS = {
    "a service imports another": {"antiphon_user/usecases.py": "import antiphon_auth.domain"},
    "a service imports the gateway": {"antiphon_user/app.py": "import antiphon_gateway.app"},
    "a service imports the composition": {"antiphon_user/app.py": "import antiphon_embedded.platform"},
    "a contract imports a service": {"antiphon_contracts/event.py": "import antiphon_user.domain"},
    "common imports a contract": {"antiphon_common/bus/__init__.py": "import antiphon_contracts.event"},
    "the composition imports the client": {"antiphon_embedded/platform.py": "import antiphon_cli.main"},
    "an adapter knows another": {"antiphon_common/blobs/memory.py": "import antiphon_common.cache.memory"},
    "a file of another name": {"antiphon_user/helpers.py": ""},
    "a file of another name in common": {"antiphon_common/helpers.py": ""},
    "the gateway upside down": {"antiphon_gateway/policy.py": "import antiphon_gateway.app"},
    "a new file in the gateway": {"antiphon_gateway/helpers.py": ""},
    "the domain knows its tables": {"antiphon_user/domain.py": "import antiphon_user.tables"},
    "a use case knows its repository": {"antiphon_user/usecases.py": "import antiphon_user.repository"},
    "routes and consumers know each other": {"antiphon_user/routes.py": "import antiphon_user.consumers"},
    "a use case speaks SQL": {"antiphon_user/usecases.py": "import sqlalchemy"},
    "the domain speaks HTTP": {"antiphon_user/domain.py": "from fastapi import Request"},
    "a port does input through somebody else": {
        "antiphon_user/ports.py": "import antiphon_common.pages",
        "antiphon_common/pages.py": "import aiohttp",
    },
    "small things in common know large ones": {"antiphon_common/errors.py": "import antiphon_common.web"},
}


@pytest.mark.parametrize("what", IMPORTS)
def test_import_rules_refuse_a_wrong_import(root: Path, empty_house: Path, tmp_path: Path, what: str) -> None:
    house = tmp_path / "house"
    shutil.copytree(empty_house, house)
    for path, content in IMPORTS[what].items():
        (house / path).write_text(content)
    code, said = lint_imports(root, house)
    assert code == 1, said
    assert "broken" in said or "missing from the layers" in said


def test_an_import_for_types_only_is_allowed(root: Path, empty_house: Path, tmp_path: Path) -> None:
    house = tmp_path / "house"
    shutil.copytree(empty_house, house)
    content = "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import antiphon_common.db\n"
    (house / "antiphon_user/ports.py").write_text(content)
    code, said = lint_imports(root, house)
    assert code == 0, said
