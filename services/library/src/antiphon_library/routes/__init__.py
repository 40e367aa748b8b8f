"""HTTP in and out of the library service: what is kept, and what was played."""

from antiphon_library.routes import keeps, plays

ROUTERS = (keeps.router, plays.router)
