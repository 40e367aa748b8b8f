"""Who is on the other end of the connection, for limits and for the services' device lists.

`X-Forwarded-For` is believed only when a configured number of proxies stands before us, the peer is in their
networks and, where they were given a secret, sends it: a network (loopback above all) has other inhabitants.
Then the client is counted from the right, so what the client itself wrote is never reached.
"""

import hmac
import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from antiphon_gateway.headers import Fields

UNKNOWN = "unknown"
_SECRET = b"x-antiphon-edge"
_OF_PROXIES = (b"x-forwarded-for", b"forwarded", b"via")


class Addresses:
    """Finds the address of a client."""

    def __init__(
        self, *, trusted_proxies: int, proxy_networks: Sequence[str], secret: str | None = None
    ) -> None:
        self._proxies = trusted_proxies
        self._secret = None if secret is None else secret.encode()
        self._networks = tuple(ipaddress.ip_network(network) for network in proxy_networks)

    def client(self, peer: str, fields: Fields) -> str:
        """The client's address; the peer's own when there is no proxy, or what it says makes no sense."""
        if not self.is_proxy(peer) or not self._proves_itself(fields):
            return peer
        hops = fields.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
        if len(hops) < self._proxies:
            return peer
        said = hops[-self._proxies].strip()
        address = _parsed(said[1 : said.index("]")] if said.startswith("[") and "]" in said else said)
        return str(address) if address else peer

    def is_proxy(self, peer: str) -> bool:
        """Whether a connection from here is one of our own proxies."""
        address = _parsed(peer) if self._proxies else None
        return address is not None and any(address in network for network in self._networks)

    def _proves_itself(self, fields: Fields) -> bool:
        return self._secret is None or hmac.compare_digest(fields.get(_SECRET, b""), self._secret)


@lru_cache(maxsize=4096)
def bucket_of(address: str) -> str:
    """What shares a limit: an IPv4 address, or the /64 of an IPv6 one (one household has a whole /64)."""
    parsed = _parsed(address)
    if parsed is None:
        return UNKNOWN
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def is_local(peer: str, fields: Fields) -> bool:
    """Whether somebody on this very machine asks us, and not through a proxy that runs here for others."""
    address = _parsed(peer)
    return address is not None and address.is_loopback and not any(name in fields for name in _OF_PROXIES)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
