"""From a canonical path to a line of the route table, one dictionary look-up a segment.

The table is compiled once; a line that lacks something or contradicts itself stops the start. The path for
the upstream is put together from the line and the validated ids, never from the client's bytes.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from antiphon_gateway.paths import canonical_path
from antiphon_gateway.policy import Access, Body, Public, Rate, Route
from antiphon_gateway.problems import Refused

_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
_PARAMETER = "{id}"


class TableError(RuntimeError):
    """The route table cannot be served; the message names the line."""


@dataclass(frozen=True, slots=True)
class Target:
    """A compiled line: what `Route` says, and how to build the rest from the path's ids."""

    route: Route
    upstream: str

    def path(self, ids: tuple[str, ...]) -> str:
        """The path at the service."""
        return self.upstream % ids if ids else self.upstream

    def tags(self, ids: tuple[str, ...]) -> tuple[str, ...]:
        """The tags of a public answer."""
        cache = self.route.cache
        if cache is None:
            return ()
        return tuple(tag.replace(_PARAMETER, ids[0]) if ids else tag for tag in cache.tags)


@dataclass(slots=True)
class _Node:
    literal: "dict[str, _Node]" = field(default_factory=dict)
    parameter: "_Node | None" = None
    targets: dict[str, Target] = field(default_factory=dict)
    allow: bytes = b""


@dataclass(frozen=True, slots=True)
class Found:
    """A path of the table: its targets by method, the value of `Allow`, and the ids in the path."""

    targets: dict[str, Target]
    allow: bytes
    ids: tuple[str, ...]

    def target(self, method: str) -> Target:
        """The target for a method; GET serves HEAD. Raises 405 with `Allow`."""
        found = self.targets.get(method)
        if found is None and method == "HEAD":
            found = self.targets.get("GET")
        if found is None:
            raise Refused(
                405, "method_not_allowed", detail="This method is not allowed here.",
                headers=[(b"allow", self.allow)],
            )  # fmt: skip
        return found


class Table:
    """The compiled route table."""

    def __init__(self, root: _Node) -> None:
        self._root = root

    def find(self, path: str) -> Found:
        """Raises 404 for a path that is not in the table and 422 for an id that is no UUID."""
        node, ids, spoilt = self._root, [], False
        for segment in path.split("/")[1:]:
            below = node.literal.get(segment)
            if below is None:
                below = node.parameter
                if below is None:
                    raise not_found()
                spoilt = spoilt or not _UUID.fullmatch(segment)
                ids.append(segment.lower())
            node = below
        if not node.targets:
            raise not_found()
        if spoilt:
            raise _bad_id()
        return Found(node.targets, node.allow, tuple(ids))


def not_found() -> Refused:
    """The one 404 of the gateway."""
    return Refused(404, "not_found", detail="There is nothing here.")


def _bad_id() -> Refused:
    error = {"loc": "path.id", "code": "uuid_parsing", "message": "must be a UUID"}
    return Refused(422, "invalid_request", detail="An id in the path is not a UUID.", errors=[error])


def compile_table(routes: Iterable[Route], *, services: Collection[str]) -> Table:
    """The table ready for use. Raises `TableError` for a line that cannot be right."""
    root = _Node()
    for route in routes:
        _check(route, services)
        node = root
        for segment in route.path.split("/")[1:]:
            if segment == _PARAMETER:
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literal.setdefault(segment, _Node())
        if route.method in node.targets:
            raise TableError(f"{route.method} {route.path}: there twice")
        node.targets[route.method] = Target(route, (route.upstream or route.path).replace(_PARAMETER, "%s"))
        allowed = set(node.targets) | ({"HEAD"} if "GET" in node.targets else set())
        node.allow = ", ".join(sorted(allowed)).encode()
    return Table(root)


def _check(route: Route, services: Collection[str]) -> None:
    reason = _policy_error(route, services) or _cache_error(route, route.cache)
    if reason:
        raise TableError(f"{route.method} {route.path}: {reason}")


def _policy_error(route: Route, services: Collection[str]) -> str | None:
    paths = [route.path] if route.upstream is None else [route.path, route.upstream]
    for path in paths:
        try:
            canonical_path(path.replace(_PARAMETER, "0").encode())
        except Refused:
            return f"{path} is not canonical"
    typed = ((route.access, Access), (route.rate, Rate), (route.body, Body))
    reasons = [
        (route.method not in _METHODS, "unknown method"),
        (route.service not in services, "unknown service"),
        (
            not all(isinstance(value, kind) for value, kind in typed),
            "access, rate class or body kind is missing",
        ),
        (len({path.count(_PARAMETER) for path in paths}) != 1, "the upstream path has other ids"),
        (
            route.method in {"GET", "HEAD", "DELETE"} and route.body is not Body.NONE,
            "a body where none belongs",
        ),
    ]
    return next((reason for wrong, reason in reasons if wrong), None)


def _cache_error(route: Route, cache: object) -> str | None:
    if cache is None:
        return None
    if not isinstance(cache, Public):
        return "cache policy is missing"
    if route.method != "GET" or route.stream or route.cookies:
        return "only a plain GET may be remembered"
    if route.access not in (Access.ANONYMOUS, Access.ANYONE):
        return "an answer for users may not be remembered"
    if cache.seconds <= 0 or not cache.tags:
        return "a remembered answer needs a time and tags"
    return None
