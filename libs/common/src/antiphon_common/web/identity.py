"""Who is calling: access tokens checked the same way by the gateway and by every service.

A token is a compact JWS signed with Ed25519 (RFC 8037), type `at+jwt` (RFC 9068). The key is looked up by
`kid` in the published JWKS; headers that point to keys elsewhere are refused. A route says who may call it
by the type of its parameter: `Anyone`, `User` or `Admin`; an app with a route that says nothing does not
start (`web.app`).
"""

import asyncio
import contextlib
import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Annotated, Any, Protocol
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener
from uuid import UUID

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from jwt.types import Options

from antiphon_common.clock import Clock
from antiphon_common.errors import Forbidden, Unauthenticated, Unavailable
from antiphon_common.principal import Principal
from antiphon_common.schemes import WrongUrl

ALGORITHM = "EdDSA"
LEEWAY_SECONDS = 30
MAX_TOKEN_BYTES = 8 * 1024
MAX_LIFETIME_SECONDS = 15 * 60
_MAX_CACHED = 10_000
_FETCH_SECONDS = 3.0
_LONGEST_JWKS = 64 * 1024
_CLAIMS = ("iss", "aud", "sub", "sid", "roles", "amr", "auth_time", "iat", "exp", "jti")
# Times are checked by us: the library accepts floats and numbers in strings.
_DECODING: Options = {"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False, "verify_nbf": False}
_FOREIGN_HEADERS = {"jku", "x5u", "jwk", "x5c", "crit"}


class Keys(Protocol):
    """Finds public keys by their id."""

    async def find(self, kid: str) -> Ed25519PublicKey | None:
        """The key, or none when nobody published it. Raises `Unavailable` while no key at all is known."""


class JwksClient:
    """The keys that auth publishes, at a `http(s)://` or `file://` address, or several separated by commas.

    They are fetched at the first need and every five minutes; an unknown id fetches again, at most once in
    ten seconds. More than 64 KiB are no answer. While auth gives none the keys we have stay in use; before it
    ever did, who brings a token is told to come again. Raises `WrongUrl` for an address that can never work.
    """

    def __init__(self, url: str, *, refresh_seconds: float = 300, retry_seconds: float = 10) -> None:
        self._urls = tuple(one.strip() for one in url.split(","))
        if not all(_is_address(one) for one in self._urls):
            raise WrongUrl(url, "keys are at http(s)://host[:port]/path or file:///path")
        self._refresh = refresh_seconds
        self._retry = retry_seconds
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._fetched = self._tried = float("-inf")
        self._lock = asyncio.Lock()

    async def find(self, kid: str) -> Ed25519PublicKey | None:
        now = time.monotonic()
        known = self._keys.get(kid)
        # A key that is due for a look is good while somebody else looks: auth may take its time.
        if known and (now - self._fetched < self._refresh or self._lock.locked()):
            return known
        async with self._lock:
            pause = self._retry if self._keys else min(self._retry, 0.2)
            if now - self._tried > pause and now >= self._tried:
                await self._fetch()
        if not self._keys:
            raise Unavailable("keys_unavailable", "Access tokens cannot be checked yet.", retry_after=1)
        return self._keys.get(kid)

    async def ping(self) -> None:
        """Raise `Unavailable` while no keys are known."""
        if not self._keys:
            await self.find("")

    async def _fetch(self) -> None:
        self._tried = time.monotonic()
        try:
            keys = parse_jwks(orjson.loads(await self._read()))
        except (HTTPException, TimeoutError, OSError, ValueError):
            return
        if keys:
            self._keys = keys
            self._fetched = time.monotonic()

    async def _read(self) -> bytes:
        *others, last = self._urls
        for url in others:
            with contextlib.suppress(HTTPException, TimeoutError, OSError):
                return await _read_from(url)
        return await _read_from(last)


async def _read_from(url: str) -> bytes:
    # In a thread, by the standard library: a client for some thousand bytes every five minutes would be the
    # largest thing in most processes.
    def read() -> bytes:
        with build_opener(ProxyHandler({})).open(url, timeout=_FETCH_SECONDS) as answer:
            content: bytes = answer.read(_LONGEST_JWKS + 1)
        if len(content) > _LONGEST_JWKS:
            raise OSError("longer than keys are")
        return content

    return await asyncio.wait_for(asyncio.to_thread(read), _FETCH_SECONDS)


def _is_address(url: str) -> bool:
    parts = urlsplit(url)
    try:
        listens = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return listens if parts.scheme in ("http", "https") else parts.scheme == "file" and bool(parts.path)


def parse_jwks(published: object) -> dict[str, Ed25519PublicKey]:
    """The Ed25519 keys of a JWKS document (RFC 7517) by their id; whatever else it holds is passed over."""
    keys: dict[str, Ed25519PublicKey] = {}
    listed = published.get("keys") if isinstance(published, dict) else None
    for jwk in listed if isinstance(listed, list) else []:
        if not isinstance(jwk, dict) or not isinstance(kid := jwk.get("kid"), str) or not kid:
            continue
        with contextlib.suppress(jwt.PyJWTError, ValueError, TypeError):
            key = jwt.PyJWK(jwk, algorithm=ALGORITHM).key
            if isinstance(key, Ed25519PublicKey):
                keys[kid] = key
    return keys


@dataclass(frozen=True, slots=True)
class _Verified:
    principal: Principal
    expires: float


class Verifier:
    """Turns an access token into a `Principal`, or raises `Unauthenticated`; remembers tokens it has seen."""

    def __init__(self, keys: Keys, *, issuer: str, audience: str, clock: Clock) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._seen: OrderedDict[bytes, _Verified] = OrderedDict()

    async def verify(self, token: str) -> Principal:
        """The principal of a token. Raises `Unauthenticated` for any but a valid one, or `Unavailable`."""
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            raise _refused()
        now = self._clock.now().timestamp()
        digest = hashlib.sha256(token.encode()).digest()
        seen = self._seen.get(digest)
        if seen:
            if seen.expires + LEEWAY_SECONDS <= now:
                del self._seen[digest]
                raise _refused()
            return seen.principal
        claims = await self._claims(token, now)
        principal = _principal(claims)
        self._seen[digest] = _Verified(principal, claims["exp"])
        if len(self._seen) > _MAX_CACHED:
            self._seen.popitem(last=False)
        return principal

    async def _claims(self, token: str, now: float) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            kid = header.get("kid")
            typed = header.get("alg") == ALGORITHM and header.get("typ") == "at+jwt"
            if not typed or not isinstance(kid, str) or len(kid) > 64 or _FOREIGN_HEADERS & header.keys():
                raise _refused()
            key = await self._keys.find(kid)
            if key is None:
                raise _refused()
            claims: dict[str, Any] = jwt.decode(
                token, key, algorithms=[ALGORITHM], audience=self._audience, issuer=self._issuer,
                options=_DECODING,
            )  # fmt: skip
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise _refused() from error
        _check_times(claims, now)
        return claims


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    times = [claims[name] for name in ("iat", "exp", "auth_time")] + [claims.get("nbf", 0)]
    # bool is an int to Python and a mistake to us.
    if not all(type(value) is int and value >= 0 for value in times):
        raise _refused()
    issued, expires, authenticated, not_before = times
    fresh = max(issued, not_before) <= now + LEEWAY_SECONDS and now < expires + LEEWAY_SECONDS
    if not fresh or not 0 < expires - issued <= MAX_LIFETIME_SECONDS or authenticated > issued:
        raise _refused()


def _principal(claims: Mapping[str, Any]) -> Principal:
    roles = claims["roles"]
    try:
        if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
            raise _refused()
        return Principal(
            user_id=UUID(claims["sub"]),
            roles=frozenset(roles),
            session=UUID(claims["sid"]),
            verified=claims.get("ver") is True,
            issued_at=datetime.fromtimestamp(claims["iat"], UTC),
            authenticated_at=datetime.fromtimestamp(claims["auth_time"], UTC),
        )
    except (ValueError, TypeError, AttributeError, OverflowError, OSError) as error:
        raise _refused() from error


def _refused() -> Unauthenticated:
    return Unauthenticated("invalid_token", "The access token is missing, not valid, or expired.")


def bearer_token(headers: list[str]) -> str | None:
    """The token of the `Authorization` headers; none without one. Raises for anything else."""
    if not headers:
        return None
    scheme, _, token = headers[0].partition(" ")
    if len(headers) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise _refused()
    return token.strip()


# Only for the OpenAPI document: what it would do itself is done by the functions below.
_documented = HTTPBearer(auto_error=False, bearerFormat="JWT", scheme_name="bearer")


async def principal_of(request: Request) -> Principal | None:
    """Who calls, or none without a token. A token that is there and not valid is refused, never ignored."""
    token = bearer_token(request.headers.getlist("authorization"))
    if token is None:
        return None
    verifier: Verifier = request.app.state.verifier
    return await verifier.verify(token)


async def _anyone(request: Request) -> Principal | None:
    return await principal_of(request)


async def _user(request: Request, _: Annotated[object, Depends(_documented)]) -> Principal:
    principal = await principal_of(request)
    if principal is None:
        raise _refused()
    return principal


async def _admin(request: Request, _: Annotated[object, Depends(_documented)]) -> Principal:
    principal = await _user(request, None)
    if not principal.is_admin:
        raise Forbidden("admin_only", "Only an administrator may do this.")
    return principal


Anyone = Annotated[Principal | None, Depends(_anyone)]
User = Annotated[Principal, Depends(_user)]
Admin = Annotated[Principal, Depends(_admin)]

POLICIES = {_anyone: "anyone", _user: "user", _admin: "admin"}
"""The dependency that stands for each policy, for `web.app` and the OpenAPI document."""
