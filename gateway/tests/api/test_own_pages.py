"""What the gateway answers itself."""

import asyncio
from importlib.metadata import version

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_it_lives_and_says_its_version(site) -> None:
    assert (await site.get("/healthz")).json() == {"status": "ok"}
    assert (await site.get("/version")).json() == {"version": version("antiphon-gateway")}


async def test_the_address_in_a_browser_leads_to_the_docs(site) -> None:
    reply = await site.get("/")
    assert (reply.status, reply.headers["location"]) == (307, "/api/docs")


async def test_it_is_ready_when_all_services_are(new_site, tmp_path) -> None:
    async with new_site(tmp_path) as site:
        assert (await site.get("/readyz")).json() == {"status": "ready", "missing": []}
        site.services.ready_status = 503
        async with asyncio.timeout(3):
            while (reply := await site.get("/readyz")).status == 200:
                await asyncio.sleep(0.05)
        assert reply.json()["missing"][:2] == ["auth", "user"]


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via"])
async def test_through_a_proxy_it_only_says_whether_it_is_ready(new_site, tmp_path, header: str) -> None:
    async with new_site(tmp_path, trusted_proxies=1) as site:
        assert (await site.get("/readyz", headers={header: "127.0.0.1"})).json() == {"status": "ready"}
        site.services.ready_status = 503
        async with asyncio.timeout(3):
            while (await site.get("/readyz")).status == 200:
                await asyncio.sleep(0.05)
        reply = await site.get("/readyz", headers={header: "127.0.0.1"})
        assert (reply.status, reply.json()) == (503, {"status": "not ready"})


async def test_the_document_and_its_reader_are_served(new_site, tmp_path) -> None:
    async with new_site(tmp_path) as site:
        site.services.documents = {
            "paths": {"/api/genres": {"get": {"operationId": "g", "summary": "Genres", "responses": {}}}}
        }
        reply = await site.get("/api/openapi.json")
        assert reply.headers["content-type"] == "application/json"
        assert reply.json()["openapi"] == "3.1.0"
        assert list(reply.json()["paths"]) == ["/api/genres"]
        page = await site.get("/api/docs")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert b"Genres" in page.body
        assert "script-src" not in page.headers["content-security-policy"]
        assert page.headers["content-security-policy"].startswith("default-src 'none'")


async def test_own_pages_take_only_get_and_head(site) -> None:
    reply = await site.get("/healthz", method="DELETE")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")
    assert (await site.get("/healthz", method="HEAD")).status == 200


@pytest.mark.parametrize("origin", ["https://good.evil", "null", "http://good.example", "https://good.example.evil",
                                    "https://good.example:443", "https://GOOD.example", "https://good.example/"])  # fmt: skip
async def test_another_origin_gets_nothing(new_site, tmp_path, origin: str) -> None:
    async with new_site(tmp_path, cors_origins=("https://good.example",)) as site:
        reply = await site.get("/api/genres", headers={"Origin": origin})
        assert not [name for name in reply.headers if name.startswith("access-control")]
        assert "origin" in reply.headers["vary"]


async def test_an_allowed_origin_may_ask(new_site, tmp_path) -> None:
    async with new_site(tmp_path, cors_origins=("https://good.example",)) as site:
        origin = {"Origin": "https://good.example"}
        preflight = await site.get(
            "/api/playlists", headers={**origin, "Access-Control-Request-Method": "POST"}, method="OPTIONS"
        )
        assert preflight.status == 204
        assert preflight.headers["access-control-allow-origin"] == "https://good.example"
        assert preflight.headers["access-control-allow-methods"] == "GET, HEAD, POST"
        for path in ("/api/genres", "/api/me"):
            reply = await site.get(path, headers=origin)
            assert reply.headers["access-control-allow-origin"] == "https://good.example"
            assert "access-control-allow-credentials" not in reply.headers


async def test_without_a_list_no_origin_is_allowed(site) -> None:
    headers = {"Origin": "https://good.example", "Access-Control-Request-Method": "POST"}
    assert (await site.get("/api/playlists", headers=headers, method="OPTIONS")).status == 405
    assert "access-control-allow-origin" not in (await site.get("/api/genres", headers=headers)).headers


async def test_a_line_of_the_log_holds_no_secret(new_site, tmp_path) -> None:
    file = tmp_path / "log" / "gateway.log"
    async with new_site(tmp_path, access_log=True, log_file=file) as site:
        bearer = site.bearer()
        await site.get("/api/me?access_token=topsecret", headers=bearer)
        await site.get('/api/me?x={"level":"forged"}', headers={"traceparent": '{"level":"forged"}'})
    lines = file.read_bytes().splitlines()
    requests = [line for line in lines if b'"event":"request"' in line]
    assert len(requests) == 2
    assert b"topsecret" not in file.read_bytes()
    assert b"forged" not in file.read_bytes()
    assert bearer["authorization"].split(".")[1].encode() not in file.read_bytes()
    assert b'"route":"/api/me"' in requests[0]
    assert b'"status":200' in requests[0]


async def test_a_websocket_is_not_spoken(site) -> None:
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "x",
        "Sec-WebSocket-Version": "13",
    }
    raw = await site.raw(
        "\r\n".join(["GET /api/genres HTTP/1.1", "Host: localhost", *(f"{k}: {v}" for k, v in headers.items()), "", ""])
        .encode()
    )  # fmt: skip
    assert b"101" not in raw[:20]
