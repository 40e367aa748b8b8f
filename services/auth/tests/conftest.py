"""An auth service with its own database, a clock that stands still and a cheap hasher, for this folder's tests."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from antiphon_auth.app import create_app
from antiphon_auth.settings import Settings
from antiphon_common.clock import FixedClock
from antiphon_common.testing.databases import Migrated
from antiphon_common.testing.running import running

PASSWORD = "copper lantern quietly orbiting"

Post = Callable[..., Awaitable[httpx.Response]]


class CheapPasswords:
    """`Passwords` for tests that are not about hashing; counts how often a password was looked at."""

    def __init__(self) -> None:
        self.evaluations = 0
        self.common = frozenset({"password", "iloveyou"})
        self.today = "cheap"

    async def start(self) -> None:
        """Nothing to make."""

    async def stop(self) -> None:
        """Nothing to let go of."""

    async def hash(self, password: str) -> str:
        return f"{self.today}${hashlib.sha256(password.encode()).hexdigest()}"

    async def verify(self, hashed: str | None, password: str) -> bool:
        self.evaluations += 1
        return bool(hashed) and str(hashed).endswith(hashlib.sha256(password.encode()).hexdigest())

    def outdated(self, hashed: str) -> bool:
        return not hashed.startswith(f"{self.today}$")

    async def strength(self, password: str, hints: tuple[str, ...]) -> int:
        return 4 if len(password) > 12 else 1


@pytest.fixture
def settings(urls: dict[str, str], tmp_path: Path, migrated: Migrated) -> Settings:
    """Settings of a migrated, empty service that makes its own secrets."""
    urls["database_url"] = migrated("antiphon_auth")
    return Settings(**urls, secrets_dir=tmp_path / "secrets", create_secrets=True, log_file=tmp_path / "log")


@pytest.fixture
def passwords() -> CheapPasswords:
    """The cheap hasher of `client`."""
    return CheapPasswords()


@pytest.fixture
async def client(
    settings: Settings, clock: FixedClock, passwords: CheapPasswords
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running service."""
    async with running(create_app(settings, clock=clock, passwords=passwords)) as client:
        yield client


@pytest.fixture
def register(client: httpx.AsyncClient) -> Post:
    """Register Ada, or somebody else."""

    async def post(email: str = "ada@example.org", password: str = PASSWORD) -> httpx.Response:
        body = {"email": email, "password": password, "name": "Ada"}
        return await client.post("/api/auth/register", json=body)

    return post


@pytest.fixture
def login(client: httpx.AsyncClient) -> Post:
    """Log in as Ada, or somebody else, and forget the cookies: a stranger's browser each time."""

    async def post(
        email: str = "ada@example.org", password: str = PASSWORD, session: str = "token", **headers: str
    ) -> httpx.Response:
        body = {"email": email, "password": password, "session": session}
        answer = await client.post("/api/auth/login", json=body, headers=headers)
        client.cookies.clear()
        return answer

    return post


@pytest.fixture
def refresh(client: httpx.AsyncClient) -> Post:
    """Use a refresh token."""

    async def post(token: str) -> httpx.Response:
        return await client.post("/api/auth/refresh", json={"refresh_token": token})

    return post
