"""HTTP in and out of the catalog service, one router a noun."""

from fastapi import APIRouter

from antiphon_catalog.routes import tracks


def routers() -> list[APIRouter]:
    """All routers of the service."""
    return [tracks.router]
