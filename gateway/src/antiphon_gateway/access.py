"""Who is calling and whether the route lets them: the token is verified here and forwarded as it came.

The services verify it again; what is decided here only spares them the work and the noise.
"""

from antiphon_common.errors import Unauthenticated, Unavailable
from antiphon_common.principal import Principal
from antiphon_common.web.identity import Verifier
from antiphon_gateway.policy import Access
from antiphon_gateway.problems import Refused, unavailable
from antiphon_gateway.revocations import Revocations

_CHALLENGE = [(b"www-authenticate", b"Bearer")]
_BAD_TOKEN = [(b"www-authenticate", b'Bearer error="invalid_token"')]


class Gatekeeper:
    """Admits callers to routes."""

    def __init__(self, verifier: Verifier, revocations: Revocations) -> None:
        self._verifier = verifier
        self._revocations = revocations

    async def admit(self, access: Access, authorization: bytes | None) -> Principal | None:
        """The caller, or none for an anonymous one. Raises 401, 403, or 503 before auth was ever heard of."""
        if access is Access.ANONYMOUS:
            return None
        if authorization is None:
            if access is Access.ANYONE:
                return None
            raise Refused(401, "unauthenticated", detail="This needs an access token.", headers=_CHALLENGE)
        principal = await self._verified(authorization)
        if access is Access.ADMIN and not principal.is_admin:
            raise Refused(403, "admin_only", detail="Only an administrator may do this.")
        return principal

    async def _verified(self, authorization: bytes) -> Principal:
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer" or not token.isascii():
            raise _refused()
        if not self._revocations.known:
            raise unavailable(503, "identity_unavailable", detail="Access tokens cannot be checked yet.")
        try:
            principal = await self._verifier.verify(token.strip().decode("ascii"))
        except Unauthenticated:
            raise _refused() from None
        except Unavailable as error:
            raise unavailable(503, error.code, detail=error.detail) from None
        if self._revocations.revoked(principal):
            raise _refused()
        return principal


def _refused() -> Refused:
    return Refused(
        401, "invalid_token", detail="The access token is missing, not valid, or expired.", headers=_BAD_TOKEN
    )
