"""Access tokens: every way of forging one that we know of is refused, and the good one is not."""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from antiphon_common.clock import FixedClock
from antiphon_common.errors import Unauthenticated
from antiphon_common.ids import new_id
from antiphon_common.testing.tokens import TokenMaker
from antiphon_common.web.identity import Verifier, bearer_token, parse_jwks

Forge = Callable[[TokenMaker], str]
NOW = int(FixedClock().now().timestamp())


class Published:
    """Finds the keys it is given, and remembers what was looked for."""

    def __init__(self, *makers: TokenMaker) -> None:
        self.keys = {maker.kid: maker.key.public_key() for maker in makers}
        self.asked: list[str] = []

    async def find(self, kid: str) -> Ed25519PublicKey | None:
        self.asked.append(kid)
        return self.keys.get(kid)


@pytest.fixture
def maker(tmp_path: Path, clock: FixedClock) -> TokenMaker:
    return TokenMaker(tmp_path, clock=clock)


@pytest.fixture
def verifier(maker: TokenMaker, clock: FixedClock) -> Verifier:
    return Verifier(Published(maker), issuer="antiphon", audience="antiphon", clock=clock)


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unsigned(header: object, claims: object, signature: bytes = b"") -> str:
    return ".".join((b64(orjson.dumps(header)), b64(orjson.dumps(claims)), b64(signature)))


def signed(maker: TokenMaker, header: bytes, claims: bytes) -> str:
    """A good signature over whatever bytes."""
    body = f"{b64(header)}.{b64(claims)}"
    return f"{body}.{b64(maker.key.sign(body.encode()))}"


def by_hmac(maker: TokenMaker) -> str:
    """The public key, which everybody has, used as a shared secret."""
    header = {"alg": "HS256", "typ": "at+jwt", "kid": maker.kid}
    body = f"{b64(orjson.dumps(header))}.{b64(orjson.dumps(maker.claims()))}"
    secret = maker.key.public_key().public_bytes_raw()
    return f"{body}.{b64(hmac.digest(secret, body.encode(), hashlib.sha256))}"


def other_claims(**changes: object) -> Forge:
    return lambda maker: maker.sign({**maker.claims(), **changes})


def without(name: str) -> Forge:
    return lambda maker: maker.sign({k: v for k, v in maker.claims().items() if k != name})


def header(**changes: object) -> Forge:
    return lambda maker: maker.sign(maker.claims(), **changes)


def raw_claims(name: str, text: str) -> Forge:
    def forge(maker: TokenMaker) -> str:
        claims = {key: value for key, value in maker.claims().items() if key != name}
        body = orjson.dumps(claims)[:-1] + f',"{name}":{text}}}'.encode()
        return signed(maker, orjson.dumps({"alg": "EdDSA", "typ": "at+jwt", "kid": maker.kid}), body)

    return forge


def spoilt_signature(maker: TokenMaker) -> str:
    head, claims, signature = maker.sign(maker.claims()).split(".")
    return f"{head}.{claims}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def json_serialised(maker: TokenMaker) -> str:
    head, claims, signature = maker.sign(maker.claims()).split(".")
    whole = {"payload": claims, "signatures": [{"protected": head, "signature": signature}]}
    return orjson.dumps(whole).decode()


def another_key(maker: TokenMaker) -> str:
    return jwt.encode(
        maker.claims(), Ed25519PrivateKey.generate(), "EdDSA", headers={"kid": maker.kid, "typ": "at+jwt"}
    )


def another_algorithm(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, algorithm: str) -> Forge:
    return lambda maker: jwt.encode(
        maker.claims(),
        key,
        algorithm,
        headers={"kid": maker.kid, "typ": "at+jwt"},
    )


def swapped_claims(maker: TokenMaker) -> str:
    head, _, signature = maker.sign(maker.claims()).split(".")
    return f"{head}.{b64(orjson.dumps({**maker.claims(), 'roles': ['admin']}))}.{signature}"


RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
GOOD_HEADER = {"alg": "EdDSA", "typ": "at+jwt", "kid": "test"}
FORGED: dict[str, Forge] = {
    "nothing": lambda _: "",
    "not a token": lambda _: "x",
    "two parts": lambda m: m.sign(m.claims()).rpartition(".")[0],
    "four parts": lambda m: m.sign(m.claims()) + ".x",
    "five parts, encrypted": lambda _: "a.b.c.d.e",
    "alg none": lambda m: unsigned({**GOOD_HEADER, "alg": "none"}, m.claims()),
    "alg None": lambda m: unsigned({**GOOD_HEADER, "alg": "None"}, m.claims()),
    "no alg": lambda m: unsigned({"typ": "at+jwt", "kid": m.kid}, m.claims()),
    "no signature": lambda m: unsigned(GOOD_HEADER, m.claims()),
    "a zero signature": lambda m: unsigned(GOOD_HEADER, m.claims(), bytes(64)),
    "the public key as secret": by_hmac,
    "RS256": another_algorithm(RSA, "RS256"),
    "ES256": another_algorithm(EC, "ES256"),
    "another key": another_key,
    "a spoilt signature": spoilt_signature,
    "swapped claims": swapped_claims,
    "JSON serialisation": json_serialised,
    "padding": lambda m: m.sign(m.claims()) + "=",
    "a header that is a list": lambda m: signed(m, b"[]", orjson.dumps(m.claims())),
    "a header that is deep": lambda m: signed(m, b"[" * 4000 + b"]" * 4000, b"{}")[:8000],
    "claims that are a list": lambda m: signed(m, orjson.dumps(GOOD_HEADER), b"[]"),
    "claims that are no JSON": lambda m: signed(m, orjson.dumps(GOOD_HEADER), b"{"),
    "claims that are not UTF-8": lambda m: signed(m, orjson.dumps(GOOD_HEADER), b'{"\xff":1}'),
    "no kid": lambda m: signed(m, orjson.dumps({"alg": "EdDSA", "typ": "at+jwt"}), orjson.dumps(m.claims())),
    "an unknown kid": header(kid="unknown"),
    "an empty kid": header(kid=""),
    "a kid that is a path": header(kid="../../../../dev/null"),
    "a kid that is SQL": header(kid="' OR 1=1 --"),
    "a long kid": header(kid="x" * 7000),
    "a kid that is a number": lambda m: signed(m, orjson.dumps({**GOOD_HEADER, "kid": 7}), orjson.dumps(m.claims())),
    "a kid that is a list": lambda m: signed(m, orjson.dumps({**GOOD_HEADER, "kid": ["test"]}), orjson.dumps(m.claims())),
    "jku": header(jku="https://evil.example/jwks.json"),
    "x5u": header(x5u="https://evil.example/chain.pem"),
    "x5c": header(x5c=["MII"]),
    "jwk": lambda m: m.sign(m.claims(), jwk=m.jwk()),
    "crit": lambda m: signed(m, orjson.dumps({**GOOD_HEADER, "crit": ["exp"]}), orjson.dumps(m.claims())),
    "crit and b64": lambda m: signed(m, orjson.dumps({**GOOD_HEADER, "crit": ["b64"], "b64": False}), orjson.dumps(m.claims())),
    "typ JWT": header(typ="JWT"),
    "typ of an id token": header(typ="id+jwt"),
    "no typ": lambda m: signed(m, orjson.dumps({"alg": "EdDSA", "kid": m.kid}), orjson.dumps(m.claims())),
    "another audience": other_claims(aud="antiphon-2fa"),
    "a list of other audiences": other_claims(aud=["a", "b"]),
    "an audience that is a number": other_claims(aud=7),
    "another issuer": other_claims(iss="https://evil.example"),
    "an issuer that only begins right": other_claims(iss="antiphon.evil.example"),
    "an issuer that is a list": raw_claims("iss", '["antiphon"]'),
    **{f"no {name}": without(name) for name in ("iss", "aud", "sub", "sid", "roles", "amr", "auth_time", "iat", "exp", "jti")},
    **{f"{name} is {text}": raw_claims(name, text) for name in ("exp", "iat", "auth_time", "nbf")
       for text in (f'"{NOW + 300}"', f"{NOW + 300}.0", "true", "null", "-1", "1e400", "NaN", "9" * 400, "[]", "{}")
       if not (name == "nbf" and text == "null")},
    "sub is no uuid": other_claims(sub="admin"),
    "sub is a number": raw_claims("sub", "1"),
    "sid is no uuid": other_claims(sid="x"),
    "roles are text": other_claims(roles="admin"),
    "roles are numbers": other_claims(roles=[1]),
    "roles are an object": other_claims(roles={"admin": True}),
    "expired": other_claims(exp=NOW - 31, iat=NOW - 331, auth_time=NOW - 331),
    "issued tomorrow": other_claims(iat=NOW + 86_400, exp=NOW + 86_700),
    "not valid before tomorrow": other_claims(nbf=NOW + 86_400),
    "expires before it is issued": other_claims(iat=NOW, exp=NOW - 1),
    "a life of ten years": other_claims(exp=NOW + 10 * 365 * 86_400),
    "a life of ten years that ends soon": other_claims(iat=NOW - 10 * 365 * 86_400, exp=NOW + 60, auth_time=1),
    "logged in after it was issued": other_claims(auth_time=NOW + 10),
    "over 8 KB": lambda m: m.sign({**m.claims(), "padding": "x" * 8000}),
    "a megabyte": lambda _: "x" * 1_000_000,
    "not ASCII": lambda m: m.sign(m.claims()) + "\u00e4",
}  # fmt: skip


