"""The table "when something is down", cell by cell: the server is really stopped, or frozen, and the answers are timed."""

import asyncio
import contextlib
import signal
import time
import xmlrpc.client
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from e2e_support.audio import make_audio
from e2e_support.people import PASSWORD, Person
from e2e_support.ports import first_free_block
from e2e_support.server_platform import ServerPlatform

from antiphon_common.testing.running import eventually

pytestmark = pytest.mark.timeout(240)

# Beyond these nobody waits: the gateway's deadline for everything, and what policies.md says of the index.
ANY_SECONDS, SEARCH_SECONDS = 10.0, 0.3
# What the machine of a test adds to a figure that is measured from outside.
_SLACK_SECONDS = 0.25


@dataclass(frozen=True)
class Answers:
    """What each kind of request answered while something was down."""

    reading: httpx.Response
    own_reading: httpx.Response
    profile: httpx.Response
    login: httpx.Response
    refresh: httpx.Response
    like: httpx.Response
    playlist: httpx.Response
    upload: httpx.Response
    stream: httpx.Response
    search: httpx.Response

    def statuses(self) -> dict[str, int]:
        return {name: answer.status_code for name, answer in vars(self).items()}


@dataclass
class Scene:
    """A platform with one published track, and what a listener has of it."""

    platform: ServerPlatform
    ada: Person
    track: str
    signed: str
    word: str
    song: Path
    took: dict[str, float]


@pytest.fixture(scope="module")
def platform(server_programs: None) -> Iterator[ServerPlatform]:
    with ServerPlatform(port=first_free_block()) as running:
        yield running


@pytest.fixture
async def scene(platform: ServerPlatform, tmp_path: Path) -> AsyncIterator[Scene]:
    async with Person(platform.url, "Ada") as ada:
        await eventually(lambda: registered(ada), seconds=60)
        word = ada.word
        song = make_audio(
            tmp_path / "song.mp3", seconds=4, pitch=ord(word[0]) * 3, title=word, artist="Outage"
        )
        track = await ada.publish(song)
        await ada.findable(track, word, seconds=30)
        liked = f"/api/me/tracks/{track}"
        await eventually(lambda: ada.status("PUT", liked), lambda status: status == 204, seconds=30)
        signed = (await ada.call("POST", "/api/stream/resolve", json={"track_ids": [track]})).json()[0]["url"]
        yield Scene(platform, ada, track, signed, word, song, {})


async def registered(person: Person) -> bool:
    try:
        await person.register()
    except (AssertionError, httpx.TransportError):
        return False
    return True


@asynccontextmanager
async def down(scene: Scene, name: str, how: str) -> AsyncIterator[None]:
    """Stop or freeze it while the block lasts; afterwards the platform is as before."""
    platform = scene.platform
    if name == "auth" and how == "frozen":
        platform.signal(name, signal.SIGSTOP)
    elif name == "auth":
        platform.supervise("stopProcess", name)
    else:
        await asyncio.to_thread(platform.servers, "freeze" if how == "frozen" else "kill", name)
    try:
        yield
    finally:
        if name == "auth":
            platform.signal(name, signal.SIGCONT)
            with contextlib.suppress(xmlrpc.client.Fault):  # it runs, frozen or not
                platform.supervise("startProcess", name)
        else:
            await asyncio.to_thread(platform.servers, "thaw" if how == "frozen" else "up", name)


async def ask(scene: Scene) -> Answers:
    """Each kind of request once, timed, all at the same time as people would."""
    ada, track = scene.ada, scene.track

    async def timed(name: str, method: str, path: str, **options: Any) -> httpx.Response:
        began = time.monotonic()
        answer = await ada.call(method, path, **options)
        scene.took[name] = time.monotonic() - began
        return answer

    login = {"email": ada.email, "password": PASSWORD, "session": "token"}
    content = scene.song.read_bytes()  # the same again is a duplicate, which is accepted, too
    got = await asyncio.gather(
        timed("reading", "GET", f"/api/tracks/{track}"),
        timed("own_reading", "GET", "/api/me/tracks"),
        timed("profile", "GET", "/api/me"),
        timed("login", "POST", "/api/auth/login", json=login),
        timed("refresh", "POST", "/api/auth/refresh", json={"refresh_token": ada.refresh}),
        timed("like", "PUT", f"/api/me/tracks/{track}"),
        timed("playlist", "POST", "/api/playlists", json={"title": f"Mix {uuid4().hex}"}),
        timed("upload", "POST", "/api/uploads", files={"file": ("song.mp3", content)}),
        timed("stream", "GET", scene.signed, headers={"range": "bytes=0-999"}),
        timed("search", "GET", "/api/search", params={"q": scene.word}),
    )
    answers = Answers(*got)
    if answers.refresh.status_code == 200:
        ada.refresh = answers.refresh.json()["refresh_token"]
    for name, answer in vars(answers).items():
        assert scene.took[name] < ANY_SECONDS + _SLACK_SECONDS, f"{name} took {scene.took[name]:.1f} s"
        if answer.status_code >= 400:
            assert answer.headers["content-type"].startswith("application/problem+json"), (name, answer.text)
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) >= 1, name
    return answers


