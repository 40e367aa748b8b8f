"""One OpenAPI 3.1 document for the whole platform, merged from the services' own.

Only what the route table serves is in it, under the public path. Components that differ between services but
share a name get the service's name in front, all of them, so the result does not depend on any order. What
the gateway itself may answer is added to every operation.
"""

import copy
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from antiphon_common.web.problems import Problem
from antiphon_gateway.examples import give_examples
from antiphon_gateway.policy import Access, Body, Route

Document = dict[str, Any]

_ALWAYS = {
    400: "The request cannot be understood",
    414: "The request target is over 8 KB",
    429: "Too many requests; Retry-After says when to come back",
    431: "The headers are over 16 KB or 64 fields",
    500: "Something went wrong on our side",
    502: "A part of the platform broke off its answer",
    503: "A part of the platform is not available; Retry-After says when to come back",
    504: "A part of the platform took too long",
}
_METHODS = ("get", "head", "post", "put", "patch", "delete")


def merge(documents: Mapping[str, Document], routes: Sequence[Route], *, version: str) -> Document:
    """The document of the platform; `documents` maps service names to theirs, and some may be missing."""
    renamed = {name: _renames(name, documents) for name in sorted(documents)}
    schemas = _problem_schemas()
    for name in sorted(documents):
        for schema, body in _schemas(documents[name]).items():
            schemas[renamed[name].get(schema, schema)] = _pointed(body, renamed[name])
    paths: dict[str, Document] = {}
    for route in routes:
        operation = _operation(route, documents)
        if operation is not None:
            described = _pointed(operation[1], renamed[route.service])
            paths.setdefault(operation[0], {})[route.method.lower()] = _completed(described, route)
    _make_ids_unique(paths)
    document: Document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Antiphon",
            "version": version,
            "description": "A self-hosted music platform. Errors are application/problem+json (RFC 9457).",
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(route.service for route in routes)],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }
    give_examples(document)
    return document


def shape(path: str) -> str:
    """A path template without the names of its parameters, as the route table writes it."""
    return "/".join("{id}" if part.startswith("{") else part for part in path.split("/"))


def operations(document: Document) -> Iterable[tuple[str, str, Document]]:
    """`(method, path, operation)` of everything a service offers to the public."""
    public = [(path, item) for path, item in document.get("paths", {}).items() if path.startswith("/api/")]
    for path, item in public:
        yield from ((method.upper(), path, item[method]) for method in _METHODS if method in item)


def _operation(route: Route, documents: Mapping[str, Document]) -> tuple[str, Document] | None:
    wanted = route.upstream or route.path
    for method, path, operation in operations(documents.get(route.service, {})):
        if method == route.method and shape(path) == wanted:
            item = documents[route.service]["paths"][path]
            shared = [*item.get("parameters", []), *operation.get("parameters", [])]
            found = {**copy.deepcopy(operation), **({"parameters": shared} if shared else {})}
            if route.upstream:
                found["operationId"] = f"{found.get('operationId', method.lower())}_alias"
                found["summary"] = f"{found.get('summary', '')} (the same as {route.upstream})".strip()
                return route.path, found
            return path, found
    return None


def _completed(operation: Document, route: Route) -> Document:
    """The operation as the gateway serves it: its policy, and every answer the gateway may give itself."""
    operation["tags"] = [route.service]
    operation.pop("x-policy", None)
    if route.access in (Access.USER, Access.ADMIN):
        operation["security"] = [{"bearer": []}]
    elif route.access is Access.ANYONE:
        operation["security"] = [{}, {"bearer": []}]
    else:
        operation["security"] = []
    responses = operation.setdefault("responses", {})
    for status, meaning in _statuses(route).items():
        responses.setdefault(str(status), _problem_response(meaning, status))
    if route.cache is not None:
        responses.setdefault("304", {"description": "The copy named by If-None-Match is still right"})
    operation["responses"] = dict(sorted(responses.items()))
    return operation


def _statuses(route: Route) -> dict[int, str]:
    statuses = dict(_ALWAYS)
    if route.access is not Access.ANONYMOUS:
        statuses[401] = "The access token is missing, not valid, or expired"
    if route.access is Access.ADMIN:
        statuses[403] = "Only an administrator may do this"
    if "{id}" in route.path:
        statuses[404] = "There is no such thing, or the caller may not see it"
        statuses[422] = "An id in the path is not a UUID, or a field is not valid"
    if route.body is not Body.NONE:
        statuses |= {
            408: "The body came too slowly",
            413: "The body is over its limit",
            415: "The media type or coding is not supported",
        }
    else:
        statuses[415] = "The coding is not supported"
    return statuses


def _problem_response(meaning: str, status: int) -> Document:
    response: Document = {
        "description": meaning,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in (429, 502, 503, 504):
        response["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
    return response


def _problem_schemas() -> Document:
    """The schemas of a problem, the same in every service, under the names the services use."""
    whole = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**whole.pop("$defs"), "Problem": whole}


def _schemas(document: Document) -> Document:
    found: Document = document.get("components", {}).get("schemas", {})
    return found


def _renames(service: str, documents: Mapping[str, Document]) -> dict[str, str]:
    """New names for the components of a service that another service defines differently."""
    definitions: defaultdict[str, list[Document]] = defaultdict(list)
    for document in documents.values():
        for name, body in _schemas(document).items():
            if body not in definitions[name]:
                definitions[name].append(body)
    # What only looks equal because it points to a name that differs is renamed with it.
    clashing = {name for name, bodies in definitions.items() if len(bodies) > 1}
    grown = True
    while grown:
        more = {
            name
            for name, bodies in definitions.items()
            if name not in clashing and any(_points_to(body, clashing) for body in bodies)
        }
        grown = bool(more)
        clashing |= more
    return {
        name: f"{service.capitalize()}_{name}" for name in _schemas(documents[service]) if name in clashing
    }


def _points_to(node: object, names: set[str]) -> bool:
    if isinstance(node, dict):
        target = node.get("$ref")
        if isinstance(target, str) and target.rpartition("/")[2] in names:
            return True
        return any(_points_to(value, names) for value in node.values())
    return isinstance(node, list) and any(_points_to(value, names) for value in node)


def _pointed(node: Any, renames: Mapping[str, str]) -> Any:
    """A copy of a document's part whose references follow the renaming."""
    if isinstance(node, dict):
        return {
            key: _followed(value, renames) if key in ("$ref", "mapping") else _pointed(value, renames)
            for key, value in node.items()
        }
    return [_pointed(value, renames) for value in node] if isinstance(node, list) else node


def _followed(target: Any, renames: Mapping[str, str]) -> Any:
    if isinstance(target, dict):
        return {key: _followed(value, renames) for key, value in target.items()}
    before, slash, name = str(target).rpartition("/")
    return f"{before}{slash}{renames.get(name, name)}"


def _make_ids_unique(paths: Mapping[str, Document]) -> None:
    every = [operation for item in paths.values() for operation in item.values()]
    counts = Counter(operation.get("operationId") for operation in every)
    for operation in every:
        if counts[operation.get("operationId")] > 1:
            operation["operationId"] = f"{operation['tags'][0]}_{operation.get('operationId')}"
