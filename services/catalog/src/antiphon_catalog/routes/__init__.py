"""HTTP in and out of the catalog service, one router a noun."""

from fastapi import APIRouter

from antiphon_catalog.routes import albums, artists, genres, track_changes, tracks


def routers() -> list[APIRouter]:
    """All routers of the service."""
    return [tracks.router, track_changes.router, artists.router, albums.router, genres.router]
