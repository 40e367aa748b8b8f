"""The `antiphon` command: its commands, their options and their exit codes.

Exit codes: 0 done, 1 failed (the text says why), 2 wrong usage, 3 not logged in, 4 the server does not
answer, 5 finished, but some files were rejected; 130 interrupted.
"""

import asyncio
import sys
import webbrowser
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from antiphon_cli import admin, doctor
from antiphon_cli.client import ApiError, Client, ServerAway
from antiphon_cli.credentials import Credentials
from antiphon_cli.failures import Failure
from antiphon_cli.importing import Report, import_folder
from antiphon_cli.loading import load_demo
from antiphon_cli.screen import ImportScreen, console, out, print_json, show_hits, show_report

_EXIT_CODES = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not logged in, 4 server away, 5 some files rejected, "
    "130 interrupted."
)

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich",
    help="Your music, on your own platform.", epilog=_EXIT_CODES,
)  # fmt: skip
admin_app = typer.Typer(no_args_is_help=True, help="What only an administrator needs.")
app.add_typer(admin_app, name="admin")

Server = Annotated[
    str,
    typer.Option("--server", envvar="ANTIPHON_SERVER", help="Address of the platform.", show_default=True),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Data = Annotated[Path, typer.Option(help="Directory of all data.")]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every one.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Listen port; 0 picks a free one.")]
LOCAL = "http://localhost:8080"


@app.command(epilog="Example: antiphon run --port 8090 --data /srv/antiphon")
def run(host: Host = "127.0.0.1", port: Port = 8080, data: Data = Path("data")) -> None:
    """Start the platform, in this terminal, until Ctrl-C."""
    from antiphon_cli import hosting  # noqa: PLC0415 - the whole platform: the other commands do without

    _run(hosting.run(data=data, host=host, port=port), loop_factory=hosting.new_event_loop)


@app.command(epilog="Example: antiphon demo --data /tmp/demo   (or, into one that runs: --server http://...)")
def demo(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    data: Data = Path("data-demo"),
    server: Annotated[
        str | None, typer.Option(help="Load the library into the platform at this address instead.")
    ] = None,
) -> None:
    """Start the platform with a small library made for it."""
    if server:
        _run(load_demo(server, data))
        return
    from antiphon_cli import hosting  # noqa: PLC0415 - as above

    _run(hosting.demo(data=data, host=host, port=port), loop_factory=hosting.new_event_loop)


@app.command(
    "import", epilog="Example: antiphon import ~/Music   (again after Ctrl-C: it goes on where it stopped)"
)
def import_(
    directory: Annotated[Path, typer.Argument(exists=True, help="A folder, or one file.", metavar="DIR")],
    server: Server = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Upload a folder of music; what is there already is not sent again."""
    report = _run(_import(server, directory, quiet=as_json))
    show_report(report, as_json=as_json)
    raise typer.Exit(5 if report.count("rejected") else 0)


@app.command(
    epilog="Example: antiphon login you@example.org   (or: echo $PW | antiphon login you@example.org --stdin)"
)
def login(
    email: Annotated[str, typer.Argument(help="E-mail address of the account.")],
    server: Server = LOCAL,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the password from standard input.")] = False,
) -> None:
    """Log in, and stay logged in on this computer."""
    password = (
        sys.stdin.readline().rstrip("\n") if stdin else typer.prompt("Password", hide_input=True, err=True)
    )

    async def work() -> None:
        async with Client(server, credentials=Credentials()) as client:
            await client.login(email, password)

    _run(work())
    console.print(f"Logged in on {server} as {email}.")


@app.command(epilog="Example: antiphon logout")
def logout(server: Server = LOCAL) -> None:
    """End the session on this server, there and on this computer (here also when the server is away)."""

    async def work() -> None:
        async with Client(server, credentials=Credentials()) as client:
            await client.logout()

    _run(work())
    console.print(f"Logged out on {server}.")


@app.command(epilog='Example: antiphon search "beetles yelow"')
def search(
    query: Annotated[str, typer.Argument(help="Words, also misspelt ones.")],
    server: Server = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Find tracks, artists, albums and playlists."""

    async def work() -> Any:
        async with Client(server, credentials=Credentials()) as client:
            await _try_resume(client)
            return await client.request("GET", "/api/search", params={"q": query})

    answer = _run(work())
    print_json(answer) if as_json else show_hits(answer)


@app.command(epilog='Example: antiphon play "harbour lights" --open')
def play(
    what: Annotated[str, typer.Argument(help="A track's id, or words to search for.")],
    server: Server = LOCAL,
    open_: Annotated[bool, typer.Option("--open", help="Open it with the system's player.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print (or open) a signed address of a track, good for two hours or more."""
    track = _run(_resolve(server, what))
    if as_json:
        print_json(track)
    else:
        out.print(track["url"], soft_wrap=True)
    if open_ and not webbrowser.open(track["url"]):
        console.print("[yellow]No program to open it with was found.")


@admin_app.command("create", epilog="Example: antiphon admin create you@example.org --data ./data")
def admin_create(
    email: Annotated[str, typer.Argument(help="E-mail address of the new administrator.")],
    name: Annotated[str, typer.Option(help="Name to show.")] = "Admin",
    server: Server = LOCAL,
    data: Data = Path("data"),
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the password from standard input.")] = False,
) -> None:
    """Make the first administrator, by the one-time secret in the data directory."""
    if stdin:
        password = sys.stdin.readline().rstrip("\n")
    else:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    _run(admin.create(server, secret=admin.read_secret(data), email=email, name=name, password=password))
    console.print(f"{email} is an administrator now; `antiphon login {email}` logs in.")


@app.command("doctor", epilog="Example: antiphon doctor --data /srv/antiphon")
def doctor_(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    data: Data = Path("data"),
    server: Annotated[
        str | None,
        typer.Option(
            envvar="ANTIPHON_SERVER", help="Address of the platform; localhost and --port without it."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look at the machine and say what to do."""
    findings = list(doctor.examine(data=data, host=host, port=port, server=server))
    if as_json:
        print_json([{"name": f.name, "ok": f.ok, "found": f.found, "advice": f.advice} for f in findings])
    else:
        for finding in findings:
            mark = "[green]ok [/]" if finding.ok else "[red]no [/]"
            out.print(f"{mark} {finding.name}: {finding.found}")
            if not finding.ok:
                out.print(f"    → {finding.advice}")
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


async def _import(server: str, directory: Path, *, quiet: bool) -> Report:
    async with Client(server, credentials=Credentials()) as client:
        await client.resume()
        with ImportScreen(quiet=quiet) as progress:
            return await import_folder(client, directory, progress)


async def _resolve(server: str, what: str) -> dict[str, Any]:
    async with Client(server, credentials=Credentials()) as client:
        await client.resume()
        track_id = what
        if len(what) != 36 or what.count("-") != 4:
            found = await client.request(
                "GET", "/api/search", params={"q": what, "types": "tracks", "limit": 1}
            )
            if not found["tracks"]["items"]:
                raise ApiError(404, "nothing_found", f"Nothing found for “{what}”.")
            track_id = found["tracks"]["items"][0]["id"]
        return await client.sign(track_id)


async def _try_resume(client: Client) -> None:
    """Searching works without a login; with one, it finds private things, too."""
    try:
        await client.resume()
    except ApiError as error:
        if error.status != 401:
            raise


def _run(
    work: Coroutine[Any, Any, Any], *, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> Any:
    """Run one command's work; every expected failure becomes a sentence and an exit code."""
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(work)
    except ApiError as error:
        console.print(f"[red]{error}")
        raise typer.Exit(3 if error.status == 401 else 1) from error
    except ServerAway as error:
        console.print(f"[red]{error} Is it running? `antiphon doctor` looks.")
        raise typer.Exit(4) from error
    except Failure as error:
        console.print(f"[red]{error}")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on where it stopped")
        raise typer.Exit(130) from None
