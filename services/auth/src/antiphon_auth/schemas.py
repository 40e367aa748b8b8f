"""Requests and answers of the auth service."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field

from antiphon_auth.domain.accounts import Role, checked_email
from antiphon_auth.domain.passwords import MAX_LENGTH, MIN_LENGTH
from antiphon_common.web.fields import STRICT, Line

Email = Annotated[
    str,
    Field(min_length=3, max_length=254, json_schema_extra={"format": "email"}, examples=["ada@example.org"]),
    AfterValidator(checked_email),
]
NewPassword = Annotated[
    str,
    Field(
        min_length=MIN_LENGTH,
        max_length=MAX_LENGTH,
        description="8 to 1024 characters, not easy to guess, no rules about kinds of characters",
        examples=["copper lantern quietly orbiting"],
        json_schema_extra={"format": "password"},
    ),
]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class RegisterIn(BaseModel):
    """Who wants an account."""

    model_config = STRICT

    email: Email
    password: NewPassword
    name: Line = Field(examples=["Ada"])


class BootstrapIn(RegisterIn):
    """The first administrator, and the secret from the server's disk."""

    secret: Annotated[str, Field(min_length=1, max_length=200)]


class LoginIn(BaseModel):
    """Who somebody claims to be. Nothing is said about the form of an unknown address."""

    model_config = STRICT

    email: Annotated[str, Field(min_length=1, max_length=320, examples=["ada@example.org"])]
    password: Annotated[
        str,
        Field(min_length=1, max_length=MAX_LENGTH, examples=["copper lantern quietly orbiting"]),
    ]
    session: Literal["token", "cookie"] = Field(
        default="token",
        description="Where the refresh token goes: into the answer, or into an HttpOnly cookie",
    )


class RefreshIn(BaseModel):
    """The refresh token, where it does not travel in a cookie."""

    model_config = STRICT

    refresh_token: Annotated[str, Field(min_length=1, max_length=200)]


class AccountOut(BaseModel):
    """An account."""

    id: UUID
    email: str
    name: str
    roles: list[Role]
    email_verified: bool
    created_at: Moment


class RegisteredOut(BaseModel):
    """The new account."""

    user: AccountOut


class TokensOut(BaseModel):
    """A session's tokens; `expires_in` is in seconds. In cookie mode there is no `refresh_token` here."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_token: str = ""


class SessionOut(BaseModel):
    """One of my sessions; `current` is the one that asks."""

    id: UUID
    device: str
    ip: str
    created_at: Moment
    last_used_at: Moment
    current: bool


class SessionsOut(BaseModel):
    """A page of my sessions, newest login first."""

    items: list[SessionOut]
    next_cursor: str | None


class KeyOut(BaseModel):
    """A public key (RFC 8037)."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    kid: str
    alg: Literal["EdDSA"]
    use: Literal["sig"]
    x: str


class KeysOut(BaseModel):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[KeyOut]
