"""The route table: everything that can be reached from outside, and under which policy. Nothing else is.

A test compares it with the services' `openapi.json`, in both directions; `matching.compile_table` refuses to
start with a line that makes no sense.
"""

from antiphon_gateway.policy import PRIVATE, Access, Body, Public, Rate, Route

_ANONYMOUS, _ANYONE, _USER = Access.ANONYMOUS, Access.ANYONE, Access.USER
_READ, _WRITE, _SEARCH = Rate.READ, Rate.WRITE, Rate.SEARCH
_NONE, _JSON = Body.NONE, Body.JSON

# A waveform never changes under its id, and an event says when its track is gone. No event is about images.
_IMMUTABLE = 24 * 3600

_PAGE = ("limit", "cursor")
_MINE = ("mine", *_PAGE)

_AUTH = (
    Route("POST", "/api/auth/register", "auth", _ANONYMOUS, Rate.AUTH, PRIVATE, _JSON, cookies=True),
    Route("POST", "/api/auth/bootstrap", "auth", _ANONYMOUS, Rate.AUTH, PRIVATE, _JSON),
    Route("POST", "/api/auth/login", "auth", _ANONYMOUS, Rate.AUTH, PRIVATE, _JSON, cookies=True),
    Route("POST", "/api/auth/refresh", "auth", _ANONYMOUS, Rate.SESSION, PRIVATE, _JSON, cookies=True),
    Route("POST", "/api/auth/logout", "auth", _USER, Rate.SESSION, PRIVATE, _JSON, cookies=True),
    Route("POST", "/api/auth/logout-all", "auth", _USER, Rate.SESSION, PRIVATE, _JSON, cookies=True),
    Route("GET", "/api/auth/sessions", "auth", _USER, _READ, PRIVATE, _NONE),
    Route("DELETE", "/api/auth/sessions/{id}", "auth", _USER, _WRITE, PRIVATE, _NONE),
    Route("GET", "/api/auth/jwks.json", "auth", _ANONYMOUS, _READ, Public(60, ("jwks",), shared=True), _NONE),
)

_ME = (
    Route("GET", "/api/me", "user", _USER, _READ, PRIVATE, _NONE),
    Route("PATCH", "/api/me", "user", _USER, _WRITE, PRIVATE, _JSON),
    Route("PUT", "/api/me", "user", _USER, _WRITE, PRIVATE, _JSON),
    Route("GET", "/api/auth/user", "user", _USER, _READ, PRIVATE, _NONE, upstream="/api/me"),
    Route("PUT", "/api/auth/user", "user", _USER, _WRITE, PRIVATE, _JSON, upstream="/api/me"),
    Route("PUT", "/api/me/avatar", "user", _USER, _WRITE, PRIVATE, _JSON),
    Route("DELETE", "/api/me/avatar", "user", _USER, _WRITE, PRIVATE, _NONE),
    Route("GET", "/api/me/preferences", "user", _USER, _READ, PRIVATE, _NONE),
    Route("PATCH", "/api/me/preferences", "user", _USER, _WRITE, PRIVATE, _JSON),
    Route("GET", "/api/users/{id}", "user", _ANYONE, _READ, PRIVATE, _NONE),
)

_FILE = (
    Route("POST", "/api/uploads", "file", _USER, Rate.UPLOAD, PRIVATE, Body.UPLOAD),
    Route("GET", "/api/uploads", "file", _USER, _READ, PRIVATE, _NONE),
    Route("GET", "/api/uploads/{id}", "file", _USER, _READ, PRIVATE, _NONE),
    Route("DELETE", "/api/uploads/{id}", "file", _USER, _WRITE, PRIVATE, _NONE),
    Route("POST", "/api/images", "file", _USER, Rate.UPLOAD, PRIVATE, Body.IMAGE),
    Route("GET", "/api/images/{id}", "file", _ANYONE, _READ,
          Public(60, ("image:{id}",), ("size",), shared=True), _NONE),
)  # fmt: skip


