"""Runs a gateway: the one uvicorn configuration whose connections are guarded. Embedded and alone alike."""

import argparse
import sys
from collections.abc import Callable

import uvicorn
from pydantic import ValidationError

from antiphon_gateway.boundary import Gateway
from antiphon_gateway.settings import Settings


def server(gateway: Gateway, settings: Settings) -> uvicorn.Server:
    """The server for a gateway; whoever runs it another way gives up the limits of `guard`."""
    config = uvicorn.Config(
        gateway, host=settings.host, port=settings.port, loop="uvloop", http=gateway.guard.protocol(),
        ws="none", proxy_headers=False, server_header=False, access_log=False, log_level="warning",
        log_config=None,
        timeout_graceful_shutdown=5, lifespan="on",
    )  # fmt: skip
    return uvicorn.Server(config)


def main(create_app: Callable[[Settings], Gateway]) -> None:
    """`python -m antiphon_gateway serve`. Exits with 2 when the settings are wrong."""
    parser = argparse.ArgumentParser(prog="python -m antiphon_gateway")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="answer requests until SIGTERM or SIGINT")
    parser.parse_args()
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            print(f"GATEWAY_{name}: {problem['msg']}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    server(create_app(settings), settings).run()
