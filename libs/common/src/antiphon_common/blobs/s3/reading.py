"""Ranges of stored objects, read with obstore on the event loop."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from obstore.exceptions import BaseError
from obstore.store import S3Store

from antiphon_common.blobs.s3.address import Address, code_in
from antiphon_common.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3CredentialProvider

T = TypeVar("T")

_FIRST_BYTE_SECONDS = 3.0
_PING_SECONDS = 1.5
_SLOWEST = 1 << 20
"""Bytes a second: a large read may take as much longer."""

_PROBE = "antiphon-probe"


class Distrusted(Unavailable):
    """The store has no certificate that we trust, which waiting does not mend."""


class Range:
    """An object, read by ranges. Nothing is held, so nothing needs closing."""

    def __init__(self, reader: "Reader", key: str, size: int) -> None:
        self._reader = reader
        self._key = key
        self.size = size

    async def read(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size - offset))
        return await self._reader.read(self._key, offset, length) if length else b""

    def close(self) -> None:
        """Nothing is held."""


class Reader:
    """Reads from one bucket."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._opened: S3Store | None = None

    async def start(self) -> None:
        # The AWS chain reads files and may ask the machine it runs on.
        self._opened = await asyncio.to_thread(_store, self._address)

    async def ping(self) -> None:
        """Raise `Unavailable` with a line for the operator unless the bucket answers us.

        It is `Distrusted` when that is for TLS.
        """
        try:
            async with asyncio.timeout(_PING_SECONDS):
                await self._store.list_with_delimiter_async(_PROBE)
        except (BaseError, OSError) as error:  # a timeout is an OSError
            said = str(error)
            if reason := self._address.distrust(said):
                raise Distrusted("blob_unavailable", reason) from error
            raise Unavailable("blob_unavailable", self._address.complaint(code_in(said))) from error

    async def open(self, key: str) -> Range:
        try:
            found = await _twice(lambda: self._store.head_async(key), _FIRST_BYTE_SECONDS)
        except FileNotFoundError as error:
            # A missing bucket and an unknown key of ours look the same to HEAD, which has no body.
            await self.ping()
            raise NotFound("blob_not_found", "There is no such object.") from error
        return Range(self, key, found["size"])

    async def read(self, key: str, offset: int, length: int) -> bytes:
        """Exactly these bytes, which must be within the object."""

        async def get() -> bytes:
            data = await self._store.get_range_async(key, start=offset, length=length)
            if len(data) != length:
                raise ConnectionError("the store sent less than it was asked for")
            return data.to_bytes()

        try:
            return await _twice(get, _FIRST_BYTE_SECONDS + length / _SLOWEST)
        except FileNotFoundError as error:
            raise Unavailable("blob_unavailable", "The stored file cannot be read.") from error

    @property
    def _store(self) -> S3Store:
        if self._opened is None:
            raise Unavailable("blob_unavailable", "The file store is not there yet.")
        return self._opened


async def _twice(work: Callable[[], Awaitable[T]], seconds: float) -> T:
    """The result of `work`, tried once more after a failure. Raises `FileNotFoundError` or `Unavailable`."""
    for last in (False, True):
        try:
            async with asyncio.timeout(seconds):
                return await work()
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:  # a timeout is an OSError
            if last:
                raise Unavailable("blob_unavailable", "The stored file cannot be read now.") from error
            await asyncio.sleep(random.uniform(0.05, 0.25))  # noqa: S311 - spreads, hides nothing
    raise AssertionError("unreachable")


def _store(address: Address) -> S3Store:
    options: ClientConfig = {
        "connect_timeout": "3s", "timeout": "60s", "allow_http": (address.endpoint or "").startswith("http:"),
    }  # fmt: skip
    if address.ca is not None:
        options["root_certificate"] = address.ca.read_bytes()
    config: S3Config = {"region": address.region, "virtual_hosted_style_request": address.endpoint is None}
    if address.endpoint is not None:
        config["endpoint"] = address.endpoint
    chain = None
    if address.key is not None and address.secret is not None:
        config |= {"access_key_id": address.key, "secret_access_key": address.secret}
    else:
        chain = _chain(address)
    # No retries of its own: ours are within the deadline.
    return S3Store(
        address.bucket, config=config, client_options=options, retry_config={"max_retries": 0},
        credential_provider=chain,
    )  # fmt: skip


def _chain(address: Address) -> "S3CredentialProvider":
    # obstore's own chain knows no credential files; this is the one that writes, too.
    from obstore.auth.boto3 import Boto3CredentialProvider  # noqa: PLC0415 - loads boto3

    try:
        return Boto3CredentialProvider()
    except ValueError as error:
        complaint = f"{address.shown}: no credential: put key:secret into blob_url, or set AWS_ACCESS_KEY_ID"
        raise Unavailable("blob_unavailable", complaint) from error
