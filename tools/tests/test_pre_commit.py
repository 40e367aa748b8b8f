"""The hooks before a commit are those of `make check`, and each of them can be run."""

import shlex
from pathlib import Path

import yaml


def test_every_hook_is_a_local_tool_that_exists_and_that_make_check_runs(root: Path) -> None:
    config = yaml.safe_load((root / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    makefile = (root / "Makefile").read_text()
    for hook in config["repos"][0]["hooks"]:
        words = shlex.split(shlex.split(hook["entry"])[-1] if "bash -c" in hook["entry"] else hook["entry"])
        tool = words[1] if words[0].endswith("/python") else words[0]
        assert (root / words[0]).exists(), hook["id"]
        assert (root / tool).exists(), hook["id"]
        assert Path(tool).name in makefile, hook["id"]
