"""The `antiphon` command as people use it: help, exit codes, the first administrator, import after Ctrl-C."""

import asyncio
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from e2e_support.audio import make_audio
from e2e_support.people import PASSWORD, Person
from e2e_support.platform import ANTIPHON, PlatformProcess, antiphon

from antiphon_cli.client import Client
from antiphon_cli.credentials import Credentials, Login
from antiphon_common.testing.running import eventually

# The promise. `make test` and so CI relax it: there three workers share two cores with everything they test.
DEMO_SECONDS = float(os.environ.get("DEMO_SECONDS", "5"))


def test_every_command_explains_itself_with_an_example(tmp_path: Path) -> None:
    whole = antiphon("--help", home=tmp_path)
    assert whole.returncode == 0
    assert "Exit codes" in whole.stdout
    assert "130 interrupted" in whole.stdout
    for command in (
        ["run"],
        ["demo"],
        ["import"],
        ["login"],
        ["logout"],
        ["search"],
        ["play"],
        ["admin", "create"],
        ["doctor"],
    ):
        shown = antiphon(*command, "--help", home=tmp_path)
        assert shown.returncode == 0
        assert "Example: antiphon " + " ".join(command) in shown.stdout, command


def test_exit_codes_tell_what_went_wrong(url: str, tmp_path: Path) -> None:
    away = antiphon("search", "x", "--server", "http://127.0.0.1:9", home=tmp_path)
    assert (away.returncode, "does not answer" in away.stderr) == (4, True)
    nobody = antiphon("import", str(tmp_path), "--server", url, home=tmp_path)
    assert (nobody.returncode, "antiphon login" in nobody.stderr) == (3, True)
    assert antiphon("import", "/no/such/folder", home=tmp_path).returncode == 2
    wrong = antiphon(
        "login", "nobody@example.org", "--server", url, "--stdin", stdin="wrong\n", home=tmp_path
    )
    assert wrong.returncode == 3
    assert "Traceback" not in away.stderr + nobody.stderr + wrong.stderr


def test_doctor_finds_this_machine_well(url: str, tmp_path: Path) -> None:
    found = antiphon("doctor", "--server", url, "--data", str(tmp_path), "--json", home=tmp_path)
    assert found.returncode == 0, found.stdout
    names = {finding["name"]: finding for finding in json.loads(found.stdout)}
    assert names["server"]["ok"]
    assert url in names["server"]["found"]


def test_doctor_says_what_to_do_about_a_taken_port_and_a_directory_it_cannot_use(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    bad = str(tmp_path / "file" / "data")
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        found = antiphon(
            "doctor", "--server", "http://127.0.0.1:9", "--port", port, "--data", bad, home=tmp_path
        )
    assert found.returncode == 1
    assert "PORT=" in found.stdout
    assert "--data" in found.stdout


async def test_the_first_administrator_is_made_once(tmp_path: Path) -> None:
    platform = PlatformProcess(tmp_path / "data")
    platform.start()
    try:
        await eventually(lambda: asyncio.to_thread(lambda: "admin create" in platform.output))
        create = (
            "admin",
            "create",
            "root@example.org",
            "--server",
            platform.url,
            "--data",
            str(tmp_path / "data"),
            "--stdin",
        )
        weak = antiphon(*create, stdin="password\n", home=tmp_path)
        assert weak.returncode == 1
        made = antiphon(*create, stdin=PASSWORD + "\n", home=tmp_path)
        assert made.returncode == 0, made.stderr
        again = antiphon(*create, stdin=PASSWORD + "\n", home=tmp_path)
        assert again.returncode == 1
        async with Person(platform.url, email="root@example.org") as root:
            await root.login()
            claims = root.access.split(".")[1]
            import base64

            assert "admin" in json.loads(base64.urlsafe_b64decode(claims + "=="))["roles"]
        for file in (tmp_path / "data" / "secrets").rglob("*"):
            assert file.is_dir() or file.stat().st_mode & 0o077 == 0
    finally:
        assert platform.stop() in (0, 130)


async def test_an_import_goes_on_after_ctrl_c_and_sends_nothing_twice(
    url: str, ada: Person, music: Path, tmp_path: Path
) -> None:
    for number in range(24):
        make_audio(
            music / f"{number:02d}.flac",
            seconds=8,
            pitch=150 + number,
            title=f"N{number}",
            artist="Interrupted",
        )
    antiphon("login", ada.email, "--server", url, "--stdin", stdin=PASSWORD + "\n", home=tmp_path)
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path)}
    command = [*ANTIPHON, "import", str(music), "--server", url]
    # A test run in the background inherits that SIGINT is ignored; a terminal does not say so.
    first = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and len((await ada.get("/api/uploads", limit=100))["items"]) < 4:
        pass
    first.send_signal(signal.SIGINT)
    assert first.wait(20) == 130
    before = {
        item["id"]
        for item in (await ada.get("/api/uploads", limit=100))["items"]
        if item["state"] != "receiving"
    }
    assert 0 < len(before) < 24
    done = antiphon("import", str(music), "--server", url, "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ready"] == 24
    items = (await ada.get("/api/uploads", limit=100))["items"]
    assert len([item for item in items if item["sha256"]]) == 24
    assert before <= {item["id"] for item in items}


