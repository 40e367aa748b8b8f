"""The first administrator: a secret that works once, for half an hour, while there is no administrator."""

import hmac
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from antiphon_common.errors import Gone

LIFETIME = timedelta(minutes=30)
MAX_FAILURES = 10


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """The offer that stands; only the SHA-256 of its secret is kept."""

    secret_hash: str
    expires_at: datetime
    failures: int = 0
    used_at: datetime | None = None


def tried(offer: Bootstrap | None, secret_hash: str, now: datetime) -> Bootstrap:
    """The offer after somebody tried a secret: unchanged when it is right, one failure more when not.

    Raises `Gone` when nothing is on offer any more, whatever the secret.
    """
    if offer is None or offer.used_at or now >= offer.expires_at or offer.failures >= MAX_FAILURES:
        raise Gone(
            "bootstrap_closed",
            "The first administrator exists or the secret is dead; a restart may offer another.",
        )
    if hmac.compare_digest(offer.secret_hash, secret_hash):
        return offer
    return replace(offer, failures=offer.failures + 1)
