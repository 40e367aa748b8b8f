"""Accounts, and the one spelling of an e-mail address under which an account is known."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

Role = Literal["listener", "artist", "admin"]
Status = Literal["active", "suspended"]

_LOCAL = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*")
_LABEL = r"[^\W_](?:(?:[^\W_]|-){0,61}[^\W_])?"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})+")


@dataclass(frozen=True, slots=True)
class Account:
    """One person's account. Access tokens issued at or before `tokens_after` (Unix seconds) are dead."""

    id: UUID
    email: str
    name: str
    password_hash: str
    roles: tuple[Role, ...]
    email_verified: bool
    created_at: datetime
    status: Status = "active"
    tokens_after: int = 0
    revision: int = 1


def folded_email(text: str) -> str:
    """The spelling under which an address is stored and looked up: NFKC, lower case, nothing trimmed."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())


def checked_email(text: str) -> str:
    """`folded_email` of a dot-string at a dotted domain (RFC 5321). Raises `ValueError` for anything else."""
    email = folded_email(text)
    local, at, domain = email.rpartition("@")
    fits = len(email) <= 254 and 0 < len(local) <= 64
    if not (at and fits and _LOCAL.fullmatch(local) and _DOMAIN.fullmatch(domain)):
        raise ValueError("must be an e-mail address")
    return email