def _owned(kind: str) -> tuple[Route, ...]:
    """What the owner of an artist or album, or an admin, may do with it."""
    path = f"/api/{kind}"
    return (
        Route("POST", path, "catalog", _USER, _WRITE, PRIVATE, _JSON),
        Route("PATCH", f"{path}/{{id}}", "catalog", _USER, _WRITE, PRIVATE, _JSON),
        Route("PUT", f"{path}/{{id}}", "catalog", _USER, _WRITE, PRIVATE, _JSON),
        Route("DELETE", f"{path}/{{id}}", "catalog", _USER, _WRITE, PRIVATE, _NONE),
    )


_TRACK_FILTERS = ("sort", "genre", "artist_id", "album_id", "year_from", "year_to", *_MINE)

_CATALOG = (
    Route("GET", "/api/tracks", "catalog", _ANYONE, _READ, Public(30, ("tracks",), _TRACK_FILTERS), _NONE),
    Route("GET", "/api/tracks/popular", "catalog", _ANYONE, _READ,
          Public(30, ("tracks",), ("period", *_PAGE)), _NONE),
    Route("GET", "/api/tracks/recent", "catalog", _ANYONE, _READ, Public(30, ("tracks",), _PAGE), _NONE),
    Route("GET", "/api/tracks/{id}", "catalog", _ANYONE, _READ,
          Public(30, ("track:{id}", "credits")), _NONE),
    Route("GET", "/api/tracks/{id}/waveform", "catalog", _ANYONE, _READ,
          Public(_IMMUTABLE, ("track:{id}",)), _NONE),
    Route("POST", "/api/tracks", "catalog", _USER, _WRITE, PRIVATE, _JSON),
    Route("PATCH", "/api/tracks/{id}", "catalog", _USER, _WRITE, PRIVATE, _JSON),
    Route("PUT", "/api/tracks/{id}", "catalog", _USER, _WRITE, PRIVATE, _JSON),
    Route("DELETE", "/api/tracks/{id}", "catalog", _USER, _WRITE, PRIVATE, _NONE),
    Route("POST", "/api/tracks/{id}/publication", "catalog", _USER, _WRITE, PRIVATE, _JSON),
    Route("DELETE", "/api/tracks/{id}/publication", "catalog", _USER, _WRITE, PRIVATE, _NONE),
    Route("GET", "/api/artists", "catalog", _ANYONE, _READ,
          Public(30, ("artists",), ("q", "sort", *_MINE)), _NONE),
    Route("GET", "/api/artists/{id}", "catalog", _ANYONE, _READ,
          Public(30, ("artist:{id}", "artists")), _NONE),
    Route("GET", "/api/artists/{id}/albums", "catalog", _ANYONE, _READ,
          Public(30, ("albums",), _MINE), _NONE),
    Route("GET", "/api/artists/{id}/tracks", "catalog", _ANYONE, _READ,
          Public(30, ("tracks",), ("sort", *_MINE)), _NONE),
    Route("GET", "/api/artists/{id}/top-tracks", "catalog", _ANYONE, _READ,
          Public(30, ("tracks",), ("limit",)), _NONE),
    *_owned("artists"),
    Route("GET", "/api/albums", "catalog", _ANYONE, _READ,
          Public(30, ("albums",), ("sort", "genre", "type", *_MINE)), _NONE),
    Route("GET", "/api/albums/{id}", "catalog", _ANYONE, _READ, Public(30, ("album:{id}", "albums")), _NONE),
    Route("GET", "/api/albums/{id}/tracks", "catalog", _ANYONE, _READ, Public(30, ("tracks",), _MINE), _NONE),
    *_owned("albums"),
    Route("GET", "/api/genres", "catalog", _ANYONE, _READ, Public(60, ("tracks",), _PAGE), _NONE),
)  # fmt: skip

_PUBLIC_PLAYLISTS = Public(30, ("playlists",), ("sort", *_PAGE))

