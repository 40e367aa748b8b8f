"""The demo library: composed here, and imported into a platform that runs, as any user would do it."""

import asyncio
import os
import secrets
from pathlib import Path
from typing import Any

import orjson
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from antiphon_cli.client import ApiError, Client
from antiphon_cli.failures import Failure
from antiphon_cli.importing import import_folder
from antiphon_cli.screen import ImportScreen, console, out, show_report

_DEMO_EMAIL = "demo@antiphon.example"
_COUNT = "%{http_code}, %{size_download} bytes\\n"
_PRETTY = "python3 -m json.tool --no-ensure-ascii"


async def load_demo(server: str, data: Path) -> None:
    """Load the library once and say what to try. `data` keeps the music and the demo account's password."""
    password = _password(data)
    async with Client(server) as client:
        await _account(client, password)
        await _load(client, data)
        await _say_what_to_try(client, password, data)


def _password(data: Path) -> str:
    """Made once for this data directory: there are no default accounts."""
    data.mkdir(parents=True, exist_ok=True)
    file = data / "demo.json"
    if file.exists():
        return str(orjson.loads(file.read_bytes())["password"])
    password = "-".join(secrets.token_hex(2) for _ in range(4))
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(orjson.dumps({"email": _DEMO_EMAIL, "password": password}))
    return password


async def _account(client: Client, password: str) -> None:
    try:
        await client.login(_DEMO_EMAIL, password)
    except ApiError as error:
        if error.code != "bad_credentials":
            raise
        body = {"email": _DEMO_EMAIL, "password": password, "name": "Demo"}
        await client.request("POST", "/api/auth/register", json=body)
        await client.login(_DEMO_EMAIL, password)


async def _load(client: Client, data: Path) -> None:
    """Make the library and import it, as any user would; nothing is done twice."""
    music, loaded = data / "demo-library", data / "demo-loaded"
    if loaded.exists():
        return
    await _synthesise(music)
    with ImportScreen() as progress:
        report = await import_folder(client, music, progress)
    show_report(report, as_json=False)
    if not report.count("rejected"):
        loaded.touch()


async def _synthesise(music: Path) -> None:
    # numpy and the encoders are loaded only when there is a library to make.
    from antiphon_cli.demo import make_library  # noqa: PLC0415

    columns = (
        TextColumn("[bold]composing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[title]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("compose", total=None, title="")

        def tell(done: int, of: int, title: str) -> None:
            progress.update(task, completed=done, total=of, title=title)

        await asyncio.to_thread(make_library, music, tell)


async def _newest(client: Client) -> tuple[dict[str, Any], dict[str, Any]]:
    """The newest track and a signed address of it; both follow an upload within moments, not at once."""
    for _ in range(100):
        items = (await client.request("GET", "/api/tracks", params={"sort": "recent", "limit": 1}))["items"]
        try:
            if items:
                return items[0], await client.sign(items[0]["id"])
        except ApiError as error:
            if error.status != 404:
                raise
        await asyncio.sleep(0.1)
    raise Failure("the library was imported, and none of it can be played yet; see the logs")


async def _say_what_to_try(client: Client, password: str, data: Path) -> None:
    newest, signed = await _newest(client)
    url = client.server
    login = f'{{"email":"{_DEMO_EMAIL}","password":"{password}","session":"token"}}'
    lines = [
        f"\nAntiphon is at {url}   (API: {url}/api/docs; data: {data})",
        f"Log in as {_DEMO_EMAIL} with {password}\n",
        "Three things to try, in another terminal:\n",
        "  # find a track by a misspelt word",
        f"  curl -s '{url}/api/search?q=harbr&types=tracks' | {_PRETTY}",
        f"  # hear “{newest['title']}”: a signed address, here from its middle; a browser plays and seeks it",
        f"  curl -s -r 100000-299999 -o /dev/null -w '{_COUNT}' '{signed['url']}'",
        "  # log in: a token for everything else",
        f"  curl -s {url}/api/auth/login -H 'content-type: application/json' -d '{login}'",
    ]
    for line in lines:
        out.print(line, soft_wrap=True, markup=False)
