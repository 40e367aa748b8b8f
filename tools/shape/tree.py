"""What the rules look at: the files of a repository, and what they report."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_SKIPPED = {"__pycache__", ".venv", ".git", "node_modules", "dist"}


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: where, what, and what to do about it."""

    path: str
    line: int
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}, {self.remedy}"


@dataclass(frozen=True)
class Source:
    """One Python file: its path below the root, its text and its syntax tree."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def is_test(self) -> bool:
        return "tests" in self.path.split("/") or self.path.startswith(("tests-e2e/", "bench/"))

    @property
    def is_migration(self) -> bool:
        return "/migrations/versions/" in self.path

    @property
    def is_inside(self) -> bool:
        """Whether it runs in a service or the gateway, where two copies must fit into one process."""
        return self.path.startswith(("services/", "gateway/", "libs/")) and not self.is_test

    def violation(self, line: int, what: str, remedy: str) -> Violation:
        return Violation(self.path, line, what, remedy)


@dataclass(frozen=True)
class Tree:
    """A checkout, or a copy of one that a test has spoilt."""

    root: Path

    def services(self) -> list[Path]:
        return sorted(path.parent for path in self.root.glob("services/*/pyproject.toml"))

    def name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    @cached_property
    def sources(self) -> list[Source]:
        found = (path for path in self.files() if path.suffix == ".py")
        return [Source(self.name(path), path.read_text("utf-8")) for path in found]

    def files(self) -> Iterator[Path]:
        """What git would take, or everything when this is no checkout."""
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=self.root, capture_output=True, check=False)
        if listed.returncode == 0 and (self.root / ".git").exists():
            names = sorted(set(listed.stdout.decode().split("\0")) - {""})
            yield from (self.root / name for name in names if (self.root / name).is_file())
            return
        for path in sorted(self.root.rglob("*")):
            if path.is_file() and not _SKIPPED & set(path.relative_to(self.root).parts):
                yield path
