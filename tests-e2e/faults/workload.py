"""What people do while things break: upload, like, play, edit playlists, read, stream, log in and out."""

import asyncio
import hashlib
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from faults.history import Caller

_PAUSE = 0.15
_RANGE = 65_536
# A revoked access token is dead within five seconds; asking takes its own time.
REVOKED_AFTER_SECONDS = 5.0


@dataclass
class Music:
    """The tracks that everybody knows by now, and what their bytes are."""

    tracks: dict[str, str] = field(default_factory=dict)
    """Track id -> SHA-256 of the file."""
    durations_ms: dict[str, int] = field(default_factory=dict)


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


async def liking(caller: Caller, music: Music, dice: random.Random) -> None:
    """Like and unlike."""
    while True:
        await asyncio.sleep(_PAUSE)
        if music.tracks:
            track, like = dice.choice(sorted(music.tracks)), dice.random() < 0.65
            op = caller.history.begin(caller.name, "like", caller.name, track, value=like)
            await caller.attempt(op, "PUT" if like else "DELETE", f"/api/me/tracks/{track}")


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
        body = await ranges(caller, answer.json()[0]["url"])
        op.outcome = hashlib.sha256(body).hexdigest() == music.tracks[track]
        if not op.outcome:
            caller.history.complaints.append(
                f"I18 the ranges of {track} are not the file ({len(body)} bytes)"
            )


async def ranges(caller: Caller, url: str) -> bytes:
    """All of it, in ranges, each asked for until it comes."""
    body, size = b"", 1
    while len(body) < size:
        asked = f"bytes={len(body)}-{len(body) + _RANGE - 1}"
        answer = await caller.call("GET", url, streaming=True, headers={"range": asked})
        if answer is None or answer.status_code != 206:
            await asyncio.sleep(0.3)
            continue
        size = int(answer.headers["content-range"].rpartition("/")[2])
        body += answer.content
    return body


async def editing(caller: Caller, music: Music, dice: random.Random) -> None:
    """Keep one playlist: add, remove and move, each only if it still is as it was seen."""
    playlist = None
    while playlist is None:
        op = caller.history.begin(caller.name, "make-playlist", caller.name)
        body = {"title": f"Of {caller.name} {uuid4().hex[:6]}", "visibility": "public"}
        answer = await caller.attempt(op, "POST", "/api/playlists", json=body)
        if answer is not None and answer.status_code == 201:
            playlist = op.answer = answer.json()["id"]
        await asyncio.sleep(_PAUSE)
    while True:
        await asyncio.sleep(_PAUSE)
        if music.tracks:
            await edit(caller, playlist, dice.choice(sorted(music.tracks)), dice)


async def edit(caller: Caller, playlist: str, track: str, dice: random.Random) -> None:
    """One change of the playlist as it is now."""
    head = await caller.get(f"/api/playlists/{playlist}")
    page = await caller.get(f"/api/playlists/{playlist}/items", limit=100)
    if head is None or page is None:
        return
    items, seen = page["items"], head["revision"]
    headers = {"if-match": f'"{seen}"'}
    path = f"/api/playlists/{playlist}"
    action = dice.choice(["add", "add", "remove", "move"]) if len(items) < 30 else "remove"
    if action == "add" or not items:
        op = caller.history.begin(caller.name, "add", playlist, str(seen), value=track)
        answer = await caller.attempt(
            op, "POST", f"{path}/tracks", json={"track_ids": [track]}, headers=headers
        )
        if answer is not None and op.outcome:
            op.answer = answer.json()
    elif action == "remove":
        item = dice.choice(items)["item_id"]
        op = caller.history.begin(caller.name, "remove", playlist, str(seen), value=item)
        await caller.attempt(op, "DELETE", f"{path}/items/{item}", headers=headers)
    else:
        first, *others = dice.sample(items, min(2, len(items)))
        body = {"after_item_id": others[0]["item_id"] if others else None}
        op = caller.history.begin(caller.name, "move", playlist, str(seen), value=first["item_id"])
        await caller.attempt(op, "POST", f"{path}/items/{first['item_id']}/move", json=body, headers=headers)


async def renaming(caller: Caller) -> None:
    """Change one's own name and read it: what was acknowledged is what one reads (I13)."""
    number = 0
    while True:
        await asyncio.sleep(3 * _PAUSE)
        number += 1
        op = caller.history.begin(caller.name, "name", caller.name, value=f"{caller.name} {number}")
        await caller.attempt(op, "PATCH", "/api/me", json={"name": op.value})
        profile = await caller.get("/api/me")
        if op.outcome and profile and profile["name"] != op.value:
            caller.history.complaints.append(f"I13 wrote {op.value!r}, read {profile['name']!r}")


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


async def coming_and_going(caller: Caller, login: Any) -> None:
    """Log in, use it, log out, and try what must be dead."""
    while True:
        await asyncio.sleep(4 * _PAUSE)
        answer = await caller.call("POST", "/api/auth/login", json=login)
        if answer is None or answer.status_code != 200:
            continue
        access, refresh = answer.json()["access_token"], answer.json()["refresh_token"]
        headers = {"authorization": f"Bearer {access}"}
        out = await caller.call("POST", "/api/auth/logout", json={"refresh_token": refresh}, headers=headers)
        if out is None or out.status_code != 204:
            continue
        revoked = time.monotonic()
        op = caller.history.begin(caller.name, "log-out", caller.name)
        again = await caller.call("POST", "/api/auth/refresh", json={"refresh_token": refresh})
        if again is not None and again.is_success:
            caller.history.complaints.append("I10 a refresh token lived on after its logout")
        await asyncio.sleep(max(0.0, revoked + REVOKED_AFTER_SECONDS - time.monotonic()))
        used = await caller.call("GET", "/api/me", headers=headers)
        if used is not None and used.is_success:
            caller.history.complaints.append("I10 an access token lived on five seconds after its logout")
        op.outcome = [answer and answer.status_code for answer in (again, used)] == [401, 401]
