"""The first administrator: a secret that works once, for half an hour, while there is no administrator.

Wrong secrets are not counted: nobody guesses 256 random bits, and whoever could use up a number of tries
could keep the operator out.
"""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from antiphon_common.errors import Gone

LIFETIME = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """The offer that stands; only the SHA-256 of its secret is kept."""

    secret_hash: str
    expires_at: datetime
    used_at: datetime | None = None


def opens(offer: Bootstrap | None, secret_hash: str, now: datetime) -> bool:
    """Whether this is the secret of the offer. Raises `Gone` when nothing is on offer any more."""
    if offer is None or offer.used_at or now >= offer.expires_at:
        raise Gone(
            "bootstrap_closed",
            "The first administrator exists or the secret is dead; a restart may offer another.",
        )
    return hmac.compare_digest(offer.secret_hash, secret_hash)
