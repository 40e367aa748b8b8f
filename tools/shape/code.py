"""Rules about code, read from its syntax tree: sizes, and what two copies in one process cannot have."""

import ast
from collections.abc import Iterator

from shape.tree import Source, Tree, Violation

MAX_FILE = 400
MAX_FUNCTION = 60
MAX_NESTING = 3
Function = ast.FunctionDef | ast.AsyncFunctionDef
_COMPOUND = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.With,
    ast.AsyncWith,
    ast.Try,
    ast.TryStar,
    ast.Match,
)
# Made once per app by create_app; at the top of a module they would be shared by every copy.
_STATEFUL = {
    "Settings", "create_app", "create_engine", "create_async_engine", "Database", "open_bus", "open_blobs",
    "open_cache", "open_index", "open_log", "FastAPI", "Telemetry", "JwksClient", "Verifier", "ClientSession",
    "AsyncClient", "ThreadPoolExecutor", "ProcessPoolExecutor", "Event", "Semaphore", "Queue",
}  # fmt: skip
_BANNED = {
    "BaseHTTPMiddleware": "write pure ASGI middleware",
    "set_tracer_provider": "hold the tracer in the app's own Telemetry",
    "add_signal_handler": "signals belong to whoever runs the process",
}
_METHODS = {"get", "post", "put", "patch", "delete", "head"}


def sizes(tree: Tree) -> Iterator[Violation]:
    """Files stop at 400 lines, functions at 60."""
    for source in tree.sources:
        lines = source.text.count("\n")
        if lines > MAX_FILE:
            yield source.violation(lines, f"{lines} lines", f"split it: {MAX_FILE} are the limit")
        for function in _functions(source):
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            if length > MAX_FUNCTION:
                what = f"{function.name} has {length} lines"
                yield source.violation(function.lineno, what, f"split it: {MAX_FUNCTION} are the limit")


def nesting(tree: Tree) -> Iterator[Violation]:
    """Three levels of blocks in a function; a nested function begins again."""
    for source in tree.sources:
        if source.is_test:
            continue
        for function in _functions(source):
            deepest = _deepest(function.body, 0)
            if deepest > MAX_NESTING:
                what = f"{function.name} is nested {deepest} levels deep"
                yield source.violation(function.lineno, what, "leave early, or give a part a name")


def docstrings(tree: Tree) -> Iterator[Violation]:
    """Every module opens with a paragraph on its place in the house."""
    for source in tree.sources:
        if source.text.strip() and not ast.get_docstring(source.tree):
            yield source.violation(1, "no docstring", "say in one paragraph what this module is for")


def no_shared_state(tree: Tree) -> Iterator[Violation]:
    """Nothing with a life of its own at the top of a module or in a class body."""
    for source in tree.sources:
        if not source.is_inside:
            continue
        for statement in _top_level(source.tree.body):
            value = getattr(statement, "value", None)
            if isinstance(value, ast.Call) and _name(value.func) in _STATEFUL:
                what = f"{_name(value.func)}() at module level"
                yield source.violation(statement.lineno, what, "make it in create_app and pass it on")


def no_banned_names(tree: Tree) -> Iterator[Violation]:
    """What costs a hundred times more than it should, or reaches out of its app."""
    for source in tree.sources:
        for node in ast.walk(source.tree):
            line = getattr(node, "lineno", 1)
            if _patches(node):
                yield source.violation(line, "patches a module", "pass an adapter instead")
            for name in _BANNED.keys() & set(_mentioned(node)) if source.is_inside else ():
                yield source.violation(line, f"uses {name}", _BANNED[name])


def no_slow_client(tree: Tree) -> Iterator[Violation]:
    """httpx is for tests and the command line: its pool is super-linear in concurrency."""
    for source in tree.sources:
        if not source.is_inside or "/testing/" in source.path:
            continue
        for node in ast.walk(source.tree):
            if any(name.partition(".")[0] == "httpx" for name in _imported(node)):
                yield source.violation(node.lineno, "imports httpx", "use aiohttp behind a port")  # type: ignore[attr-defined]


def routes_answer_bytes(tree: Tree) -> Iterator[Violation]:
    """A route returns a Response: what the framework serialises itself costs ten times more."""
    for source in tree.sources:
        if not source.is_inside:
            continue
        for function in _functions(source):
            returned = _name(function.returns) if function.returns else ""
            if _is_route(function) and not returned.endswith("Response"):
                what = f"{function.name} returns {returned or 'what it likes'}"
                yield source.violation(function.lineno, what, "answer by json_answer() -> Response")


def tests_are_sentences(tree: Tree) -> Iterator[Violation]:
    """A test's name says what is true when it passes."""
    for source in tree.sources:
        for function in _functions(source) if source.is_test else []:
            if function.name.startswith("test_") and len(function.name.split("_")) < 4:
                what = f"{function.name} is no sentence"
                yield source.violation(function.lineno, what, "say what is true when it passes")


def _functions(source: Source) -> Iterator[Function]:
    if not source.is_migration:
        yield from (node for node in ast.walk(source.tree) if isinstance(node, Function))


def _deepest(body: list[ast.stmt], depth: int) -> int:
    deepest = depth
    for statement in body:
        if not isinstance(statement, _COMPOUND):
            continue
        for inner in _bodies(statement):
            # `elif` is written as an if inside an else, and read as a row.
            row = isinstance(statement, ast.If) and len(inner) == 1 and isinstance(inner[0], ast.If)
            row = row and inner is getattr(statement, "orelse", None)
            deepest = max(deepest, _deepest(inner, depth if row else depth + 1))
    return deepest


def _bodies(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    for field in ("body", "orelse", "finalbody"):
        if inner := getattr(statement, field, None):
            yield inner
    for part in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
        yield part.body


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.ClassDef):
            yield from _top_level(statement.body)


def _name(node: ast.expr | None) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Constant):
        return str(node.value)
    return node.id if isinstance(node, ast.Name) else ""


def _patches(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute) and node.attr == "patch":
        return _name(node.value) in {"mock", "mocker"}
    return any(name in {"mock.patch", "unittest.mock.patch"} for name in _imported(node))


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def _mentioned(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Attribute):
        return [node.attr]
    whole = _imported(node)
    return whole + [name.rpartition(".")[2] for name in whole]


def _is_route(function: Function) -> bool:
    calls = (node.func for node in function.decorator_list if isinstance(node, ast.Call))
    return any(
        isinstance(call, ast.Attribute) and call.attr in _METHODS and _name(call.value).endswith("router")
        for call in calls
    )
