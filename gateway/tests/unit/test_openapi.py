"""Merging the services' documents: names that clash, answers of the gateway, aliases."""

import json
from typing import Any

from antiphon_gateway import docs
from antiphon_gateway.openapi import merge, shape
from antiphon_gateway.policy import PRIVATE, Access, Body, Public, Rate, Route

ROUTES = (
    Route("GET", "/api/a/{id}", "auth", Access.ANYONE, Rate.READ, Public(1, ("a",)), Body.NONE),
    Route("POST", "/api/a", "auth", Access.USER, Rate.WRITE, PRIVATE, Body.JSON),
    Route("GET", "/api/b", "user", Access.ADMIN, Rate.READ, PRIVATE, Body.NONE),
    Route("GET", "/api/other/b", "user", Access.ADMIN, Rate.READ, PRIVATE, Body.NONE, upstream="/api/b"),
)  # fmt: skip


def reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def operation(name: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": reference(schema)}}
    return {
        "operationId": name,
        "summary": "<b>&",
        "responses": {"200": {"description": "ok", "content": content}},
        "x-policy": "x",
    }


def documents() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "auth": {
            "paths": {
                "/api/a/{thing_id}": {"get": operation("get", "Out")},
                "/api/a": {"post": operation("make", "Page")},
                "/internal/x": {"get": operation("internal", "Out")},
                "/api/unrouted": {"get": operation("unrouted", "Out")},
            },
            "components": {
                "schemas": {
                    "Out": {"properties": {"a": {**text, "description": "<script>alert(1)</script>"}}},
                    "Same": text,
                    "Page": {"properties": {"items": {"type": "array", "items": reference("Out")}}},
                }
            },
        },
        "user": {
            "paths": {"/api/b": {"get": operation("get", "Page")}},
            "components": {
                "schemas": {
                    "Out": {"properties": {"b": text}},
                    "Same": text,
                    "Page": {"properties": {"items": {"type": "array", "items": reference("Out")}}},
                }
            },
        },
    }


def test_only_what_is_routed_is_described() -> None:
    merged = merge(documents(), ROUTES, version="1")
    assert set(merged["paths"]) == {"/api/a/{thing_id}", "/api/a", "/api/b", "/api/other/b"}


def test_names_that_clash_are_told_apart_with_all_that_points_to_them() -> None:
    merged = merge(documents(), ROUTES, version="1")
    schemas = merged["components"]["schemas"]
    assert set(schemas) == {
        "Auth_Out",
        "User_Out",
        "Auth_Page",
        "User_Page",
        "Same",
        "Problem",
        "ProblemField",
    }
    assert schemas["User_Page"]["properties"]["items"]["items"] == reference("User_Out")
    content = merged["paths"]["/api/b"]["get"]["responses"]["200"]["content"]
    assert content["application/json"]["schema"] == reference("User_Page")


def test_the_result_does_not_depend_on_the_order_of_the_services() -> None:
    backwards = dict(reversed(documents().items()))
    assert json.dumps(merge(documents(), ROUTES, version="1")) == json.dumps(
        merge(backwards, ROUTES, version="1")
    )


def test_every_reference_leads_somewhere() -> None:
    merged = merge(documents(), ROUTES, version="1")

    def references(node: object) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [target for value in node.values() for target in references(value)]
        return [target for value in node for target in references(value)] if isinstance(node, list) else []

    names = {f"#/components/schemas/{name}" for name in merged["components"]["schemas"]}
    assert set(references(merged)) <= names


def test_operation_ids_are_unique_and_an_alias_has_its_own() -> None:
    merged = merge(documents(), ROUTES, version="1")
    ids = [one["operationId"] for item in merged["paths"].values() for one in item.values()]
    assert len(ids) == len(set(ids)) == 4


def test_the_answers_of_the_gateway_are_on_every_operation() -> None:
    merged = merge(documents(), ROUTES, version="1")
    assert set(merged["paths"]["/api/a/{thing_id}"]["get"]["responses"]) >= {
        "200", "304", "400", "401", "404", "414", "415", "422", "429", "431", "500", "502", "503", "504"
    }  # fmt: skip
    assert set(merged["paths"]["/api/a"]["post"]["responses"]) >= {"408", "413", "415"}
    get = merged["paths"]["/api/b"]["get"]
    assert "403" in get["responses"]
    assert get["security"] == [{"bearer": []}]
    assert merged["paths"]["/api/a/{thing_id}"]["get"]["security"] == [{}, {"bearer": []}]
    assert "application/problem+json" in get["responses"]["429"]["content"]


def test_a_missing_service_is_only_missing() -> None:
    both = documents()
    del both["user"]
    assert set(merge(both, ROUTES, version="1")["paths"]) == {"/api/a/{thing_id}", "/api/a"}


def test_the_page_shows_every_operation_and_runs_nothing() -> None:
    page = docs.render(merge(documents(), ROUTES, version="1")).decode()
    for path in ("/api/a/{thing_id}", "/api/a", "/api/b", "/api/other/b"):
        assert f"<code>{path}</code>" in page
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<b>" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert b"'unsafe-inline'" not in docs.POLICY


def test_a_path_is_compared_without_the_names_of_its_parameters() -> None:
    assert shape("/api/a/{track_id}/b/{x}") == "/api/a/{id}/b/{id}"
