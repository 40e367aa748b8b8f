"""HTTP in and out of the library service: what is kept, and what was played."""

from antiphon_library.routes import keeps, plays

routers = [keeps.router, plays.router]

__all__ = ["routers"]
