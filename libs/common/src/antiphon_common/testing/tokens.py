"""Access tokens for tests, signed with a key made for the run and published as a JWKS file."""

import base64
from datetime import datetime
from pathlib import Path
from uuid import UUID

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from antiphon_common.clock import Clock, SystemClock
from antiphon_common.ids import new_id


class TokenMaker:
    """Stands where auth stands: `jwks_url` is what a service's settings are given."""

    def __init__(self, directory: Path, *, kid: str = "test", clock: Clock | None = None) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.kid = kid
        self._clock = clock or SystemClock()
        path = directory / f"jwks-{kid}.json"
        path.write_bytes(orjson.dumps({"keys": [self.jwk()]}))
        self.jwks_url = f"file://{path}"

    def jwk(self) -> dict[str, str]:
        """The public key as a JSON Web Key (RFC 8037)."""
        x = base64.urlsafe_b64encode(self.key.public_key().public_bytes_raw()).rstrip(b"=").decode()
        return {"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "alg": "EdDSA", "use": "sig", "x": x}

    def claims(
        self, user_id: UUID | None = None, *, roles: tuple[str, ...] = ("listener",), verified: bool = True,
        session: UUID | None = None, at: datetime | None = None,
    ) -> dict[str, object]:  # fmt: skip
        """The claims of a good token, to be spoilt by a test that wants a bad one."""
        now = int((at or self._clock.now()).timestamp())
        return {
            "iss": "antiphon", "aud": "antiphon", "sub": str(user_id or new_id()),
            "sid": str(session or new_id()),
            "roles": list(roles), "amr": ["pwd"], "auth_time": now, "iat": now, "exp": now + 300,
            "jti": str(new_id()), "ver": verified,
        }  # fmt: skip

    def sign(self, claims: dict[str, object], **headers: object) -> str:
        """A token with these claims; headers are added to or replace the right ones."""
        return jwt.encode(claims, self.key, "EdDSA", headers={"kid": self.kid, "typ": "at+jwt", **headers})

    def bearer(
        self, user_id: UUID | None = None, *, roles: tuple[str, ...] = ("listener",), verified: bool = True
    ) -> dict[str, str]:
        """The request headers of a user."""
        return {"authorization": f"Bearer {self.sign(self.claims(user_id, roles=roles, verified=verified))}"}
