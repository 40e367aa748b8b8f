"""A collector of traces for tests: it takes OTLP over HTTP, and remembers."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def everything_to(url: str, processes: Iterable[str]) -> dict[str, str]:
    """Settings by which these processes log what they can, and the traces of all requests go to a collector."""
    told = {"GATEWAY_TRACE_SAMPLE_RATIO": "1"}
    for name in processes:
        told |= {f"{name.upper()}_OTLP_URL": url, f"{name.upper()}_LOG_LEVEL": "debug"}
    return told


@dataclass(frozen=True, slots=True)
class Seen:
    """One span; ids are hexadecimal, `parent` is empty for the first of a trace."""

    service: str
    name: str
    trace: str
    id: str
    parent: str


class Collector:
    """Listens while the block lasts; on a free listen port unless one is given."""

    def __init__(self, port: int = 0) -> None:
        self.spans: list[Seen] = []
        self.bodies: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.take(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, body: bytes) -> None:
        """Remember one export."""
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [
                    Seen(
                        names["service.name"], span.name, span.trace_id.hex(), span.span_id.hex(),
                        span.parent_span_id.hex(),
                    )
                    for span in scope.spans
                ]  # fmt: skip

    def find(self, service: str, name: str) -> list[Seen]:
        """The spans of a service by name."""
        return [span for span in list(self.spans) if (span.service, span.name) == (service, name)]
