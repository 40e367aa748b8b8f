"""Antiphon in one process: the composition that the services do not know.

Each service is the app its own `create_app` makes, on a free loopback listen port, with its own SQLite file;
they share a journalled bus and a directory of blobs. Only the gateway listens where people can reach it.
"""

from antiphon_embedded.platform import Platform, PlatformError

__all__ = ["Platform", "PlatformError"]
