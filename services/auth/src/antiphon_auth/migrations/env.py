"""Alembic's entry for this service."""

from antiphon_auth.tables import Base
from antiphon_common.db.migrations import run_env

run_env(Base.metadata)
