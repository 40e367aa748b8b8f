"""The outbox and inbox tables, made on each service's own metadata."""

from sqlalchemy import Column, Index, MetaData, String, Table, Uuid

from antiphon_common.db.types import Json, Serial, UtcDateTime


def outbox_table(metadata: MetaData) -> Table:
    """Events that were announced and not yet published. A published row is deleted."""
    return Table(
        "outbox",
        metadata,
        Column("seq", Serial, primary_key=True, autoincrement=True),
        Column("event_id", Uuid, nullable=False, unique=True),
        Column("envelope", Json, nullable=False),
        Column("announced_at", UtcDateTime, nullable=False),
    )


def inbox_table(metadata: MetaData) -> Table:
    """Events that were handled, so that a second delivery changes nothing. Kept for seven days."""
    table = Table(
        "inbox",
        metadata,
        Column("consumer", String(64), primary_key=True),
        Column("event_id", Uuid, primary_key=True),
        Column("handled_at", UtcDateTime, nullable=False),
    )
    Index("ix_inbox_handled_at", table.c.handled_at)
    return table
