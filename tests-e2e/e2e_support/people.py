"""Somebody who uses the platform: an account, its tokens, and calls in its name."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import httpx

from antiphon_common.testing.running import eventually

PASSWORD = "quiet-harbour-lantern-42"


@dataclass
class Person:
    """One account. Use as an async context manager; `anonymous` persons have none."""

    url: str
    name: str = "Somebody"
    email: str = field(default_factory=lambda: f"{uuid4().hex}@example.org")
    access: str = ""
    refresh: str = ""

    async def __aenter__(self) -> Self:
        # To read the certificates of the world takes 20 ms, and here are many people.
        verify = self.url.startswith("https:")
        self.http = httpx.AsyncClient(base_url=self.url, timeout=30, verify=verify)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    @property
    def word(self) -> str:
        """A word of eight letters that belongs to this person alone, to be searched for."""
        return "".join("abcdefghijklmnop"[int(digit, 16)] for digit in self.email[:8]).capitalize()

    async def register(self) -> dict[str, Any]:
        """Make the account and log in."""
        body = {"email": self.email, "password": PASSWORD, "name": self.name}
        answer = await self.http.post("/api/auth/register", json=body)
        assert answer.status_code == 201, answer.text
        await self.login()
        user: dict[str, Any] = answer.json()["user"]
        return user

    async def login(self) -> None:
        body = {"email": self.email, "password": PASSWORD, "session": "token"}
        answer = await self.http.post("/api/auth/login", json=body)
        assert answer.status_code == 200, answer.text
        self.access, self.refresh = answer.json()["access_token"], answer.json()["refresh_token"]

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request in this person's name."""
        headers = {
            **({"authorization": f"Bearer {self.access}"} if self.access else {}),
            **options.pop("headers", {}),
        }
        return await self.http.request(method, path, headers=headers, **options)

    async def get(self, path: str, **params: Any) -> Any:
        """The JSON of a 200."""
        answer = await self.call("GET", path, params=params)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def status(self, method: str, path: str, **options: Any) -> int:
        return (await self.call(method, path, **options)).status_code

    async def upload(self, path: Path, **form: str) -> dict[str, Any]:
        """Upload a file; the answer of the 202."""
        with path.open("rb") as file:
            answer = await self.call("POST", "/api/uploads", files={"file": (path.name, file)}, data=form)
        assert answer.status_code == 202, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def finished(self, upload_id: str, *, seconds: float = 30) -> dict[str, Any]:
        """The upload once nothing is in progress any more."""

        async def look() -> dict[str, Any]:
            upload: dict[str, Any] = await self.get(f"/api/uploads/{upload_id}")
            return upload

        return await eventually(
            look, lambda upload: upload["state"] not in ("receiving", "analysing"), seconds=seconds
        )

    async def publish(self, path: Path, **form: str) -> str:
        """Upload a file and wait for its track; the track's id."""
        return await self.track_of((await self.upload(path, **form))["id"])

    async def track_of(self, upload_id: str) -> str:
        """The id of the track that an upload becomes, once it is one."""

        async def track() -> Any:
            state = await self.get(f"/api/uploads/{upload_id}")
            assert state["state"] != "rejected", state
            return state["track_id"]

        track_id = str(await eventually(track, seconds=30))
        # Catalogue and stream hear of it each in their own time.
        await eventually(lambda: self.status("HEAD", f"/api/stream/{track_id}"), lambda code: code == 200)
        return track_id

    async def found(self, query: str, *, kind: str = "tracks") -> list[str]:
        """The ids that a search finds."""
        answer = await self.get("/api/search", q=query)
        return [item["id"] for item in answer[kind]["items"]]

    async def findable(self, track_id: str, query: str, *, seconds: float = 10) -> None:
        """Wait until a search finds the track. An index that was just started may be slow to answer at first."""

        async def found() -> list[str]:
            answer = await self.call("GET", "/api/search", params={"q": query})
            assert answer.status_code in (200, 503), answer.text
            return [item["id"] for item in answer.json()["tracks"]["items"]] if answer.is_success else []

        await eventually(found, lambda ids: track_id in ids, seconds=seconds)


async def every(person: Person, path: str, **params: Any) -> list[Any]:
    """All pages of a list."""
    items, cursor = [], None
    while True:
        page = await person.get(path, **{**params, "limit": 100, **({"cursor": cursor} if cursor else {})})
        items += page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            return items