@pytest.mark.parametrize("forged", FORGED)
async def test_a_forged_token_is_refused(verifier: Verifier, maker: TokenMaker, forged: str) -> None:
    token = FORGED[forged](maker)
    started = time.perf_counter()
    for _ in range(2):  # the second time it might come from what is remembered
        with pytest.raises(Unauthenticated) as caught:
            await verifier.verify(token)
    assert time.perf_counter() - started < 0.2
    assert (caught.value.code, caught.value.errors) == ("invalid_token", ())
    assert len(token) < 20 or token[:20] not in caught.value.detail


async def test_a_good_token_names_its_principal(
    verifier: Verifier, maker: TokenMaker, clock: FixedClock
) -> None:
    user_id, session = new_id(), new_id()
    claims = maker.claims(user_id, roles=("artist", "admin"), session=session, verified=False)
    principal = await verifier.verify(maker.sign(claims))
    assert (principal.user_id, principal.session) == (user_id, session)
    assert (principal.roles, principal.is_admin) == (frozenset({"artist", "admin"}), True)
    assert (principal.verified, principal.issued_at) == (False, clock.now())


@pytest.mark.parametrize("claims", [{"ver": 1}, {"ver": "true"}, {"ver": None}])
async def test_only_true_says_verified(
    verifier: Verifier, maker: TokenMaker, claims: dict[str, object]
) -> None:
    assert (await verifier.verify(maker.sign({**maker.claims(), **claims}))).verified is False


async def test_a_kid_is_looked_up_and_nothing_else(maker: TokenMaker, clock: FixedClock) -> None:
    published = Published(maker)
    verifier = Verifier(published, issuer="antiphon", audience="antiphon", clock=clock)
    for kid in ("../../etc/passwd", "x" * 65, ""):
        with pytest.raises(Unauthenticated):
            await verifier.verify(maker.sign(maker.claims(), kid=kid))
    assert published.asked == ["../../etc/passwd", ""]


async def test_clocks_may_differ_by_thirty_seconds(verifier: Verifier, maker: TokenMaker) -> None:
    early = {"iat": NOW + 30, "exp": NOW + 330}
    late = {"iat": NOW - 329, "auth_time": NOW - 329, "exp": NOW - 29}
    for claims in (early, late):
        assert await verifier.verify(maker.sign({**maker.claims(), **claims}))


async def test_a_remembered_token_expires_all_the_same(
    verifier: Verifier, maker: TokenMaker, clock: FixedClock
) -> None:
    token = maker.sign(maker.claims())
    await verifier.verify(token)
    clock.advance(timedelta(seconds=329))
    await verifier.verify(token)
    clock.advance(timedelta(seconds=1))
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            await verifier.verify(token)


async def test_what_is_remembered_is_bounded(
    maker: TokenMaker, clock: FixedClock, verifier: Verifier
) -> None:
    for number in range(10_050):
        verifier._seen[number.to_bytes(8, "big")] = None  # type: ignore[assignment]
        if len(verifier._seen) > 10_000:
            break
    await verifier.verify(maker.sign(maker.claims()))
    assert len(verifier._seen) <= 10_001


@pytest.mark.parametrize(
    ("headers", "token"),
    [([], None), (["Bearer abc"], "abc"), (["bearer abc "], "abc"), (["BEARER a.b.c"], "a.b.c")],
)
def test_the_token_is_what_follows_bearer(headers: list[str], token: str | None) -> None:
    assert bearer_token(headers) == token


@pytest.mark.parametrize(
    "headers", [["Bearer"], ["Bearer "], ["Basic YTpi"], [""], ["abc"], ["Bearer a", "Bearer a"]]
)
def test_any_other_authorization_is_refused_and_not_ignored(headers: list[str]) -> None:
    with pytest.raises(Unauthenticated):
        bearer_token(headers)


def test_only_ed25519_keys_with_an_id_are_taken(maker: TokenMaker) -> None:
    numbers = EC.public_key().public_numbers()
    others: list[dict[str, Any]] = [
        {**maker.jwk(), "kid": ""}, {k: v for k, v in maker.jwk().items() if k != "kid"},
        {"kty": "EC", "crv": "P-256", "kid": "ec", "x": b64(numbers.x.to_bytes(32, "big")),
         "y": b64(numbers.y.to_bytes(32, "big"))},
        {"kty": "oct", "kid": "secret", "k": b64(b"x" * 32)},
        {"kty": "OKP", "crv": "X25519", "kid": "exchange", "x": b64(bytes(32))},
    ]  # fmt: skip
    assert list(parse_jwks({"keys": [*others, maker.jwk()]})) == ["test"]
