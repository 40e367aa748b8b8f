"""An S3 server: versitygw over a directory. Its keys come by the environment: no process list shows them."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from servers.process import Launch
from servers.server import Server, answers, environment
from servers.stack import HOST, USER, Stack

VERSION = "v1.8.0"


def binary(cache: Path) -> Path:
    """Where installing puts it."""
    return cache / f"versitygw-{VERSION}" / "versitygw"


def _program(stack: Stack) -> str:
    ours = binary(stack.cache)
    return str(ours) if ours.exists() else shutil.which("versitygw") or ""


def _missing(stack: Stack) -> str:
    return "" if _program(stack) else "versitygw"


def _prepare(stack: Stack) -> None:
    data = stack.home("s3") / "data"
    if not data.exists():
        data.mkdir(mode=0o700)
        stack.give(data)


def _launch(stack: Stack) -> Launch:
    home = stack.home("s3")
    argv = [_program(stack), "--port", f"{HOST}:{stack.port('s3')}", "--quiet", "posix", str(home / "data")]
    return Launch(argv, environment(home, ROOT_ACCESS_KEY=USER, ROOT_SECRET_KEY=stack.password))


def _is_ready(stack: Stack) -> bool:
    return answers(f"http://{HOST}:{stack.port('s3')}/") in {200, 403}


def _variables(stack: Stack) -> Mapping[str, str]:
    endpoint = f"http://{HOST}:{stack.port('s3')}"
    return {"S3_URL": f"s3://{USER}:{stack.password}@?endpoint={endpoint}&region=us-east-1"}


S3 = Server("s3", ("s3",), _missing, _prepare, _launch, _is_ready, _variables, seconds=30)
