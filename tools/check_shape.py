"""Check the shape of the house: `python tools/check_shape.py`; 0 when it holds, 1 with one line a violation.

The rules are in `tools/shape/`, each with a test that spoils a tree and sees it refused.
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from shape import code, layout, snapshots, text
from shape.tree import Tree, Violation

Rule = Callable[[Tree], Iterable[Violation]]

RULES: tuple[Rule, ...] = (
    layout.files_are_the_same,
    layout.files_say_the_same,
    layout.dockerfiles_are_identical,
    layout.readmes_answer_the_same_questions,
    code.sizes,
    code.nesting,
    code.docstrings,
    code.no_shared_state,
    code.no_banned_names,
    code.no_slow_client,
    code.routes_answer_bytes,
    code.tests_are_sentences,
    text.nothing_of_this_machine,
    text.common_knows_no_domain,
    text.profiles_are_no_code_path,
    snapshots.openapi_is_fresh,
)


def main() -> int:
    """Run every rule over the repository this file is in, or the one that is named."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent
    tree = Tree(root.resolve())
    violations = [violation for rule in RULES for violation in rule(tree)]
    for violation in violations:
        print(violation)
    print(f"shape: {len(violations)} violations" if violations else "shape: ok")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
