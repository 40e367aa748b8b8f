"""`antiphon doctor` on a machine where `make up` keeps a platform of many processes."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from antiphon_cli.doctor import Finding, examine


@pytest.fixture
def edge() -> Iterator[HTTPServer]:
    """Says its version, and that it is not ready."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/version" else 503)
            self.end_headers()
            self.wfile.write(b'{"version": "1", "missing": ["catalog"]}')

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def look(data: Path) -> dict[str, Finding]:
    found = examine(data=data, host="127.0.0.1", port=1, server="http://127.0.0.1:1")
    return {finding.name: finding for finding in found}


def test_that_nothing_answers_is_a_fault_of_a_server_that_was_named(tmp_path: Path) -> None:
    asked = {"data": tmp_path, "host": "127.0.0.1", "port": 1}
    named, usual = (
        next(finding for finding in examine(**asked, server=server) if finding.name == "server")
        for server in ("http://127.0.0.1:1", None)
    )
    assert (named.ok, usual.ok) == (False, True)
    assert "nothing answers" in named.found
    assert named.advice


def test_a_stack_is_asked_where_it_says_that_it_answers(tmp_path: Path, edge: HTTPServer) -> None:
    (tmp_path / "stack.json").write_text(json.dumps({"host": "127.0.0.1", "port": edge.server_port}))
    found = look(tmp_path)
    assert not found["stack"].ok
    assert "is not ready" in found["stack"].found
    assert found["stack"].advice == f"make ps DATA={tmp_path}"
    assert "listen port" not in found, "it has its own"


def test_the_stack_of_make_up_is_found_beside_other_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "stack" not in look(Path("data"))
    Path("data-server").mkdir()
    (tmp_path / "data-server" / "stack.json").write_text(json.dumps({"host": "127.0.0.1", "port": 1}))
    found = look(Path("data"))["stack"]
    assert (found.ok, "start it by make up" in found.found) == (True, True)
