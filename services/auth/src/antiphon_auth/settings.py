"""What the auth service can be told."""

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import SettingsConfigDict

from antiphon_auth.adapters.secret_files import BadSecret, check_secrets
from antiphon_common.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment variables begin with `AUTH_`. A secret that is missing or weak is refused right here."""

    model_config = SettingsConfigDict(env_prefix="AUTH_")

    jwks_url: str = Field(default="", description="Not used: this service has the keys itself")
    create_secrets: bool = Field(
        default=False, description="Make missing secrets, and rotate the signing keys"
    )
    secrets_dir: Path = Field(
        default=Path("/run/secrets/antiphon-auth"),
        description="Signing keys and refresh secret, not readable by others",
    )
    public_url: str = Field(default="http://localhost:8080", description="The origin that people see")
    require_verified_email: bool = Field(default=True, description="An upload needs a verified address")
    new_accounts_are_artists: bool = Field(default=False, description="Register gives the role artist, too")

    @field_validator("secrets_dir")
    @classmethod
    def _secrets(cls, value: Path, info: ValidationInfo) -> Path:
        try:
            check_secrets(value, may_be_missing=bool(info.data.get("create_secrets")))
        except BadSecret as error:
            raise PydanticCustomError("bad_secret", "{reason}", {"reason": str(error)}) from error
        return value

    @field_validator("public_url")
    @classmethod
    def _origin(cls, value: str) -> str:
        parts = urlsplit(value.rstrip("/"))
        if (
            parts.scheme not in {"http", "https"}
            or not parts.hostname
            or parts.path
            or parts.query
            or parts.fragment
        ):
            raise ValueError("must be an origin like https://music.example.org, without a path")
        return f"{parts.scheme}://{parts.netloc}".lower()
