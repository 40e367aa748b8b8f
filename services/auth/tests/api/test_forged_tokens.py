"""Forged, foreign and spoilt access tokens at a real route: each one is 401 and nothing else."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from antiphon_auth.adapters.key_ring import KeyRing
from antiphon_auth.settings import Settings
from antiphon_common.clock import FixedClock
from antiphon_common.logs import open_log

MINE = Ed25519PrivateKey.generate()


def b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


class Forger:
    """Knows a good token, its claims, the published key, and (for tests of the claims) the private one."""

    def __init__(self, token: str, key: Ed25519PrivateKey) -> None:
        self.token = token
        self.key = key
        self.header = jwt.get_unverified_header(token)
        self.claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})

    def signed(
        self, *, key: Any = None, alg: str = "EdDSA", without: str = "", header: Any = None, **claims: Any
    ) -> str:
        body = {name: value for name, value in {**self.claims, **claims}.items() if name != without}
        return jwt.encode(body, key or self.key, alg, headers={**self.header, "alg": alg, **(header or {})})

    def raw(self, header: dict[str, Any], signature: bytes = b"") -> str:
        parts = b64(orjson.dumps({**self.header, **header})), b64(orjson.dumps(self.claims))
        return ".".join([*parts, b64(signature)])

    def raw_claims(self, text: bytes) -> str:
        """Signed by the real key, with claims that no encoder would write."""
        message = f"{b64(orjson.dumps(self.header))}.{b64(text)}"
        return f"{message}.{b64(self.key.sign(message.encode()))}"

    def hmac_with_public_key(self) -> str:
        public = self.key.public_key().public_bytes_raw()
        message = f"{b64(orjson.dumps({**self.header, 'alg': 'HS256'}))}.{b64(orjson.dumps(self.claims))}"
        return f"{message}.{b64(hmac.digest(public, message.encode(), hashlib.sha256))}"

    def json_serialised(self) -> str:
        header, payload, signature = self.token.split(".")
        return orjson.dumps(
            {"payload": payload, "signatures": [{"protected": header, "signature": signature}]}
        ).decode()


FORGED: dict[str, Callable[[Forger], str]] = {
    "none": lambda f: f.raw({"alg": "none"}),
    "None": lambda f: f.raw({"alg": "None"}, b"x"),
    "no alg": lambda f: f.raw({"alg": None}),
    "hmac with the public key": lambda f: f.hmac_with_public_key(),
    "rsa": lambda f: f.signed(key=rsa.generate_private_key(65537, 2048), alg="RS256"),
    "another curve": lambda f: f.signed(key=ec.generate_private_key(ec.SECP256R1()), alg="ES256"),
    "another key": lambda f: f.signed(key=MINE),
    "signature cut off": lambda f: f.token.rpartition(".")[0] + ".",
    "signature changed": lambda f: f.token[:-6] + ("AAAAAA" if f.token[-6:] != "AAAAAA" else "BBBBBB"),
    "claims changed": lambda f: ".".join(
        [f.token.split(".")[0], b64(orjson.dumps({**f.claims, "roles": ["admin"]})), f.token.split(".")[2]]
    ),
    "kid: path": lambda f: f.signed(header={"kid": "../../dev/null"}),
    "kid: sql": lambda f: f.signed(header={"kid": "' OR 1--"}),
    "kid: long": lambda f: f.signed(header={"kid": "k" * 7000}),
    "kid: empty": lambda f: f.signed(header={"kid": ""}),
    "kid: unknown": lambda f: f.signed(header={"kid": "unknown"}),
    "kid: absent": lambda f: jwt.encode(f.claims, f.key, "EdDSA", headers={"typ": "at+jwt"}),
    "jwk": lambda f: f.signed(key=MINE, header={"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AA"}}),
    "jku": lambda f: f.signed(header={"jku": "http://evil.example/jwks.json"}),
    "x5u": lambda f: f.signed(header={"x5u": "http://evil.example/cert"}),
    "x5c": lambda f: f.signed(header={"x5c": ["AA"]}),
    "crit": lambda f: f.signed(header={"crit": ["exp"]}),
    "typ: JWT": lambda f: f.signed(header={"typ": "JWT"}),
    "typ: id token": lambda f: f.signed(header={"typ": "id+jwt"}),
    "iss": lambda f: f.signed(iss="somebody"),
    "aud": lambda f: f.signed(aud="somebody"),
    **{
        f"no {name}": (lambda f, name=name: f.signed(without=name))
        for name in (
            "iss",
            "aud",
            "sub",
            "sid",
            "roles",
            "amr",
            "auth_time",
            "iat",
            "exp",
            "jti",
        )
    },
    "exp: text": lambda f: f.signed(exp=str(f.claims["exp"])),
    "exp: float": lambda f: f.signed(exp=f.claims["exp"] + 0.5),
    "exp: true": lambda f: f.signed(exp=True),
    "exp: negative": lambda f: f.signed(exp=-1),
    "exp: huge": lambda f: f.raw_claims(
        orjson.dumps(f.claims).replace(str(f.claims["exp"]).encode(), b"1e400")
    ),
    "exp: past": lambda f: f.signed(iat=f.claims["iat"] - 400, auth_time=1, exp=f.claims["iat"] - 60),
    "iat: future": lambda f: f.signed(iat=f.claims["iat"] + 120, exp=f.claims["iat"] + 200),
    "nbf: future": lambda f: f.signed(nbf=f.claims["iat"] + 120),
    "ten years": lambda f: f.signed(exp=f.claims["iat"] + 315_360_000),
    "sub: no id": lambda f: f.signed(sub="admin"),
    "roles: text": lambda f: f.signed(roles="admin"),
    "json serialised": lambda f: f.json_serialised(),
    "unsigned json": lambda f: '{"payload":"","signatures":[]}',
    "four parts": lambda f: f.token + ".AAAA",
    "a megabyte": lambda f: f.token + "A" * 1_000_000,
    "empty": lambda f: "",
    "not ASCII": lambda f: f.token[:-1] + "\xe9",
}


@pytest.fixture
async def forger(client: httpx.AsyncClient, settings: Settings, register, login, clock: FixedClock) -> Forger:
    await register()
    token = (await login()).json()["access_token"]
    log = open_log("test", file=settings.log_file)
    ring = KeyRing(settings.secrets_dir, create=False, clock=clock, log=log)
    await ring.start()
    await ring.stop()
    return Forger(token, ring.ring.current.private)


async def status_with(client: httpx.AsyncClient, token: str) -> int:
    headers = {"authorization": b"Bearer " + token.encode("latin-1")}
    return (await client.get("/api/auth/sessions", headers=headers)).status_code


async def test_no_forged_token_is_accepted(client: httpx.AsyncClient, forger: Forger) -> None:
    answers = {name: await status_with(client, forge(forger)) for name, forge in FORGED.items()}
    assert {name: status for name, status in answers.items() if status != 401} == {}
    # The forger's tools work: what it signs without spoiling it is accepted.
    assert await status_with(client, forger.signed()) == 200
    assert await status_with(client, forger.raw_claims(orjson.dumps(forger.claims))) == 200


async def test_a_token_of_an_ended_session_is_refused_here_at_once(
    client: httpx.AsyncClient, forger: Forger
) -> None:
    headers = {"authorization": f"Bearer {forger.token}"}
    assert (await client.post("/api/auth/logout", headers=headers)).status_code == 204
    answer = await client.get("/api/auth/sessions", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "session_revoked")


async def test_a_token_in_the_address_or_twice_is_no_token(client: httpx.AsyncClient, forger: Forger) -> None:
    answer = await client.get("/api/auth/sessions", params={"access_token": forger.token})
    assert answer.status_code == 401
    twice = [("authorization", f"Bearer {forger.token}")] * 2
    assert (await client.get("/api/auth/sessions", headers=twice)).status_code == 401