_PLAYLIST = (
    Route("GET", "/api/playlists", "playlist", _USER, _READ, PRIVATE, _NONE),
    Route("POST", "/api/playlists", "playlist", _USER, _WRITE, PRIVATE, _JSON),
    Route("GET", "/api/playlists/public", "playlist", _ANYONE, _READ, _PUBLIC_PLAYLISTS, _NONE),
    Route("GET", "/api/playlists/{id}", "playlist", _ANYONE, _READ, PRIVATE, _NONE),
    Route("PATCH", "/api/playlists/{id}", "playlist", _USER, _WRITE, PRIVATE, _JSON),
    Route("PUT", "/api/playlists/{id}", "playlist", _USER, _WRITE, PRIVATE, _JSON),
    Route("DELETE", "/api/playlists/{id}", "playlist", _USER, _WRITE, PRIVATE, _NONE),
    Route("GET", "/api/playlists/{id}/items", "playlist", _ANYONE, _READ, PRIVATE, _NONE),
    Route("POST", "/api/playlists/{id}/tracks", "playlist", _USER, _WRITE, PRIVATE, _JSON),
    Route("DELETE", "/api/playlists/{id}/tracks/{id}", "playlist", _USER, _WRITE, PRIVATE, _NONE),
    Route("DELETE", "/api/playlists/{id}/items/{id}", "playlist", _USER, _WRITE, PRIVATE, _NONE),
    Route("POST", "/api/playlists/{id}/items/{id}/move", "playlist", _USER, _WRITE, PRIVATE, _JSON),
)


def _saved(kind: str) -> tuple[Route, ...]:
    """What a user keeps of one kind: list, add by body, add or remove by id, ask for several."""
    path = f"/api/me/{kind}"
    return (
        Route("GET", path, "library", _USER, _READ, PRIVATE, _NONE),
        Route("POST", path, "library", _USER, _WRITE, PRIVATE, _JSON),
        Route("PUT", f"{path}/{{id}}", "library", _USER, _WRITE, PRIVATE, _JSON),
        Route("DELETE", f"{path}/{{id}}", "library", _USER, _WRITE, PRIVATE, _NONE),
        Route("GET", f"{path}/contains", "library", _USER, _READ, PRIVATE, _NONE),
    )


_LIBRARY = (
    *_saved("tracks"),
    *_saved("albums"),
    *_saved("playlists"),
    Route("GET", "/api/me/liked", "library", _USER, _READ, PRIVATE, _NONE),
    Route("POST", "/api/me/liked", "library", _USER, _WRITE, PRIVATE, _JSON),
    Route("DELETE", "/api/me/liked/{id}", "library", _USER, _WRITE, PRIVATE, _NONE),
    Route("POST", "/api/plays", "library", _USER, _WRITE, PRIVATE, _JSON),
    Route("GET", "/api/me/recently-played", "library", _USER, _READ, PRIVATE, _NONE),
    Route("GET", "/api/me/history", "library", _USER, _READ, PRIVATE, _NONE),
    Route("DELETE", "/api/me/history", "library", _USER, _WRITE, PRIVATE, _NONE),
)

_STREAM = (
    Route("GET", "/api/stream/{id}", "stream", _ANYONE, Rate.STREAM, PRIVATE, _NONE, stream=True),
    Route("HEAD", "/api/stream/{id}", "stream", _ANYONE, Rate.STREAM, PRIVATE, _NONE),
    Route("POST", "/api/stream/resolve", "stream", _USER, Rate.STREAM, PRIVATE, _JSON),
)

# Not remembered: an event purges before the index has caught up, and the old answer would come back to stay.
_SEARCH_ROUTES = (
    Route("GET", "/api/search", "search", _ANYONE, _SEARCH, PRIVATE, _NONE),
    Route("GET", "/api/search/tracks", "search", _ANYONE, _SEARCH, PRIVATE, _NONE),
    Route("GET", "/api/search/artists", "search", _ANYONE, _SEARCH, PRIVATE, _NONE),
    Route("GET", "/api/search/albums", "search", _ANYONE, _SEARCH, PRIVATE, _NONE),
    Route("GET", "/api/search/playlists", "search", _ANYONE, _SEARCH, PRIVATE, _NONE),
    Route("GET", "/api/search/suggest", "search", _ANYONE, _SEARCH, PRIVATE, _NONE),
)

ROUTES: tuple[Route, ...] = (
    *_AUTH, *_ME, *_FILE, *_CATALOG, *_PLAYLIST, *_LIBRARY, *_STREAM, *_SEARCH_ROUTES,
)  # fmt: skip
