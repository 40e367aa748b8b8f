"""What the stream service can be told."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from antiphon_common.settings import ServiceSettings
from antiphon_stream.adapters.keys import check_keys


class Settings(ServiceSettings):
    """Environment variables begin with `STREAM_`. A secret that is missing or weak is refused right here."""

    model_config = SettingsConfigDict(env_prefix="STREAM_")

    blob_url: str = Field(default="file:///data/blobs", description="Where the audio is")
    cache_bytes: Annotated[
        int, Field(ge=0, description="Audio kept in memory when the store is not a local disk; 0: none")
    ] = 64 * 1024 * 1024
    stalled_seconds: Annotated[
        float, Field(gt=0, description="A listener who takes nothing for so long is hung up on")
    ] = 30.0
    create_secrets: bool = Field(default=False, description="Make the signing key when it is missing")
    secrets_dir: Path = Field(
        default=Path("/run/secrets/antiphon-stream"),
        description="Holds url-signing.keys, not readable by others",
    )

    @field_validator("secrets_dir")
    @classmethod
    def _secrets(cls, value: Path, info: ValidationInfo) -> Path:
        check_keys(value, may_be_missing=bool(info.data.get("create_secrets")))
        return value