def test_the_report_names_what_was_rejected_and_why(url: str, tmp_path: Path, music: Path) -> None:
    email = f"report-{os.getpid()}-{time.time_ns()}@example.org"
    httpx.post(
        f"{url}/api/auth/register", json={"email": email, "password": PASSWORD, "name": "R"}
    ).raise_for_status()
    antiphon("login", email, "--server", url, "--stdin", stdin=PASSWORD + "\n", home=tmp_path)
    good = make_audio(music / "good.mp3", title="Good", artist="Report")
    (music / "copy.mp3").write_bytes(good.read_bytes())
    (music / "bad.mp3").write_bytes(b"not audio at all" * 100)
    shown = antiphon("import", str(music), "--server", url, home=tmp_path)
    assert shown.returncode == 5
    assert re.search(r"bad\.mp3.*rejected.*\w", shown.stdout)
    assert re.search(r"(good|copy)\.mp3.*duplicate.*(copy|good)\.mp3", shown.stdout), shown.stdout
    assert "1 ready  1 duplicate  1 rejected" in shown.stdout


async def test_logging_out_ends_the_session_here_and_on_the_server(
    url: str, ada: Person, tmp_path: Path
) -> None:
    async def sessions() -> int:
        return len((await ada.get("/api/auth/sessions"))["items"])

    before = await sessions()
    antiphon("login", ada.email, "--server", url, "--stdin", stdin=PASSWORD + "\n", home=tmp_path)
    assert await sessions() == before + 1
    assert antiphon("logout", "--server", url, home=tmp_path).returncode == 0
    assert await sessions() == before
    again = antiphon("logout", "--server", url, home=tmp_path)
    assert (again.returncode, "Not logged in" in again.stderr) == (3, True)


def test_logging_out_forgets_the_session_though_the_server_is_away(tmp_path: Path) -> None:
    away = "http://127.0.0.1:9"
    credentials = Credentials(tmp_path / "antiphon" / "credentials.json")
    credentials.save(away, Login("ada@example.org", "refresh"))
    shown = antiphon("logout", "--server", away, home=tmp_path)
    assert (shown.returncode, "does not answer" in shown.stderr) == (4, True)
    assert credentials.find(away) is None


async def test_play_prints_an_address_that_plays(url: str, ada: Person, music: Path, tmp_path: Path) -> None:
    file = make_audio(music / "play.opus", title=f"Playable {ada.word}", artist="Player")
    track_id = await ada.publish(file)
    antiphon("login", ada.email, "--server", url, "--stdin", stdin=PASSWORD + "\n", home=tmp_path)
    for what in (track_id, f"Playabel {ada.word}"):
        await ada.findable(track_id, f"Playabel {ada.word}")
        shown = antiphon("play", what, "--server", url, home=tmp_path)
        assert shown.returncode == 0, shown.stderr
        assert httpx.get(shown.stdout.strip()).content == file.read_bytes()


@pytest.mark.timeout(180)
def test_demo_is_ready_again_within_five_seconds_and_keeps_its_data(tmp_path: Path) -> None:
    def start() -> tuple[subprocess.Popen[str], str, float]:
        began = time.monotonic()
        command = [*ANTIPHON, "demo", "--port", "0", "--data", str(tmp_path / "demo")]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "NO_COLOR": "1"},
        )
        assert process.stdout
        shown = ""
        while "Ctrl-C stops" not in shown:
            line = process.stdout.readline()
            assert line, f"it ended early:\n{shown}"
            shown += line
        return process, shown, time.monotonic() - began

    process, shown, _ = start()
    assert "rejected" in shown
    assert " 0 rejected" in shown
    url = re.search(r"Antiphon is at (\S+)", shown)
    assert url
    tracks = httpx.get(f"{url[1]}/api/tracks", params={"limit": 100}).json()["items"]
    assert len(tracks) >= 16
    assert len({artist["name"] for track in tracks for artist in track["artists"]}) >= 5
    signed = re.search(r"'(http\S+/api/stream/\S+)'", shown)
    assert signed
    assert httpx.get(signed[1], headers={"range": "bytes=100000-299999"}).status_code == 206
    process.send_signal(signal.SIGINT)
    assert process.wait(15) in (0, 130)

    process, shown, seconds = start()
    url = re.search(r"Antiphon is at (\S+)", shown)
    assert url
    again = httpx.get(f"{url[1]}/api/tracks", params={"limit": 100}).json()["items"]
    assert [track["id"] for track in again] == [track["id"] for track in tracks]
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) in (0, 130, 143)
    assert seconds < DEMO_SECONDS


async def test_a_long_command_goes_on_with_the_login_that_others_have_renewed(
    url: str, ada: Person, tmp_path: Path
) -> None:
    credentials = Credentials(tmp_path / "credentials.json")
    async with Client(url, credentials=credentials) as importing:
        await importing.login(ada.email, PASSWORD)
        for _ in range(3):
            async with Client(url, credentials=credentials) as search:
                await search.resume()
        assert importing._tokens
        importing._tokens.access = ada.access + "expired"
        assert (await importing.request("GET", "/api/uploads"))["items"] == []
    async with Client(url, credentials=credentials) as later:
        await later.resume()
