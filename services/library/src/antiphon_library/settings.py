"""What the library service can be told."""

from pydantic_settings import SettingsConfigDict

from antiphon_common.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment variables begin with `LIBRARY_`."""

    model_config = SettingsConfigDict(env_prefix="LIBRARY_")
