"""Reads: SQL to views."""

from antiphon_catalog.queries.events import current_events

__all__ = ["current_events"]
