"""What a request says about its sender: device, address, origin, and our own cookies."""

import ipaddress
import unicodedata
from typing import Annotated

from fastapi import Depends, Request, Response

from antiphon_auth.domain.sessions import ABSOLUTE
from antiphon_auth.ports import Deps, Rules
from antiphon_auth.usecases import Visit
from antiphon_common.errors import Forbidden

CLIENT_HEADER = "x-antiphon-client"
REFRESH_COOKIE = "antiphon_refresh"
DEVICE_COOKIE = "antiphon_device"

_PATH = "/api/auth"
_DEVICE_SECONDS = 365 * 24 * 3600
_MAX_DEVICE = 200


def _deps(request: Request) -> Deps:
    deps: Deps = request.app.state.deps
    return deps


Inside = Annotated[Deps, Depends(_deps)]


def visit_of(request: Request, rules: Rules) -> Visit:
    """Who this seems to be."""
    return Visit(
        device=_device(request.headers.get("user-agent", "")),
        ip=_address(request),
        device_cookie=request.cookies.get(_name(DEVICE_COOKIE, rules), "")[:_MAX_DEVICE],
        refresh_cookie=refresh_cookie(request, rules),
    )


def refresh_cookie(request: Request, rules: Rules) -> str:
    """The refresh token that a browser sent along, or nothing."""
    return request.cookies.get(_name(REFRESH_COOKIE, rules), "")[:_MAX_DEVICE]


def refuse_foreign_origin(request: Request, rules: Rules) -> None:
    """Raise `Forbidden` when a browser says that another site made it send this request.

    Browsers tell by `Sec-Fetch-Site` or, on plain http, by `Origin`. Who tells neither is no browser, and
    nobody can make it send our cookie.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    own = site in {"same-origin", "none"} if site else origin is None or origin.lower() == rules.public_origin
    if not own:
        raise Forbidden("foreign_origin", "This request was made by another site.")


def give_refresh_cookie(response: Response, token: str, rules: Rules) -> None:
    """Keep the refresh token where no script can read it."""
    _set(response, REFRESH_COOKIE, token, seconds=int(ABSOLUTE.total_seconds()), rules=rules)


def take_refresh_cookie(response: Response, rules: Rules) -> None:
    """Remove it, with the attributes it was given with."""
    _set(response, REFRESH_COOKIE, "", seconds=0, rules=rules)


def give_device_cookie(response: Response, proof: str, rules: Rules) -> None:
    """Let this browser be known at the next login."""
    _set(response, DEVICE_COOKIE, proof, seconds=_DEVICE_SECONDS, rules=rules)


def _set(response: Response, name: str, value: str, *, seconds: int, rules: Rules) -> None:
    # Browsers take a `__Host-` cookie only with `Path=/`.
    response.set_cookie(
        _name(name, rules), value, max_age=seconds, path="/" if rules.secure else _PATH, httponly=True,
        samesite="strict", secure=rules.secure,
    )  # fmt: skip


def _name(name: str, rules: Rules) -> str:
    return f"__Host-{name}" if rules.secure else name


def _device(user_agent: str) -> str:
    visible = (c if unicodedata.category(c)[0] not in "CZ" else " " for c in user_agent[: 2 * _MAX_DEVICE])
    return " ".join("".join(visible).split())[:_MAX_DEVICE] or "unknown"


def _address(request: Request) -> str:
    """The client's address: what the gateway says, if it is the gateway (a private peer) that says so."""
    peer = _parsed(request.client.host if request.client else "")
    if peer is None or peer.is_loopback or peer.is_private:
        told = _parsed(request.headers.get(CLIENT_HEADER, ""))
        peer = told or peer
    return str(peer) if peer else "unknown"


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
