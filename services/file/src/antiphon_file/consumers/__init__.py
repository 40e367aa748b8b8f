"""Other doors to the use cases: events, waiting uploads, and rubbish to collect."""

from antiphon_file.consumers.analysis import Analysts
from antiphon_file.consumers.collection import Collector, Sweeper
from antiphon_file.consumers.events import HANDLERS

__all__ = ["HANDLERS", "Analysts", "Collector", "Sweeper"]
