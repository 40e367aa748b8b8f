"""HTTP in and out of the auth service."""

from antiphon_auth.routes import accounts, keys, sessions

ROUTERS = (accounts.router, sessions.router, keys.router)
