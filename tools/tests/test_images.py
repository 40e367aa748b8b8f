"""The images' build steps, run for real in a clean directory: there may be no engine to run them in."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_INSTRUCTION = re.compile(r"^(FROM|ARG|WORKDIR|COPY|RUN) (.*)$")


def instructions(dockerfile: Path) -> Iterator[tuple[str, str]]:
    """The steps of the first stage, continued lines joined."""
    text = dockerfile.read_text("utf-8").replace("\\\n", " ")
    stages = 0
    for line in text.splitlines():
        if found := _INSTRUCTION.match(line):
            stages += found[1] == "FROM"
            if stages == 1:
                yield found[1], found[2]


def entrypoint(dockerfile: Path) -> list[str]:
    """The command of the image."""
    text = dockerfile.read_text("utf-8").replace("\\\n", " ")
    (line,) = re.findall(r"(?m)^ENTRYPOINT (.*)$", text)
    command: list[str] = json.loads(line)
    return command


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python that the image of the build stage brings, without any package."""
    tool = tmp_path_factory.mktemp("tool")
    subprocess.run([sys.executable, "-m", "venv", str(tool)], check=True)
    return tool


def build(root: Path, dockerfile: Path, into: Path, *, service: str, tool: Path) -> Path:
    """Do what an engine would do in the build stage; `/venv` and `/src` lie under `into`."""
    source, venv = into / "src", into / "venv"
    source.mkdir()
    environment = {"PATH": f"{tool}/bin:{os.environ['PATH']}", "SERVICE": service, "HOME": str(into)}
    environment |= {
        k: v for k, v in os.environ.items() if k.startswith(("PIP_", "UV_", "SSL_")) or "proxy" in k
    }
    for keyword, rest in instructions(dockerfile):
        if keyword == "COPY":
            *names, target = rest.split()
            for name in names:
                copy(root / name, source / target, as_file_in=target.endswith("/"))
        elif keyword == "RUN":
            step = rest.replace("/venv", str(venv))
            subprocess.run(["/bin/sh", "-ec", step], cwd=source, env=environment, check=True, timeout=300,
                           capture_output=True, text=True)  # fmt: skip
    return venv


def copy(origin: Path, target: Path, *, as_file_in: bool) -> None:
    if origin.is_dir():
        ignored = shutil.ignore_patterns("tests", "__pycache__", "*.egg-info")
        shutil.copytree(origin, target, ignore=ignored, dirs_exist_ok=True)
    else:
        shutil.copy(origin, target / origin.name if as_file_in else target)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("service", ["gateway", "search", "file"])
def test_the_build_steps_make_a_service_that_runs(
    root: Path, tmp_path: Path, tool: Path, service: str
) -> None:
    folder = root / service if service == "gateway" else root / "services" / service
    venv = build(root, folder / "Dockerfile", tmp_path, service=service, tool=tool)
    # The root of a container is read-only: what is not compiled now is compiled again at every start.
    assert list((venv / "lib").glob(f"python*/site-packages/antiphon_{service}/__pycache__/app.*.pyc"))
    # In another directory, so that nothing of this checkout can be imported by accident.
    found = subprocess.run(
        [*entrypoint(folder / "Dockerfile"), "serve"], cwd=tmp_path,
        env={"PATH": f"{venv}/bin:/usr/bin:/bin", "SERVICE": service, "HOST": "0.0.0.0", "PORT": "none"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert found.returncode == 2
    assert f"{service.upper()}_BUS_URL: Field required" in found.stderr
    assert f"{service.upper()}_PORT: Input should be a valid integer" in found.stderr
    names = {path.name for path in (venv / "lib").glob("python*/site-packages/antiphon_*") if path.is_dir()}
    installed = {name for name in names if "." not in name}
    assert installed == {"antiphon_common", "antiphon_contracts", f"antiphon_{service}"}


def test_a_package_that_is_not_the_locked_one_does_not_get_into_an_image(
    root: Path, tmp_path: Path, tool: Path
) -> None:
    """The lock's hashes are verified although it is only a constraint."""
    lock = (root / "requirements.lock").read_text("utf-8")
    changed = re.sub(
        r"(?m)^(orjson==.*(?:\n    --hash=sha256:.*)+)",
        lambda m: re.sub("[0-9a-f]{64}", "0" * 64, m[1]),
        lock,
    )
    assert changed != lock
    (tmp_path / "root").mkdir()
    for name in ("libs", "services", "gateway", "tools"):
        (tmp_path / "root" / name).symlink_to(root / name)
    (tmp_path / "root" / "requirements.lock").write_text(changed, "utf-8")
    (tmp_path / "out").mkdir()
    with pytest.raises(subprocess.CalledProcessError) as failed:
        build(
            tmp_path / "root", root / "gateway" / "Dockerfile", tmp_path / "out", service="gateway", tool=tool
        )
    assert "hash mismatch" in failed.value.stderr.lower()
