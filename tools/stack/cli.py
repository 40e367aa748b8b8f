"""The command line: `python tools/stack up`, down, ps, logs and so on; the Makefile has the most used."""

import argparse
import os
import signal
import sys
from pathlib import Path

from stack import commands, listing
from stack.house import StackError


def main() -> int:
    """Run one command; 0 done, 1 failed with one line that says what to do, 2 wrong usage."""
    # `make ps | head` may stop reading whenever it likes.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    arguments = _parser().parse_args()
    data = Path(arguments.data).absolute()
    try:
        match arguments.command:
            case "up":
                commands.up(data, host=arguments.host, port=arguments.port, environ=os.environ)
            case "logs" | "restart" | "env":
                getattr(commands, arguments.command)(data, arguments.service)
            case "scale":
                commands.scale(data, arguments.service, count=arguments.count)
            case "exec":
                commands.execute(data, arguments.service, arguments.arguments)
            case "ps":
                listing.ps(data)
            case _:
                getattr(commands, arguments.command)(data)
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/stack", description="Antiphon on real servers, without Docker."
    )
    parser.add_argument(
        "--data", default=os.environ.get("DATA") or "data-server", help="where everything lives"
    )
    commands_ = parser.add_subparsers(dest="command", required=True)
    up = commands_.add_parser("up", help="start everything; running it twice is fine")
    up.add_argument("--port", type=int, default=os.environ.get("PORT") or "8080")
    up.add_argument("--host", default=os.environ.get("HOST") or "127.0.0.1")
    commands_.add_parser("down", help="stop everything; nothing is lost")
    commands_.add_parser("ps", help="what runs, where, and how large it is")
    commands_.add_parser("logs", help="follow the logs").add_argument("service", nargs="?", default="")
    commands_.add_parser("restart", help="restart one service").add_argument("service")
    scale = commands_.add_parser("scale", help="run several instances of a service")
    scale.add_argument("service", nargs="+")
    scale.add_argument("count", type=int)
    commands_.add_parser("demo", help="load the demo library")
    commands_.add_parser("env", help="print a service's settings as shell words").add_argument("service")
    execute = commands_.add_parser(
        "exec", help="run a command of a service: exec catalog republish --to search"
    )
    execute.add_argument("service")
    execute.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser
