"""What people do while things break: upload, like, play, edit playlists, read, stream, log in and out."""

import asyncio
import hashlib
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from faults import checker
from faults.history import Caller, Op
from faults.replay import Item

_PAUSE = 0.15
# So small that a stream is on its way for 9 to 25 seconds, and what breaks finds it there.
_RANGE = 4096
# The edge gives one address twenty ranges a second, and twenty streams share it.
_RANGE_PAUSE = 1.0
# A revoked access token is dead within five seconds; asking takes its own time.
REVOKED_AFTER_SECONDS = 5.0
# After that an access token would be dead anyhow.
ACCESS_SECONDS = 300.0


@dataclass
class Music:
    """The tracks that everybody knows by now, and what their bytes are."""

    tracks: dict[str, str] = field(default_factory=dict)
    """Track id -> SHA-256 of the file."""
    durations_ms: dict[str, int] = field(default_factory=dict)
    albums: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Ended:
    """The tokens of a session that was logged out, and when they were given."""

    access: str
    refresh: str
    given: float


async def importing(caller: Caller, files: list[Path], music: Music, *, seconds: float) -> None:
    """Upload each file until it is acknowledged, one after the other for `seconds`; tell the others what is a track."""
    began = time.monotonic()
    for number, file in enumerate(files):
        await asyncio.sleep(max(0.0, began + seconds * number / len(files) - time.monotonic()))
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        while True:
            op = caller.history.begin(caller.name, "upload", digest, value=file.stem)
            with file.open("rb") as content:
                answer = await caller.attempt(
                    op, "POST", "/api/uploads", files={"file": (file.name, content)}
                )
            if answer is not None and answer.status_code == 202:
                op.answer = answer.json()["id"]
                break
            await asyncio.sleep(0.5)
        await learn(caller, music)
    while len(music.tracks) < len(files):
        await learn(caller, music)
        await asyncio.sleep(1)


async def learn(caller: Caller, music: Music) -> None:
    """Read which tracks there are."""
    page = await caller.get("/api/uploads", limit=100)
    for upload in (page or {"items": []})["items"]:
        if upload["state"] == "ready" and upload["track_id"] and upload["track_id"] not in music.tracks:
            track = await caller.get(f"/api/tracks/{upload['track_id']}")
            if track:
                music.durations_ms[track["id"]] = track["duration_ms"]
                music.tracks[track["id"]] = upload["sha256"]
                if track["album"]:
                    music.albums.add(track["album"]["id"])


async def liking(caller: Caller, music: Music, dice: random.Random) -> None:
    """Like and unlike tracks, save albums and forget them."""
    while True:
        await asyncio.sleep(_PAUSE)
        if not music.tracks:
            continue
        save, keep = bool(music.albums) and dice.random() < 0.25, dice.random() < 0.65
        which = dice.choice(sorted(music.albums if save else music.tracks))
        op = caller.history.begin(caller.name, "save" if save else "like", caller.name, which, value=keep)
        path = f"/api/me/{'albums' if save else 'tracks'}/{which}"
        await caller.attempt(op, "PUT" if keep else "DELETE", path)


async def playing(caller: Caller, music: Music) -> None:
    """Hear every track once and say so, twice, because answers get lost."""
    heard: set[str] = set()
    while True:
        await asyncio.sleep(_PAUSE)
        for track in sorted(music.tracks.keys() - heard):
            if await hear(caller, track) is None:
                break
            heard.add(track)
            report = {
                "play_id": str(uuid4()), "track_id": track, "listened_ms": music.durations_ms[track],
                "started_at": datetime.now(UTC).isoformat(),
            }  # fmt: skip
            for _ in range(2):
                op = caller.history.begin(caller.name, "play", track, caller.name, value=report["play_id"])
                answer = await caller.attempt(op, "POST", "/api/plays", json=report)
                op.answer = answer.json() if answer is not None and op.outcome else None
                await asyncio.sleep(_PAUSE)


async def hear(caller: Caller, track: str) -> bytes | None:
    """The whole of a track by its signed address, or none when it did not come at once."""
    answer = await caller.call("POST", "/api/stream/resolve", json={"track_ids": [track]})
    if answer is None or answer.status_code != 200 or "url" not in answer.json()[0]:
        return None
    audio = await caller.call("GET", answer.json()[0]["url"], streaming=True)
    return audio.content if audio is not None and audio.status_code == 200 else None


async def streaming(caller: Caller, music: Music, dice: random.Random) -> None:
    """Fetch tracks piece by piece, through whatever happens; what was fetched must be the file."""
    while True:
        await asyncio.sleep(_PAUSE)
        if not music.tracks:
            continue
        track = dice.choice(sorted(music.tracks))
        answer = await caller.call("POST", "/api/stream/resolve", json={"track_ids": [track]})
        if answer is None or answer.status_code != 200 or "url" not in answer.json()[0]:
            continue
        op = caller.history.begin(caller.name, "hear-all", track)
        body, op.answer = await ranges(caller, answer.json()[0]["url"])
        op.outcome = hashlib.sha256(body).hexdigest() == music.tracks[track]
        if not op.outcome:
            caller.history.complaints.append(
                f"I18 the ranges of {track} are not the file ({len(body)} bytes)"
            )


async def ranges(caller: Caller, url: str) -> tuple[bytes, int]:
    """All of it, in ranges, each asked for until it comes; and how many did not come."""
    body, size, failed = b"", 1, 0
    while len(body) < size:
        asked = f"bytes={len(body)}-{len(body) + _RANGE - 1}"
        answer = await caller.call("GET", url, streaming=True, headers={"range": asked})
        if answer is None or answer.status_code != 206:
            # Of one's own haste nothing is learnt.
            failed += answer is None or answer.status_code >= 500
            await asyncio.sleep(0.3)
            continue
        size = int(answer.headers["content-range"].rpartition("/")[2])
        body += answer.content
        await asyncio.sleep(_RANGE_PAUSE)
    return body, failed


async def make_playlist(caller: Caller) -> str | None:
    """A new playlist, or none when nobody knows of it."""
    op = caller.history.begin(caller.name, "make-playlist", caller.name)
    body = {"title": f"Of {caller.name} {uuid4().hex[:6]}", "visibility": "public"}
    answer = await caller.attempt(op, "POST", "/api/playlists", json=body)
    if answer is None or not op.outcome:
        return None
    op.answer = answer.json()["id"]
    return str(op.answer)


async def editing(caller: Caller, music: Music, dice: random.Random, *, editors: int = 2) -> None:
    """Keep one playlist from several places at once: add, remove and move, each only if it still is as it was seen."""
    playlist = None
    while playlist is None:
        await asyncio.sleep(_PAUSE)
        playlist = await make_playlist(caller)

    async def edit_on(which: str) -> None:
        while True:
            await asyncio.sleep(editors * _PAUSE)
            if music.tracks:
                await edit(caller, which, dice.choice(sorted(music.tracks)), dice)

    async with asyncio.TaskGroup() as group:
        for _ in range(editors):
            group.create_task(edit_on(playlist))


async def edit(caller: Caller, playlist: str, track: str, dice: random.Random) -> None:
    """One change of the playlist as it is now."""
    path = f"/api/playlists/{playlist}"
    head = await caller.get(path)
    page = await caller.get(f"{path}/items", limit=100)
    if head is None or page is None:
        return
    seen = [(item["item_id"], item["track"]["id"]) for item in page["items"]]
    kind, value = _choice(seen, track, dice)
    if kind == "add":
        method, address, body = "POST", f"{path}/tracks", {"track_ids": [track]}
    elif kind == "remove":
        method, address, body = "DELETE", f"{path}/items/{value['item']}", None
    else:
        method, address, body = (
            "POST",
            f"{path}/items/{value['item']}/move",
            {"after_item_id": value["after"]},
        )
    revision = head["revision"]
    op = caller.history.begin(caller.name, kind, playlist, str(revision), value={**value, "seen": seen})
    answer = await caller.attempt(op, method, address, json=body, headers={"if-match": f'"{revision}"'})
    op.answer = answer.json() if answer is not None and op.outcome and kind != "remove" else None


def _choice(seen: list[Item], track: str, dice: random.Random) -> tuple[str, dict[str, Any]]:
    """What to do with a playlist that holds this."""
    kind = dice.choice(["add", "add", "remove", "move"]) if len(seen) < 30 else "remove"
    if kind == "add" or not seen:
        return "add", {"track": track}
    item, *others = (which for which, _ in dice.sample(seen, min(2, len(seen))))
    return kind, {"item": item} if kind == "remove" else {
        "item": item,
        "after": others[0] if others else None,
    }


async def renaming(caller: Caller) -> None:
    """Change one's own name and read it: what was acknowledged is what one reads (I13)."""
    while True:
        await asyncio.sleep(3 * _PAUSE)
        op = await rename(caller)
        profile = await caller.get("/api/me")
        if op.outcome and profile and profile["name"] != op.value:
            caller.history.complaints.append(f"I13 wrote {op.value!r}, read {profile['name']!r}")


async def rename(caller: Caller) -> Op:
    """Take a name that one never had."""
    op = caller.history.begin(caller.name, "name", caller.name, value=f"{caller.name} {uuid4().hex[:8]}")
    await caller.attempt(op, "PATCH", "/api/me", json={"name": op.value})
    return op


async def announce(caller: Caller, service: str, music: Music) -> None:
    """One write that this service announces."""
    if service == "user":
        await rename(caller)
    elif service == "playlist":
        await make_playlist(caller)
    elif music.tracks:
        track = min(music.tracks)
        keep = sum(op.client == caller.name for op in caller.history.of("like")) % 2 == 0
        op = caller.history.begin(caller.name, "like", caller.name, track, value=keep)
        await caller.attempt(op, "PUT" if keep else "DELETE", f"/api/me/tracks/{track}")


async def reading(caller: Caller, music: Music, dice: random.Random) -> None:
    """Look around."""
    while True:
        await asyncio.sleep(_PAUSE)
        await caller.get("/api/tracks", sort=dice.choice(["recent", "popular", "title"]), limit=20)
        found = await caller.call("GET", "/api/search", params={"q": f"Numbered{dice.randrange(40):03d}"})
        # 502 is what the edge says while there is no gateway.
        if found is not None and found.status_code not in (200, 502, 503):
            caller.history.complaints.append(f"a search answered {found.status_code}")
        if music.tracks:
            await caller.get(f"/api/tracks/{dice.choice(sorted(music.tracks))}")


async def coming_and_going(caller: Caller, login: Any, ended: list[Ended], dice: random.Random) -> None:
    """Log in, use it, log out, and try what must be dead: this and any that was ended before."""
    while True:
        await asyncio.sleep(4 * _PAUSE)
        given = time.monotonic()
        answer = await caller.call("POST", "/api/auth/login", json=login)
        if answer is None or answer.status_code != 200:
            continue
        session = Ended(answer.json()["access_token"], answer.json()["refresh_token"], given)
        out = await caller.call(
            "POST", "/api/auth/logout", json={"refresh_token": session.refresh}, headers=_bearer(session)
        )
        if out is None or out.status_code != 204:
            continue
        revoked = time.monotonic()
        op = caller.history.begin(caller.name, "log-out", caller.name)
        dead = {"refresh": await _refresh(caller, session)}
        await asyncio.sleep(max(0.0, revoked + REVOKED_AFTER_SECONDS - time.monotonic()))
        dead["access"] = await _use(caller, session)
        op.outcome = set(dead.values()) == {checker.REFUSED}
        ended.append(session)
        again = await show(caller, [dice.choice(ended)])
        # Who is not there to answer revives nothing; once all is healed everybody is.
        alive = [(what, status) for what, status in (*dead.items(), *again) if status and status < 400]
        caller.history.complaints += checker.check_revoked(alive)


async def show(caller: Caller, ended: list[Ended], *, patience: int = 1) -> list[tuple[str, int | None]]:
    """Present these dead tokens again: which one, and the status. Who is not answered asks so many times."""
    answers: list[tuple[str, int | None]] = []
    for session in ended:
        answers.append(("refresh", await _insist(partial(_refresh, caller, session), patience)))
        if time.monotonic() < session.given + ACCESS_SECONDS:
            answers.append(("access", await _insist(partial(_use, caller, session), patience)))
    return answers


async def _insist(ask: Callable[[], Awaitable[int | None]], times: int) -> int | None:
    status = None
    for _ in range(times):
        status = await ask()
        if status is not None and status < 500:
            break
    return status


def _bearer(session: Ended) -> dict[str, str]:
    return {"authorization": f"Bearer {session.access}"}


async def _refresh(caller: Caller, session: Ended) -> int | None:
    answer = await caller.call("POST", "/api/auth/refresh", json={"refresh_token": session.refresh})
    return None if answer is None else answer.status_code


async def _use(caller: Caller, session: Ended) -> int | None:
    answer = await caller.call("GET", "/api/me", headers=_bearer(session))
    return None if answer is None else answer.status_code
