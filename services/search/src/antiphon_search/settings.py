"""What the search service can be told."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from antiphon_common.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment variables begin with `SEARCH_`."""

    model_config = SettingsConfigDict(env_prefix="SEARCH_")

    index_url: str = Field(
        default="tantivy:///data/index",
        description="tantivy:///directory or elasticsearch[+https]://user:password@host:port/alias",
    )
    index_timeout_s: Annotated[float, Field(gt=0, le=5)] = Field(
        default=0.28, description="How long a question may wait for the index before it is answered with 503"
    )
