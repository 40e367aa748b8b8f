"""The host a request claims to be for: exactly one, well formed, and on the list."""

import re
from collections.abc import Collection

from antiphon_gateway.headers import Fields
from antiphon_gateway.problems import Refused

_HOST = re.compile(rb"((?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


class Hosts:
    """The allow-list. An entry without a listen port is good for any; what was found good is remembered."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = {host.lower().encode() for host in allowed}
        self._good: set[bytes] = set()

    def check(self, fields: Fields) -> None:
        """Raises 400 unless the `Host` field is one of ours."""
        host = fields.get(b"host", b"")
        if host in self._good:
            return
        match = _HOST.fullmatch(host)
        lowered = host.lower()
        if not match or not {lowered, match[1].lower()} & self._allowed:
            raise Refused(
                400, "host_not_allowed", detail="The Host header names no host of ours.", close=True
            )
        if len(self._good) < 256:
            self._good.add(host)
