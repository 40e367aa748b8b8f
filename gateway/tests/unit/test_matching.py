"""The route table: how it is read, and what stops the start."""

from dataclasses import replace
from typing import Any

import pytest

from antiphon_common.ids import new_id
from antiphon_gateway.matching import TableError, compile_table
from antiphon_gateway.policy import PRIVATE, Access, Body, Public, Rate, Route
from antiphon_gateway.problems import Refused
from antiphon_gateway.routes import ROUTES
from antiphon_gateway.settings import SERVICES

TABLE = compile_table(ROUTES, services=SERVICES)
GOOD = Route("GET", "/api/x/{id}", "catalog", Access.ANYONE, Rate.READ, Public(30, ("x:{id}",)), Body.NONE)


def refusal(path: str, method: str = "GET") -> Refused:
    with pytest.raises(Refused) as refused:
        TABLE.find(path).target(method)
    return refused.value


def test_every_line_of_the_table_is_found_by_its_own_path() -> None:
    for route in ROUTES:
        ids = tuple(str(new_id()) for _ in range(route.path.count("{id}")))
        found = TABLE.find(route.path.replace("{id}", "%s") % ids)
        target = found.target(route.method)
        assert target.route == route
        assert target.path(found.ids) == (route.upstream or route.path).replace("{id}", "%s") % ids


def test_a_word_comes_before_an_id() -> None:
    assert TABLE.find("/api/tracks/popular").target("GET").route.path == "/api/tracks/popular"


def test_ids_are_written_one_way() -> None:
    one = new_id()
    found = TABLE.find(f"/api/tracks/{str(one).upper()}")
    assert found.target("GET").path(found.ids) == f"/api/tracks/{one}"
    assert found.target("GET").tags(found.ids) == (f"track:{one}", "credits")


ABSENT = [
    "/api", "/api/nothing", "/internal/revocations", "/metrics", "/api/tracks/a/b/c", "/docs",
    "/openapi.json",
    "/api/internal", "/api/me/x.css", "/debug", "/.env", "/api/me/tracks/contains/x", "/redoc", "/admin",
    "/api/admin",
]  # fmt: skip


@pytest.mark.parametrize("path", ABSENT)
def test_what_is_not_in_the_table_is_not_there(path: str) -> None:
    assert refusal(path).status == 404


@pytest.mark.parametrize("value", ["1", "x", "0" * 32, "0" * 36, "{id}", "me", "tracks.json"])
def test_an_id_that_is_no_uuid_is_told_so(value: str) -> None:
    refused = refusal(f"/api/tracks/{value}")
    assert refused.status == 422
    assert refused.errors[0]["loc"] == "path.id"


@pytest.mark.parametrize("method", ["POST", "TRACE", "CONNECT", "OPTIONS", "PROPFIND"])
def test_another_method_is_refused_with_those_allowed(method: str) -> None:
    refused = refusal("/api/genres", method)
    assert refused.status == 405
    assert refused.headers == [(b"allow", b"GET, HEAD")]


@pytest.mark.parametrize(
    "spoilt",
    [
        {"method": "FETCH"}, {"path": "/api//x"}, {"path": "/api/%2e/{id}"}, {"service": "nobody"},
        {"access": None},
        {"access": "anyone-at-all"}, {"rate": None}, {"cache": "public"}, {"cache": 30}, {"body": None},
        {"body": Body.JSON}, {"access": Access.USER}, {"access": Access.ADMIN}, {"method": "POST",
        "body": Body.JSON},
        {"cache": Public(0, ("x",))}, {"cache": Public(30, ())}, {"stream": True}, {"cookies": True},
        {"upstream": "/api/y"},
    ],
)  # fmt: skip
def test_a_line_that_lacks_something_stops_the_start(spoilt: dict[str, Any]) -> None:
    compile_table([GOOD], services=SERVICES)
    with pytest.raises(TableError):
        compile_table([replace(GOOD, **spoilt)], services=SERVICES)


def test_a_line_cannot_be_written_without_its_policy() -> None:
    with pytest.raises(TypeError):
        Route("GET", "/api/x", "catalog", Access.ANYONE, Rate.READ, PRIVATE)  # type: ignore[call-arg]


def test_a_line_that_is_there_twice_stops_the_start() -> None:
    with pytest.raises(TableError):
        compile_table([GOOD, GOOD], services=SERVICES)


def test_nothing_that_needs_a_user_is_ever_remembered() -> None:
    assert not [r for r in ROUTES if r.cache and (r.access in (Access.USER, Access.ADMIN) or "/me" in r.path)]
