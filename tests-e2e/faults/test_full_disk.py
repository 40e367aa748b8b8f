"""A disk that is full under everything: what was accepted is kept, what cannot be kept is refused with a 503, and room
alone makes all of it well again.

The disk is a small one in memory, below the whole platform and its servers; only root can mount one.
"""

import asyncio
import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from e2e_support.audio import make_audio
from e2e_support.people import Person
from e2e_support.ports import first_free_block
from e2e_support.server_platform import ServerPlatform

from antiphon_common.testing.running import eventually
from antiphon_common.testing.servers import not_tested

pytestmark = pytest.mark.timeout(400)

SIZE = "1500m"
FULL_SECONDS = 20
HEALED_SECONDS = 90


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    if os.geteuid() != 0:
        not_tested("a full disk (only root mounts a small one)", required=False)
    place = Path(tempfile.mkdtemp(prefix="antiphon-", dir="/var/tmp"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=711", "tmpfs", str(place)]
    if (said := subprocess.run(mount, capture_output=True, text=True, check=False)).returncode:
        not_tested(f"a full disk ({said.stderr.strip()})", required=False)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        place.rmdir()


@pytest.fixture(scope="module")
def platform(server_programs: None, disk: Path) -> Iterator[ServerPlatform]:
    with ServerPlatform(port=first_free_block(), data=disk) as running:
        yield running


def fill(ballast: Path) -> None:
    """Take all room that there is; some of it is taken in small pieces, because so are most writes."""
    with ballast.open("ab", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


class Accepted:
    """What was answered with a 2xx, and what else was answered."""

    def __init__(self, ada: Person, track: str, song: Path) -> None:
        self._ada = ada
        self._track = track
        self._song = song
        self.playlists: list[str] = []
        self.uploads: list[str] = []
        self.refusals: list[httpx.Response] = []

    async def write(self) -> None:
        """A playlist, an upload and a like."""
        made = await self._ada.call("POST", "/api/playlists", json={"title": "Full"})
        with self._song.open("rb") as file:
            sent = await self._ada.call("POST", "/api/uploads", files={"file": (self._song.name, file)})
        liked = await self._ada.call("PUT", f"/api/me/tracks/{self._track}")
        self.refusals += [answer for answer in (made, sent, liked) if not answer.is_success]
        if made.is_success:
            self.playlists.append(made.json()["id"])
        if sent.is_success:
            self.uploads.append(sent.json()["id"])


async def test_a_full_disk_loses_nothing_and_heals_by_room_alone(
    platform: ServerPlatform, disk: Path, tmp_path: Path
) -> None:
    async with Person(platform.url, "Ada") as ada:
        await ada.register()
        song = make_audio(tmp_path / "one.mp3", seconds=4, pitch=500, title=ada.word, artist="Full")
        other = make_audio(tmp_path / "two.mp3", seconds=4, pitch=600, title="Other", artist="Full")
        track = await ada.publish(song)
        await ada.findable(track, ada.word, seconds=30)
        ballast = disk / "ballast"
        accepted = Accepted(ada, track, other)
        ends = time.monotonic() + FULL_SECONDS
        while time.monotonic() < ends:
            # What others free meanwhile is taken as well.
            await asyncio.to_thread(fill, ballast)
            await accepted.write()
            reading = await ada.call("GET", f"/api/tracks/{track}")
            assert reading.status_code in (200, 503), reading.text
        assert accepted.refusals, f"the disk was not full: {len(accepted.playlists)} playlists were made"
        for refusal in accepted.refusals:
            assert refusal.status_code == 503, f"{refusal.request.url}: {refusal.status_code} {refusal.text}"
            assert "retry-after" in refusal.headers

        ballast.unlink()
        await eventually(
            lambda: ada.status("PUT", f"/api/me/tracks/{track}"),
            lambda code: code == 204,
            seconds=HEALED_SECONDS,
        )
        for playlist in accepted.playlists:
            assert (await ada.get(f"/api/playlists/{playlist}"))["title"] == "Full"
        for upload in accepted.uploads:
            assert (await ada.finished(upload, seconds=HEALED_SECONDS))["state"] in ("ready", "duplicate")
        after = make_audio(tmp_path / "three.mp3", seconds=4, pitch=700, title="After", artist="Full")
        upload = await eventually(lambda: uploaded(ada, after), seconds=HEALED_SECONDS)
        await ada.findable(await ada.track_of(upload), "After", seconds=HEALED_SECONDS)


async def uploaded(person: Person, song: Path) -> str:
    """The id of the upload, nothing while it is refused."""
    with song.open("rb") as file:
        answer = await person.call("POST", "/api/uploads", files={"file": (song.name, file)})
    return str(answer.json()["id"]) if answer.is_success else ""
