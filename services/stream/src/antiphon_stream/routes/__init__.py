"""HTTP in and out of the stream service."""

from antiphon_stream.routes.audio import AudioFront
from antiphon_stream.routes.streaming import router

__all__ = ["AudioFront", "router"]
