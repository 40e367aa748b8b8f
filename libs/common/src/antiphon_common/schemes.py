"""Backends by URL scheme. Adapters are imported only when their scheme is asked for."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

T = TypeVar("T")

# OpenSSL's names, old and new, for an answer that is not TLS.
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")


class WrongUrl(ValueError):
    """A setting that can never work. The text does not repeat the URL, which may hold a password."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(reason)
        self.url = url


class UnknownScheme(WrongUrl):
    """No adapter for this URL's scheme: the setting is wrong."""


class MissingExtra(WrongUrl):
    """The adapter exists, its library is not installed."""


def port_of(url: str, address: str, *, default: int) -> int:
    """The listen port in an address, which is the URL of a setting or a part of it. Raises `WrongUrl`."""
    try:
        port = urlsplit(address).port
    except ValueError as error:
        raise WrongUrl(url, "the listen port must be a number up to 65535") from error
    return default if port is None else port


def distrust(error: BaseException | None, place: str) -> str | None:
    """A sentence when TLS with `place` (`host:port`) failed, here or beneath, for what people must mend."""
    import ssl  # noqa: PLC0415 - only where something has failed

    while error is not None:
        # Those of aiohttp are of these classes, too, and know nothing.
        if isinstance(error, ssl.SSLCertVerificationError) and hasattr(error, "verify_message"):
            return untrusted(place, error.verify_message)
        if isinstance(error, ssl.SSLError) and getattr(error, "reason", None) in _NO_TLS:
            return no_tls(place)
        error = error.__cause__ or error.__context__
    return None


def untrusted(place: str, reason: str) -> str:
    """What to do about a certificate that OpenSSL or rustls refuses for this reason."""
    words = reason.lower().replace(" ", "")
    if "mismatch" in words or "validforname" in words:
        what, do = "is for another host", "name the host that it is for, or give the server one for this host"
    elif any(word in words for word in ("expired", "notyetvalid", "notvalidyet")):
        what, do = "is not valid now", "renew it, or set this machine's clock"
    else:
        what, do = "is not trusted", "name the file (PEM) of its authority by ca="
    return f"the certificate of {place} {what} ({reason.rstrip('.')}): {do}"


def no_tls(place: str) -> str:
    """What to do about a server that was asked for TLS and has none."""
    return f"{place} offers no TLS: turn it on there, or do not ask for it in this URL"


def authority(url: str, *, tls: bool, option: str = "ca") -> str | None:
    """The file of certificates that an option of the URL names.

    Raises `WrongUrl` for one that cannot be used, and without TLS, where it would promise what is not there.
    """
    found = parse_qs(urlsplit(url).query, keep_blank_values=True).get(option)
    if found is None:
        return None
    if not tls:
        raise WrongUrl(url, f"{option}= is for a URL that asks for TLS, which this one does not")
    import ssl  # noqa: PLC0415 - only where TLS is asked for

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(found[0])
    except OSError as error:  # what ssl raises is one, too
        raise WrongUrl(url, f"{option}= names no readable file of certificates (PEM)") from error
    return found[0]


def open_by_scheme(table: Mapping[str, tuple[str, str]], url: str, *arguments: Any) -> Any:
    """Call the adapter for `url`.

    `table` maps a scheme to `("module:callable", "extra")`. Raises `UnknownScheme` or `MissingExtra`, both
    with a sentence that names the setting's possible values or the package to install.
    """
    scheme = urlsplit(url).scheme
    if scheme not in table:
        raise UnknownScheme(url, f"unknown scheme {scheme!r}; one of: {', '.join(sorted(table))}")
    target, extra = table[scheme]
    module, _, name = target.partition(":")
    try:
        factory: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("antiphon"):
            raise  # our own mistake, which no package would mend
        raise MissingExtra(
            url, f"{scheme}: needs the extra {extra!r}: pip install 'antiphon-common[{extra}]'"
        ) from error
    return factory(url, *arguments)