ALL_WELL = {
    "reading": 200, "own_reading": 200, "profile": 200, "login": 200, "refresh": 200, "like": 204, "playlist": 201,
    "upload": 202, "stream": 206, "search": 200,
}  # fmt: skip


async def well_again(scene: Scene) -> None:
    """Within half a minute everything works as before, without anybody's help."""

    async def statuses() -> dict[str, int]:
        try:
            return (await ask(scene)).statuses()
        except (httpx.TransportError, AssertionError):
            return {}

    await eventually(statuses, lambda found: found == ALL_WELL, seconds=30)


HOW = pytest.mark.parametrize("how", ["stopped", "frozen"])


@HOW
async def test_without_redis_everything_works(scene: Scene, how: str) -> None:
    async with down(scene, "redis", how):
        assert (await ask(scene)).statuses() == ALL_WELL
    await well_again(scene)


@HOW
async def test_without_rabbitmq_everything_works_and_what_was_written_is_heard_of_later(
    scene: Scene, how: str
) -> None:
    async with down(scene, "rabbitmq", how):
        assert (await ask(scene)).statuses() == ALL_WELL
        renamed = {"title": f"{scene.word} Afterwards"}
        assert await scene.ada.status("PATCH", f"/api/tracks/{scene.track}", json=renamed) == 200
    await scene.ada.findable(scene.track, f"{scene.word} afterwards", seconds=60)
    await well_again(scene)


@HOW
async def test_without_postgres_nothing_pretends_to_be_written(scene: Scene, how: str) -> None:
    assert (await ask(scene)).statuses() == ALL_WELL
    page = f"/api/tracks/{scene.track}"
    await asyncio.sleep(3)  # until nothing that was done before makes the gateway forget it
    async with Person(scene.platform.url) as anybody:
        assert await anybody.status("GET", page) == 200
        async with down(scene, "postgres", how):
            remembered = await anybody.status("GET", page)
            found = (await ask(scene)).statuses()
    assert remembered == 200, "what is the same for everybody is remembered"
    assert found == {**dict.fromkeys(ALL_WELL, 503), "stream": 206}
    await well_again(scene)


NEEDED_BY: dict[str, set[str]] = {
    "auth": {"login", "refresh"},
    "catalog": {"reading"},
    "file": {"upload"},
    "library": {"like", "own_reading"},
    "playlist": {"playlist"},
    "search": {"search"},
    "stream": set(),  # what is signed plays on
    "user": {"profile"},
}


@pytest.mark.parametrize("service", sorted(NEEDED_BY))
async def test_without_its_database_only_that_service_is_missed(scene: Scene, service: str) -> None:
    async with without_database(scene, service):
        found = (await ask(scene)).statuses()
    missed = {name for name, status in found.items() if status == 503}
    assert missed == NEEDED_BY[service]
    assert {name: status for name, status in found.items() if name not in missed}.items() <= ALL_WELL.items()
    await well_again(scene)


@asynccontextmanager
async def without_database(scene: Scene, role: str) -> AsyncIterator[None]:
    """The service's role may not log in, and is thrown out."""
    administrator = await asyncpg.connect(scene.platform.variables()["POSTGRES_URL"].replace("+asyncpg", ""))
    try:
        await administrator.execute(f'ALTER ROLE "{role}" NOLOGIN')
        await administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", role
        )
        yield
    finally:
        await administrator.execute(f'ALTER ROLE "{role}" LOGIN')
        await administrator.close()


@HOW
async def test_without_elasticsearch_a_search_says_so_at_once(scene: Scene, how: str) -> None:
    async with down(scene, "elasticsearch", how):
        for _ in range(6):
            began = time.monotonic()
            answer = await scene.ada.call("GET", "/api/search", params={"q": scene.word})
            took = time.monotonic() - began
            if answer.status_code != 503:
                found = answer.json()
                assert (found["degraded"], bool(found["tracks"]["items"])) == (True, True), answer.text
            assert took < SEARCH_SECONDS + _SLACK_SECONDS, f"{took:.2f} s"
        assert {**(await ask(scene)).statuses(), "search": 200} == ALL_WELL
    await well_again(scene)


@HOW
async def test_without_the_object_store_uploads_are_refused_at_once(scene: Scene, how: str) -> None:
    async with down(scene, "s3", how):
        found = (await ask(scene)).statuses()
        assert scene.took["upload"] < 5
    assert (found.pop("stream"), found.pop("upload")) == (503, 503), "nobody has heard it yet"
    assert found == {name: status for name, status in ALL_WELL.items() if name not in ("stream", "upload")}
    await well_again(scene)


@HOW
async def test_without_auth_nobody_who_is_in_is_thrown_out(scene: Scene, how: str) -> None:
    async with down(scene, "auth", how):
        found = (await ask(scene)).statuses()
    assert (found.pop("login"), found.pop("refresh")) == (503, 503)
    assert found == {name: status for name, status in ALL_WELL.items() if name not in ("login", "refresh")}
    await well_again(scene)
