"""The migrations of every service: to the newest schema and back, twice, in parallel, all or nothing."""

import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest
from sqlalchemy import MetaData
from sqlalchemy.exc import OperationalError

from antiphon_common.db.migrations import differences, downgrade, migrate

ROOT = Path(__file__).parents[4]
PACKAGES = sorted(
    path.parent.parent.name for path in ROOT.glob("services/*/src/*/migrations/env.py")
    if any(path.parent.glob("versions/[0-9]*.py"))
)  # fmt: skip


def tables(url: str) -> dict[str, str]:
    """The statements that make up the schema, by name."""
    path = url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
        return dict(rows.fetchall())


def url_of(tmp_path: Path, name: str = "service") -> str:
    return f"sqlite:///{tmp_path}/new folder/{name}.db"


@pytest.mark.parametrize("package", PACKAGES)
def test_models_and_migrations_say_the_same(package: str, tmp_path: Path) -> None:
    metadata: MetaData = import_module(f"{package}.tables").Base.metadata
    migrate(package, url_of(tmp_path))
    assert differences(metadata, url_of(tmp_path)) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_schema_can_be_migrated_twice_and_taken_back_and_made_again(package: str, tmp_path: Path) -> None:
    url = url_of(tmp_path)
    migrate(package, url)
    first = tables(url)
    migrate(package, url)
    assert tables(url) == first
    downgrade(package, url)
    assert set(tables(url)) <= {"alembic_version"}
    migrate(package, url)
    assert tables(url) == first


def test_every_service_with_tables_has_migrations() -> None:
    with_tables = {path.parent.name for path in ROOT.glob("services/*/src/*/tables.py")}
    assert with_tables <= set(PACKAGES)


def test_services_that_share_a_process_may_migrate_at_the_same_time(tmp_path: Path) -> None:
    jobs = [(package, url_of(tmp_path, f"{package}-{copy}")) for package in PACKAGES for copy in range(2)]
    with ThreadPoolExecutor(len(jobs)) as threads:
        list(threads.map(lambda job: migrate(*job), jobs))
    for package, url in jobs:
        metadata: MetaData = import_module(f"{package}.tables").Base.metadata
        assert differences(metadata, url) == []


def test_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    package, url = "antiphon_user", url_of(tmp_path)
    script = "import sys; from antiphon_common.db.migrations import migrate; migrate(*sys.argv[1:])"
    command = [sys.executable, "-c", script, package, url]
    children = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [child.communicate()[1] for child in children]
    assert [child.returncode for child in children] == [0] * 3, said
    assert "profile" in tables(url)


@pytest.fixture
def half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package whose one migration makes a table and then fails, as if it had been killed there."""
    package = tmp_path / "path" / "half_service"
    source = ROOT / "services/user/src/antiphon_user/migrations"
    shutil.copytree(source, package / "migrations")
    (package / "__init__.py").touch()
    (package / "tables.py").write_text("from sqlalchemy import MetaData\nclass Base: metadata = MetaData()\n")
    (package / "migrations/env.py").write_text(
        "from antiphon_common.db.migrations import run_env\nfrom half_service.tables import Base\n"
        "run_env(Base.metadata)\n"
    )
    for version in (package / "migrations/versions").glob("[0-9]*.py"):
        version.unlink()
    (package / "migrations/versions/0001_half.py").write_text(
        "from alembic import op\nimport sqlalchemy as sa\nfrom pathlib import Path\n"
        "revision, down_revision, branch_labels, depends_on = '0001_half', None, None, None\n"
        "def upgrade():\n"
        "    op.create_table('first', sa.Column('id', sa.Integer, primary_key=True))\n"
        f"    if not Path({str(tmp_path / 'mended')!r}).exists(): op.execute('SELECT nonsense')\n"
        "    op.create_table('second', sa.Column('id', sa.Integer, primary_key=True))\n"
        "def downgrade(): pass\n"
    )
    monkeypatch.syspath_prepend(package.parent)
    return "half_service"


def test_a_migration_that_breaks_off_leaves_nothing_and_can_be_run_again(half: str, tmp_path: Path) -> None:
    url = url_of(tmp_path)
    with pytest.raises(OperationalError):
        migrate(half, url)
    assert "first" not in tables(url)
    (tmp_path / "mended").touch()
    migrate(half, url)
    assert {"first", "second"} <= set(tables(url))
