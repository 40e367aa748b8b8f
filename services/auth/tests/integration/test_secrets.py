"""Secrets on disk: made once, private, refused when weak, and keys that rotate without refusing anybody."""

import base64
import os
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import orjson
import pytest
from pydantic import ValidationError

from antiphon_auth.adapters.key_ring import ROTATE_AFTER, KeyRing
from antiphon_auth.adapters.secret_files import REFRESH_SECRET, SIGNING_KEYS, check_secrets
from antiphon_auth.settings import Settings
from antiphon_common.clock import FixedClock
from antiphon_common.logs import open_log


@pytest.fixture
async def good(tmp_path: Path, clock: FixedClock) -> Path:
    """A directory with good secrets."""
    directory = tmp_path / "good"
    ring = ring_in(directory, clock)
    await ring.start()
    await ring.stop()
    return directory


def ring_in(directory: Path, clock: FixedClock, *, create: bool = True) -> KeyRing:
    return KeyRing(directory, create=create, clock=clock, log=open_log("test", file=directory.parent / "log"))


def rewrite(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def document(directory: Path) -> dict[str, dict[str, str]]:
    loaded: dict[str, dict[str, str]] = orjson.loads((directory / SIGNING_KEYS).read_bytes())
    return loaded


def with_keys(directory: Path, **slots: object) -> None:
    rewrite(directory / SIGNING_KEYS, orjson.dumps({**document(directory), **slots}))


def text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode()


SPOILT = {
    "refresh secret missing": lambda d: (d / REFRESH_SECRET).unlink(),
    "signing keys missing": lambda d: (d / SIGNING_KEYS).unlink(),
    "empty": lambda d: rewrite(d / REFRESH_SECRET, b""),
    "short": lambda d: rewrite(d / REFRESH_SECRET, base64.urlsafe_b64encode(os.urandom(31))),
    "zeros": lambda d: rewrite(d / REFRESH_SECRET, base64.urlsafe_b64encode(bytes(32))),
    "repeated": lambda d: rewrite(d / REFRESH_SECRET, base64.urlsafe_b64encode(b"abcd" * 16)),
    "a default": lambda d: rewrite(d / REFRESH_SECRET, b"changeme" * 8),
    "no text": lambda d: rewrite(d / REFRESH_SECRET, bytes(range(200, 256))),
    "readable by others": lambda d: (d / REFRESH_SECRET).chmod(0o604),
    "writable by the group": lambda d: (d / SIGNING_KEYS).chmod(0o620),
    "a directory": lambda d: ((d / REFRESH_SECRET).unlink(), (d / REFRESH_SECRET).mkdir()),
    "no JSON": lambda d: rewrite(d / SIGNING_KEYS, b"{"),
    "no keys": lambda d: rewrite(d / SIGNING_KEYS, b"{}"),
    "short key": lambda d: with_keys(d, current={"kid": "a", "seed": text(os.urandom(16))}),
    "zero key": lambda d: with_keys(d, next={"kid": "a", "seed": text(bytes(32))}),
    "one key twice": lambda d: with_keys(d, next=document(d)["current"]),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_a_missing_weak_or_open_secret_is_refused_before_anything_starts(
    good: Path, urls: dict[str, str], spoil
) -> None:
    check_secrets(good, may_be_missing=False)
    spoil(good)
    with pytest.raises(ValidationError) as refusal:
        Settings(**urls, secrets_dir=good)
    (problem,) = refusal.value.errors()
    assert problem["loc"] == ("secrets_dir",)
    assert str(good) in problem["msg"]


@pytest.mark.parametrize("spoil", [SPOILT["short"], SPOILT["readable by others"], SPOILT["no JSON"]])
def test_a_bad_secret_is_not_replaced_by_a_good_one_silently(good: Path, urls: dict[str, str], spoil) -> None:
    spoil(good)
    with pytest.raises(ValidationError):
        Settings(**urls, secrets_dir=good, create_secrets=True)


def test_the_command_says_what_is_wrong_in_one_line_and_fails(tmp_path: Path, urls: dict[str, str]) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "AUTH_DATABASE_URL": urls["database_url"],
        "AUTH_BUS_URL": urls["bus_url"],
        "AUTH_SECRETS_DIR": str(tmp_path / "nowhere"),
    }
    command = [sys.executable, "-m", "antiphon_auth", "serve"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    path = tmp_path / "nowhere" / SIGNING_KEYS
    hint = "AUTH_CREATE_SECRETS=true makes it on the first run"
    assert done.stderr == f"AUTH_SECRETS_DIR: {path} is missing; {hint}\n"


async def test_the_first_run_makes_private_secrets_and_the_second_keeps_them(
    tmp_path: Path, clock: FixedClock
) -> None:
    directory = tmp_path / "new"
    first = ring_in(directory, clock)
    await first.start()
    await first.stop()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {SIGNING_KEYS, REFRESH_SECRET} <= {path.name for path in directory.iterdir()}
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}
    second = ring_in(directory, clock, create=False)
    await second.start()
    await second.stop()
    assert second.published() == first.published()
    assert second.refresh_secret == first.refresh_secret


async def test_a_rotation_publishes_first_signs_later_and_forgets_last(
    tmp_path: Path, clock: FixedClock
) -> None:
    ring = ring_in(tmp_path / "keys", clock)
    await ring.start()
    old, following = ring.ring.current.kid, ring.ring.next.kid
    clock.advance(ROTATE_AFTER - timedelta(seconds=1))
    await ring.look()
    assert ring.ring.current.kid == old

    clock.advance(timedelta(seconds=1))
    await ring.look()
    assert ring.ring.current.kid == following
    kids = [key["kid"] for key in ring.published()]
    assert len(kids) == 3
    assert kids[2] == old
    assert await ring.find(old)

    clock.advance(timedelta(hours=1))
    assert await ring.find(old) is None
    assert len(ring.published()) == 2
    await ring.stop()


async def test_two_processes_rotate_once_and_both_take_it_over(tmp_path: Path, clock: FixedClock) -> None:
    one, two = ring_in(tmp_path / "keys", clock), ring_in(tmp_path / "keys", clock)
    await one.start()
    await two.start()
    clock.advance(ROTATE_AFTER)
    await one.look()
    await two.look()
    assert one.published() == two.published()
    assert one.ring.previous
    await one.stop()
    await two.stop()


async def test_no_secret_leaves_by_the_published_keys(client: httpx.AsyncClient) -> None:
    for key in (await client.get("/api/auth/jwks.json")).json()["keys"]:
        assert set(key) == {"kty", "crv", "kid", "alg", "use", "x"}
