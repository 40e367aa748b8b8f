"""Alembic's entry for this service."""

from antiphon_common.db.migrations import run_env
from antiphon_library.tables import Base

run_env(Base.metadata)
