"""One object on its way into a bucket: in one request when it is small, in parts when it is not."""

import asyncio
import hashlib
import secrets
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypedDict

from botocore.exceptions import BotoCoreError, ClientError

from antiphon_common.blobs.s3.writing import Writer, again, code_of, may_pass, pause
from antiphon_common.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import CompletedPartTypeDef

PART: Final = 8 << 20
"""Bytes of a part; an object of at most so many is stored in one request."""

_STEP = 1 << 20
_MARK = "antiphon-put"
_LOOKS = 4
_LOOK_SECONDS = 0.5


class _Where(TypedDict):
    Bucket: str
    Key: str


class _Part:
    """Up to `PART` bytes on their way: the first mebibyte in memory, more on the disk."""

    def __init__(self) -> None:
        self.file = tempfile.SpooledTemporaryFile(max_size=_STEP, prefix="antiphon-part-")  # noqa: SIM115 - closed when sent
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        self.file.write(data)
        self.digest.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        return b64encode(self.digest.digest()).decode()


class Sending:
    """One object on its way: `add` as it comes, then `finish`, or `take_back` after any failure.

    While one part is being sent the next one is filled, so at most two are on the disk of this machine.
    """

    def __init__(self, writer: Writer, key: str) -> None:
        self._writer = writer
        self._where: _Where = {"Bucket": writer.bucket, "Key": key}
        self._mark = secrets.token_hex(16)
        self._part = _Part()
        self._pending = bytearray()
        self._size = 0
        self._upload = ""
        self._sent: list[CompletedPartTypeDef] = []
        self._flying: asyncio.Task[None] | None = None
        self._maybe_stored = False

    async def add(self, chunk: bytes) -> None:
        """Take some more bytes."""
        self._size += len(chunk)
        self._pending += chunk
        while len(self._pending) >= _STEP:
            step = bytes(self._pending[:_STEP])
            del self._pending[:_STEP]
            await self._write(step)

    async def finish(self) -> int:
        """Make it an object; its size. Raises `Conflict` or `Unavailable`."""
        await self._write(bytes(self._pending))
        if not self._upload:
            self._maybe_stored = True
            await self._writer.run(partial(self._surely, self._put))
        else:
            await self._ship()
            await self._landed()
            self._maybe_stored = True
            await self._writer.run(partial(self._surely, self._complete))
        self._part.file.close()
        return self._size

    async def take_back(self) -> None:
        """Leave nothing in the store, as far as it answers."""
        if self._flying is not None:
            await asyncio.wait([self._flying])
            self._flying.exception()
        with suppress(Conflict, Unavailable):
            await self._writer.run(self._remove)
        self._part.file.close()

    async def _write(self, data: bytes) -> None:
        if data and self._part.size == PART:
            await self._ship()
        try:
            await asyncio.to_thread(self._part.write, data)
        except OSError as error:
            raise Unavailable("blob_unavailable", "The file cannot be buffered now.") from error

    async def _ship(self) -> None:
        """Send the part that is full, once the one before has landed."""
        await self._landed()
        if not self._upload:
            self._upload = await self._writer.run(partial(again, self._begin))
        part, self._part = self._part, _Part()
        self._flying = asyncio.create_task(self._fly(part, len(self._sent) + 1))

    async def _landed(self) -> None:
        if self._flying is not None:
            # Whoever is cancelled here takes back later, when the thread is done.
            await asyncio.shield(self._flying)

    async def _fly(self, part: _Part, number: int) -> None:
        try:
            sent = await self._writer.run(partial(again, partial(self._send_part, part, number)))
        finally:
            part.file.close()
        self._sent.append(sent)

    def _begin(self) -> str:
        begun = self._writer.client.create_multipart_upload(
            **self._where, ChecksumAlgorithm="SHA256", ChecksumType="COMPOSITE", Metadata={_MARK: self._mark}
        )
        return begun["UploadId"]

    def _send_part(self, part: _Part, number: int) -> "CompletedPartTypeDef":
        part.file.seek(0)
        answer = self._writer.client.upload_part(
            **self._where, UploadId=self._upload, PartNumber=number, Body=part.file, ContentLength=part.size,
            ChecksumSHA256=part.sha256,
        )  # fmt: skip
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": part.sha256}

    def _put(self) -> None:
        self._part.file.seek(0)
        self._writer.client.put_object(
            **self._where, Body=self._part.file, ContentLength=self._part.size, IfNoneMatch="*",
            ChecksumSHA256=self._part.sha256, Metadata={_MARK: self._mark},
        )  # fmt: skip

    def _complete(self) -> None:
        self._writer.client.complete_multipart_upload(
            **self._where, UploadId=self._upload, MultipartUpload={"Parts": self._sent}, IfNoneMatch="*"
        )

    def _surely(self, send: Callable[[], None]) -> None:
        """Send, and after a broken connection once more: then only our mark on the object tells.

        The second answer proves nothing. It refuses what the first try had stored; and of parts that another
        process of the store died over, versitygw says that they are being completed, which nobody does.
        """
        try:
            send()
        except (BotoCoreError, ClientError) as error:
            if not may_pass(error):
                raise
        else:
            return
        pause()
        refusal: BotoCoreError | ClientError | None = None
        try:
            send()
        except (BotoCoreError, ClientError) as error:
            refusal = error
        for _ in range(_LOOKS):
            mark = self._mark_there()
            if mark == self._mark:
                return
            if mark is not None:
                raise Conflict("blob_exists", "There is an object under this key.")
            if refusal is not None:
                raise refusal
            time.sleep(_LOOK_SECONDS)
        raise Unavailable("blob_unavailable", "The file store does not say whether it has the file.")

    def _mark_there(self) -> str | None:
        """The mark of the object under the key, empty when it has none; none without an object."""
        try:
            return self._writer.client.head_object(**self._where)["Metadata"].get(_MARK, "")
        except ClientError as error:
            if code_of(error) in ("404", "NoSuchKey"):
                return None
            raise

    def _remove(self) -> None:
        if self._upload:
            with suppress(ClientError):  # completed, or gone already
                self._writer.client.abort_multipart_upload(**self._where, UploadId=self._upload)
        # The mark makes sure that nobody else's object goes.
        if self._maybe_stored and self._mark_there() == self._mark:
            self._writer.client.delete_object(**self._where)
