"""Rules about words: nothing of a build machine anywhere, no domain word in common, no profile in code."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

from shape.tree import Tree, Violation

_HOMES = re.compile(r"(?<![\w.~-])/(?:home|Users)/[a-z][\w.-]*/")
_INDEX = re.compile(r"--(?:extra-)?index-url|--find-links|^\s*(?:index-url|find-links)\s*=", re.MULTILINE)
_DOMAIN = re.compile(r"(?:^|[^a-z])(track|album|artist|playlist|song|lyric)s?(?![a-z])", re.IGNORECASE)
_PROFILE = re.compile(r"profile\s*[!=]=\s*[\"'](?:embedded|server|test)")
_TEXT_BYTES = 2_000_000


def nothing_of_this_machine(tree: Tree) -> Iterator[Violation]:
    """No path, host name or package index of the machine somebody worked on."""
    known = re.compile("|".join(map(re.escape, _this_machine(tree.root))) or r"(?!)")
    for path in tree.files():
        text = _text(path)
        for pattern, what in ((known, "names this machine"), (_HOMES, "names somebody's home directory"),
                              (_INDEX, "names a package index")):  # fmt: skip
            if text and tree.name(path) != "tools/shape/text.py":
                yield from _matches(tree, path, pattern, text, what, "write it so that it is true anywhere")


def common_knows_no_domain(tree: Tree) -> Iterator[Violation]:
    """A word of the domain in common means that the code belongs to a service."""
    for path in tree.root.glob("libs/common/src/**/*.py"):
        text = path.read_text("utf-8")
        yield from _matches(tree, path, _DOMAIN, text, "a domain word in common", "move it into its service")


def profiles_are_no_code_path(tree: Tree) -> Iterator[Violation]:
    """A profile is a set of URLs: nobody asks which one it is."""
    for source in tree.sources:
        if not source.is_test:
            remedy = "decide by the URL's scheme"
            yield from _matches(
                tree, tree.root / source.path, _PROFILE, source.text, "asks for a profile", remedy
            )


def _matches(
    tree: Tree, path: Path, pattern: re.Pattern[str], text: str, what: str, remedy: str
) -> Iterator[Violation]:
    for match in pattern.finditer(text):
        yield Violation(tree.name(path), text.count("\n", 0, match.start()) + 1, what, remedy)


def _this_machine(root: Path) -> list[str]:
    names = [
        f"{path}/" for path in (root.resolve(), Path.home()) if len(path.parts) > 2 or path == Path("/root")
    ]
    host = socket.gethostname()
    return [*names, host] if len(host) > 7 and not host.startswith("localhost") else names


def _text(path: Path) -> str:
    if path.stat().st_size > _TEXT_BYTES:
        return ""
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        return ""
