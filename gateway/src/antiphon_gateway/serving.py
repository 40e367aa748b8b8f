"""Runs a gateway: the one uvicorn configuration whose connections are guarded. Embedded and alone alike."""

import argparse
from collections.abc import Callable

import uvicorn

from antiphon_common.logs import open_log
from antiphon_common.settings import read_settings, sentences
from antiphon_common.web import serving
from antiphon_gateway.boundary import Gateway
from antiphon_gateway.settings import Settings


def server(gateway: Gateway, settings: Settings) -> uvicorn.Server:
    """The server for a gateway; whoever runs it another way gives up the limits of `guard`."""
    return uvicorn.Server(_config(gateway, settings))


def main(create_app: Callable[[Settings], Gateway]) -> None:
    """`python -m antiphon_gateway serve`. Exits with 2 when the settings are wrong."""
    parser = argparse.ArgumentParser(prog="python -m antiphon_gateway")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="answer requests until SIGTERM or SIGINT")
    parser.parse_args()
    settings = read_settings(Settings)
    with sentences(settings):
        gateway = create_app(settings)
        serving.run(
            _config(gateway, settings),
            lifespan=gateway.lifespan(),
            on_stop=gateway.stop_soon,
            delay=settings.stop_delay_seconds,
            log=open_log("gateway", level=settings.log_level, file=settings.log_file),
        )


def _config(gateway: Gateway, settings: Settings) -> uvicorn.Config:
    return serving.server_config(gateway, settings.host, settings.port, http=gateway.guard.protocol())
