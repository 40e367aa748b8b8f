"""Postgres: one pool of connections, and what its errors mean.

**Failure policy.** Nothing waits for ever: 2 s for a connection of the pool and 2 s for a new one, 3 s for a
lock, 4 s for a statement; a server that is frozen or out of reach ends every call within 5 s. All of these
are `Unavailable`, and so are a deadlock, a full disk, no free connection slots and a server that stops or
starts: the transaction has not happened, unless the connection broke while it was committing, which nobody
can know. After a restart the next call works, because a connection that the server closed is never handed out
(this is seen on the socket and costs no round trip). A wrong password, user, database or certificate is
`Unavailable`, too, with a sentence that says which.

`?ssl=verify-full` demands a certificate for the host that an authority of this machine or of the file in
`?ca=` has signed (`verify-ca`: for any host); `?ca=` alone is `verify-full`.

The connection belongs to a role whose `search_path` is its schema and is never changed, so that prepared
statements, which are cached on the connection, always mean the same tables. A pooler in between must pool
sessions.
"""

import asyncio
import re
import ssl
from typing import Any
from uuid import UUID

from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NotSupportedError
from sqlalchemy.exc import DisconnectionError as Closed
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from antiphon_common.schemes import WrongUrl, authority, distrust, no_tls

_POOL = 8
_SSL = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_OPTIONS = ("ca", "pool_size", "ssl")
_POOL_SECONDS = 2.0
_CONNECT_SECONDS = 2.0
_COMMAND_SECONDS = 4.5  # the client's own patience, a little longer than the server's
_SERVER_SETTINGS = {
    "statement_timeout": "4000",
    "lock_timeout": "3000",
    "idle_in_transaction_session_timeout": "15000",
    # Compiling a statement to machine code takes longer than any statement here.
    "jit": "off",
}

# Connection lost, transaction rolled back, no resources, operator or system, waited for a lock, read only.
_AWAY = ("08", "40", "53", "57", "58", "55P03", "25006")
_NO_TLS = "rejected SSL upgrade"
_REFUSED = {
    "28P01": "refuses the password of the user",
    "28000": "does not let the user in",
    "3D000": "does not exist",
    "42501": "may not be used by the user",
    "3F000": "has no schema for the user",
}


def engines(url: str) -> tuple[AsyncEngine, AsyncEngine, AsyncEngine]:
    """For reading, for one moment, for writing: one pool of `?pool_size=` connections (8).

    A read has no transaction around it: it would cost two more round trips and add nothing.
    """
    parsed = address(url)
    size = int(str(parsed.query.get("pool_size", _POOL)))
    engine = create_async_engine(
        place(parsed), pool_size=size, max_overflow=0,
        pool_timeout=_POOL_SECONDS, hide_parameters=True, connect_args=connect_args(parsed),
    )  # fmt: skip
    event.listen(engine.sync_engine, "connect", _use_plain_uuids)
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    event.listen(engine.sync_engine, "handle_error", _let_go)
    reader = engine.execution_options(isolation_level="AUTOCOMMIT")
    return reader, engine.execution_options(isolation_level="REPEATABLE READ"), engine


def address(url: str) -> URL:
    """The URL in its parts. Raises `WrongUrl` for one that can never work."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise WrongUrl(url, "it should be postgresql+asyncpg://user:password@host:port/database") from error
    unknown = sorted(parsed.query.keys() - {*_OPTIONS})
    if unknown:
        raise WrongUrl(url, f"knows {', '.join(_OPTIONS)}, not {', '.join(unknown)}")
    if not re.fullmatch("[1-9][0-9]{0,2}", str(parsed.query.get("pool_size", _POOL))):
        raise WrongUrl(url, "pool_size= must be a number from 1 to 999")
    if _ssl(parsed) not in _SSL:
        raise WrongUrl(url, f"ssl= must be one of: {', '.join(_SSL)}")
    if "ca" in parsed.query and not _ssl(parsed).startswith("verify-"):
        raise WrongUrl(url, "ca= is for ssl=verify-full or ssl=verify-ca: the others trust anybody")
    authority(url, tls=True)
    return parsed


def place(url: URL) -> URL:
    """The URL without what `connect_args` and the pool say."""
    return url.difference_update_query(_OPTIONS)


def connect_args(url: URL, **server_settings: str) -> dict[str, Any]:
    """The limits of a connection; the keywords are settings of Postgres that replace ours."""
    return _trust(url) | {
        "timeout": _CONNECT_SECONDS,
        "command_timeout": _COMMAND_SECONDS,
        "server_settings": _SERVER_SETTINGS | {"application_name": url.username or ""} | server_settings,
    }


def is_away(error: BaseException) -> bool:
    """Whether Postgres or the way to it says "not now"."""
    if isinstance(error, (PoolTimeout, NotSupportedError)):
        # "Not supported" is what a statement is that was prepared before its table changed. It is prepared
        # anew.
        return True
    if isinstance(error, DBAPIError):
        # Without a state it is the driver that complains: of the connection, or (ValueError) of what we
        # passed.
        ours = isinstance(getattr(error.orig, "__cause__", None), ValueError)
        return error.connection_invalidated or (not ours and (_state(error.orig) or "08").startswith(_AWAY))
    return isinstance(error, (OSError, TimeoutError))


def refusal(error: BaseException, url: str) -> str | None:
    """A sentence when the database is there and refuses what the URL says of user, password, name or TLS."""
    reason = _REFUSED.get(_state(getattr(error, "orig", error)) or "")
    if reason is None and not isinstance(error, OSError):
        return None
    parsed = make_url(url)
    where = f"{parsed.host}:{parsed.port or 5432}"
    if reason is None:
        return no_tls(where) if _NO_TLS in str(error) else distrust(error, where)
    user = "" if reason == "does not exist" else f" {parsed.username}"
    return f"The database {parsed.database} at {where} {reason}{user}."


def _ssl(url: URL) -> str:
    return str(url.query.get("ssl", "verify-full" if "ca" in url.query else "prefer"))


def _trust(url: URL) -> dict[str, ssl.SSLContext | str]:
    """What the driver is told: nothing by a URL that says nothing, or PGSSLMODE would not count.

    To verify, it would look for files of its own in the home directory.
    """
    if not {"ca", "ssl"} & url.query.keys():
        return {}
    mode = _ssl(url)
    if not mode.startswith("verify-"):
        return {"ssl": mode}
    context = ssl.create_default_context(cafile=url.query.get("ca"))  # type: ignore[arg-type]  # checked: one
    context.check_hostname = mode == "verify-full"
    return {"ssl": context}


def _state(error: object) -> str | None:
    state = getattr(error, "sqlstate", None)
    return state if isinstance(state, str) else None


def _use_plain_uuids(connection: Any, _record: object) -> None:
    # The driver has a UUID of its own, which orjson does not know.
    async def set_codec(driver: Any) -> None:
        await driver.set_type_codec(
            "uuid", schema="pg_catalog", format="binary", encoder=lambda value: value.bytes,
            decoder=lambda data: UUID(int=int.from_bytes(data, "big")),
        )  # fmt: skip

    connection.run_async(set_codec)


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    if connection.driver_connection.is_closed():
        raise Closed


def _let_go(context: Any) -> None:
    # A call that timed out leaves its connection in the middle of something: rolling back would wait as long
    # again.
    error = context.original_exception
    if isinstance(error, (asyncio.TimeoutError, OSError)) and context.connection is not None:
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False
        context.connection.connection.driver_connection.terminate()
