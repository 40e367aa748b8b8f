"""Databases: connections, column types, outbox, inbox and migrations."""

from antiphon_common.db.database import Database, insert_for, is_conflict
from antiphon_common.db.locking import get_locked, has_one_writer, hold, hold_all
from antiphon_common.db.types import Json, Serial, SortKey, UtcDateTime

__all__ = [
    "Database", "Json", "Serial", "SortKey", "UtcDateTime", "get_locked", "has_one_writer", "hold",
    "hold_all", "insert_for", "is_conflict",
]  # fmt: skip
