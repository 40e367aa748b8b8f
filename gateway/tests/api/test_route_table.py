"""The route table and the services' documents say the same, in both directions: nothing hidden, nothing dead."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from antiphon_gateway.openapi import operations, shape
from antiphon_gateway.policy import Access, Body
from antiphon_gateway.routes import ROUTES
from antiphon_gateway.settings import SERVICES

ROOT = Path(__file__).parents[3]
POLICY = {Access.ANONYMOUS: "anyone", Access.ANYONE: "anyone", Access.USER: "user", Access.ADMIN: "admin"}


def document(service: str) -> dict[str, Any]:
    return orjson.loads((ROOT / "services" / service / "openapi.json").read_bytes())


def offered(service: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(method, shape(path)): operation for method, path, operation in operations(document(service))}


def routed(service: str) -> dict[tuple[str, str], Any]:
    return {
        (route.method, route.upstream or route.path): route for route in ROUTES if route.service == service
    }


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_offers_is_routed_and_nothing_else(service: str) -> None:
    assert set(routed(service)) == set(offered(service))


@pytest.mark.parametrize("service", SERVICES)
def test_the_gateway_asks_for_a_token_exactly_where_the_service_does(service: str) -> None:
    routes, offers = routed(service), offered(service)
    wrong = {
        key for key in set(routes) & set(offers) if POLICY[routes[key].access] != offers[key]["x-policy"]
    }
    assert wrong == set()


@pytest.mark.parametrize("service", SERVICES)
def test_a_body_that_a_service_wants_is_let_through(service: str) -> None:
    routes, offers = routed(service), offered(service)
    for key in set(routes) & set(offers):
        content = offers[key].get("requestBody", {}).get("content", {})
        if "multipart/form-data" in content:
            assert routes[key].body in (Body.UPLOAD, Body.IMAGE), key
        elif content:
            assert routes[key].body is Body.JSON, key


@pytest.mark.parametrize("service", SERVICES)
def test_every_header_that_a_service_reads_is_sent_on(service: str) -> None:
    from antiphon_gateway.headers import read_fields, upstream_headers

    for key, operation in offered(service).items():
        wanted = [p["name"].lower() for p in operation.get("parameters", []) if p["in"] == "header"]
        route = routed(service).get(key)
        fields = read_fields((name.encode(), b"x") for name in wanted)
        sent = {name for name, _ in upstream_headers(fields, cookies=bool(route and route.cookies))}
        assert sent == set(wanted), key


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_remembered_depends_on_exactly_the_parameters_that_the_service_reads(service: str) -> None:
    offers = offered(service)
    for key, route in routed(service).items():
        if route.cache:
            read = [p for p in offers[key].get("parameters", []) if p["in"] == "query"]
            assert set(route.cache.query) == {p["name"] for p in read}, key
            # Of a name that comes twice the gateway keeps the last.
            assert not [p["name"] for p in read if "array" in str(p["schema"])], key


@pytest.mark.parametrize("service", SERVICES)
def test_every_parameter_in_a_path_is_a_uuid(service: str) -> None:
    for _, path, operation in operations(document(service)):
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                assert parameter["schema"]["format"] == "uuid", path


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_but_the_api_is_documented(service: str) -> None:
    assert [path for path in document(service)["paths"] if not path.startswith("/api/")] == []
