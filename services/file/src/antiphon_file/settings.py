"""What the file service can be told."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from antiphon_common.settings import ServiceSettings

_MB = 1024 * 1024


class Settings(ServiceSettings):
    """Environment variables begin with `FILE_`."""

    model_config = SettingsConfigDict(env_prefix="FILE_")

    blob_url: str = Field(default="file:///data/blobs", description="Where audio and images are kept")
    max_audio_bytes: Annotated[int, Field(gt=0)] = 200 * _MB
    max_image_bytes: Annotated[int, Field(gt=0)] = 8 * _MB
    max_audio_seconds: Annotated[int, Field(gt=0)] = 6 * 3600
    quota_bytes: Annotated[int, Field(ge=0, description="Audio bytes one person may keep")] = 50 * 1024 * _MB
    quota_files: Annotated[int, Field(ge=0)] = 20_000
    quota_images: Annotated[int, Field(ge=0)] = 20_000
    readers: Annotated[int, Field(ge=1, le=16, description="Child processes that read files")] = 2
    collect_seconds: Annotated[float, Field(gt=0, description="Pause between two clean-ups")] = 3600.0
