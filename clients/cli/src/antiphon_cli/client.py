"""The public API as the command line uses it: tokens renewed by themselves, problems as sentences.

Failures become `ApiError` (the server said no) or `ServerAway` (nobody answered). A 429 or 503 that says when
to come back is waited for, a few times.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import httpx

from antiphon_cli.credentials import Credentials, Login

_TRIES = 5
_LONGEST_PAUSE = 30.0


class ApiError(Exception):
    """The server refused; `code` is stable, the text is for people."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code


class ServerAway(Exception):
    """No answer from the server."""


@dataclass(slots=True)
class Tokens:
    """The two tokens of a session."""

    access: str
    refresh: str


class Client:
    """One server, perhaps logged in. Use as an async context manager."""

    def __init__(self, server: str, *, credentials: Credentials | None = None) -> None:
        self.server = server.rstrip("/")
        self._credentials = credentials
        self._tokens: Tokens | None = None
        self._email = ""
        self._renewing = asyncio.Lock()
        timeout = httpx.Timeout(30, write=300, read=300)
        self._http = httpx.AsyncClient(base_url=self.server, timeout=timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def login(self, email: str, password: str) -> None:
        """Log in and keep the session. Raises `ApiError` with `bad_credentials`."""
        body = {"email": email, "password": password, "session": "token"}
        self._adopt(email, await self.request("POST", "/api/auth/login", json=body))

    async def logout(self) -> None:
        """End the stored session. It is forgotten here also when the server cannot be told."""
        try:
            await self.resume()
            await self.request("POST", "/api/auth/logout")
        except ApiError as error:
            if error.code != "session_ended":
                raise
        finally:
            self._tokens = None
            if self._credentials:
                self._credentials.forget(self.server)

    async def resume(self) -> None:
        """Go on with the stored session. Raises `ApiError` 401 when there is none or it has ended."""
        login = self._credentials.find(self.server) if self._credentials else None
        if login is None:
            raise ApiError(
                401, "not_logged_in", f"Not logged in on {self.server}: run `antiphon login` first."
            )
        self._tokens, self._email = Tokens("", login.refresh_token), login.email
        await self._renew("")

    async def request(
        self, method: str, path: str, *, json: object = None, params: Mapping[str, Any] | None = None,
        upload: Callable[[], Mapping[str, Any]] | None = None, form: Mapping[str, str] | None = None,
    ) -> Any:  # fmt: skip
        """One call; the decoded JSON, or None when there is none.

        `upload` makes the files anew for each try, because a file is read only once.
        """
        renewed = False
        for attempt in range(1, _TRIES + 1):
            token = self._tokens.access if self._tokens else ""
            headers = {"authorization": f"Bearer {token}"} if token else {}
            try:
                answer = await self._http.request(
                    method, path, json=json, params=params, headers=headers,
                    files=upload() if upload else None, data=form,
                )  # fmt: skip
            except httpx.TransportError as error:
                raise ServerAway(f"{self.server} does not answer.") from error
            if answer.status_code == 401 and token and not renewed:
                renewed = True
                await self._renew(token)
            elif answer.status_code in (429, 503) and attempt < _TRIES:
                await asyncio.sleep(_pause(answer, attempt))
            else:
                return _body(answer)
        raise AssertionError("unreachable")

    async def sign(self, track_id: str) -> dict[str, Any]:
        """A signed address of a track, absolute, with what it leads to."""
        body = {"track_ids": [track_id]}
        resolved: list[dict[str, Any]] = await self.request("POST", "/api/stream/resolve", json=body)
        return {**resolved[0], "url": str(httpx.URL(self.server).join(resolved[0]["url"]))}

    async def pages(
        self, path: str, *, params: Mapping[str, Any] | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Every item of a paged list."""
        cursor: str | None = None
        while True:
            query = {**(params or {}), "limit": 100, **({"cursor": cursor} if cursor else {})}
            page = await self.request("GET", path, params=query)
            for item in page["items"]:
                yield item
            cursor = page["next_cursor"]
            if not cursor:
                return

    async def _renew(self, used: str) -> None:
        # One renewal at a time, here and in other commands: two uses of one refresh token look like a theft.
        async with self._renewing:
            if self._tokens is None or self._tokens.access != used:
                return
            if self._credentials is None:
                await self._rotate(self._tokens.refresh)
                return
            async with _held(self._credentials):
                stored = self._credentials.find(self.server)
                await self._rotate(stored.refresh_token if stored else self._tokens.refresh)

    async def _rotate(self, refresh: str) -> None:
        self._tokens = None
        try:
            body = await self.request("POST", "/api/auth/refresh", json={"refresh_token": refresh})
        except ApiError as error:
            if error.status == 401 and self._credentials:
                self._credentials.forget(self.server)
                detail = f"Your session on {self.server} has ended: run `antiphon login`."
                raise ApiError(401, "session_ended", detail) from error
            raise
        self._adopt(self._email, body)

    def _adopt(self, email: str, body: Mapping[str, Any]) -> None:
        self._email = email
        self._tokens = Tokens(body["access_token"], body["refresh_token"])
        if self._credentials:
            self._credentials.save(self.server, Login(email, self._tokens.refresh))


@asynccontextmanager
async def _held(credentials: Credentials) -> AsyncIterator[None]:
    """`credentials.held()` without stopping the event loop while another command has them."""
    holding = credentials.held()
    await asyncio.to_thread(holding.__enter__)
    try:
        yield
    finally:
        holding.__exit__(None, None, None)


def _pause(answer: httpx.Response, attempt: int) -> float:
    named = answer.headers.get("retry-after", "")
    return min(float(named) if named.isdecimal() else 0.25 * 2**attempt, _LONGEST_PAUSE)


def _body(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json() if answer.content else None
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    detail = problem.get("detail") or f"The server answered {answer.status_code}."
    fields = [f"{field['loc']}: {field['message']}" for field in problem.get("errors") or []]
    raise ApiError(answer.status_code, problem.get("code", "http_error"), "\n".join([detail, *fields]))
