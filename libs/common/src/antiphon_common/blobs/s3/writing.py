"""Storing, listing and deleting objects with boto3, whose calls wait, so they run in threads of their own."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError

from antiphon_common.blobs import BlobInfo, finished
from antiphon_common.blobs.s3.address import Address
from antiphon_common.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

T = TypeVar("T")

_THREADS = 8
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "412")
_PASSES = ("BadDigest", "IncompleteBody", "RequestTimeout", "SlowDown", "XAmzContentSHA256Mismatch")


class Writer:
    """Changes one bucket."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._threads = ThreadPoolExecutor(_THREADS, "s3")
        self._made: S3Client | None = None
        self._making = threading.Lock()
        self.bucket = address.bucket

    def stop(self) -> None:
        """Begin nothing more; what runs in a thread ends by its own deadline."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def client(self) -> "S3Client":
        """Made once, by the first thread that needs it: it takes megabytes and a tenth of a second."""
        with self._making:
            if self._made is None:
                self._made = _client(self._address)
            return self._made

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work` in a thread. Raises `Conflict` when the key is taken, else `Unavailable`."""
        try:
            return await finished(asyncio.get_running_loop().run_in_executor(self._threads, work))
        except (BotoCoreError, ClientError) as error:
            if code_of(error) in _TAKEN:
                raise Conflict("blob_exists", "There is an object under this key.") from error
            raise Unavailable("blob_unavailable", "The file store does not answer now.") from error

    async def delete(self, key: str) -> None:
        await self.run(partial(again, lambda: self.client.delete_object(Bucket=self.bucket, Key=key)))

    async def list(self, prefix: str) -> AsyncIterator[BlobInfo]:
        after = ""
        while True:
            page = await self.run(partial(again, partial(self._page, prefix, after)))
            for info in page:
                yield info
            if not page:
                return
            after = page[-1].key

    async def abort_stale(self, prefix: str, age: timedelta) -> None:
        """Remove the parts of objects that were begun so long ago that nobody can be at it."""
        await self.run(partial(self._abort_stale, prefix, datetime.now(UTC) - age))

    async def checksum(self, key: str) -> str | None:
        """The SHA-256 that the store keeps of an object: of the whole, or of its parts' with their number."""

        def head() -> str | None:
            found = self.client.head_object(Bucket=self.bucket, Key=key, ChecksumMode="ENABLED")
            return found.get("ChecksumSHA256")

        return await self.run(partial(again, head))

    async def sign(self, key: str, seconds: int) -> str:
        parameters = {"Bucket": self.bucket, "Key": key}
        return await self.run(
            lambda: self.client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds)
        )

    def _page(self, prefix: str, after: str) -> Sequence[BlobInfo]:
        found = self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix, StartAfter=after)
        return [BlobInfo(one["Key"], one["Size"], one["LastModified"]) for one in found.get("Contents", [])]

    def _abort_stale(self, prefix: str, before: datetime) -> None:
        pages = self.client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self.bucket, Prefix=prefix
        )
        for page in pages:
            for upload in page.get("Uploads", []):
                if upload["Initiated"] < before:
                    self.client.abort_multipart_upload(
                        Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )


def again(work: Callable[[], T]) -> T:
    """The result of `work`, tried once more after a failure that may pass. Runs in a thread."""
    try:
        return work()
    except (BotoCoreError, ClientError) as error:
        if not may_pass(error):
            raise
    pause()
    return work()


def pause() -> None:
    """Let a moment pass before the second try; not the same one for everybody."""
    time.sleep(random.uniform(0.05, 0.25))  # noqa: S311 - spreads, hides nothing


def may_pass(error: BotoCoreError | ClientError) -> bool:
    """A broken connection, or an answer that says so; who hangs is not waited for twice."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or code_of(error) in _PASSES
    return not isinstance(error, ReadTimeoutError | ConnectTimeoutError)


def code_of(error: BotoCoreError | ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""


def _client(address: Address) -> "S3Client":
    session = boto3.session.Session(address.key, address.secret, region_name=address.region)
    config = Config(
        connect_timeout=3, read_timeout=10, max_pool_connections=_THREADS, retries={"total_max_attempts": 1},
        s3={"addressing_style": "path" if address.endpoint else "auto"}, signature_version="s3v4",
        # Ours is SHA-256, sent by hand: the automatic CRC would come besides, and not every store knows it.
        request_checksum_calculation="when_required", response_checksum_validation="when_required",
    )  # fmt: skip
    return session.client(
        "s3", endpoint_url=address.endpoint, config=config, verify=str(address.ca) if address.ca else None
    )
