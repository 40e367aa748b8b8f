"""HTTP in and out of the catalog service, one router a noun."""

from antiphon_catalog.routes import albums, artists, genres, track_changes, tracks

ROUTERS = (tracks.router, track_changes.router, artists.router, albums.router, genres.router)
