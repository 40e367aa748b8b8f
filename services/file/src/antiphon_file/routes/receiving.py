"""An upload from its first byte to the answer: room first, then bytes straight into the blob store, then the
promise.

Until the answer nothing is promised, so whatever goes wrong before it (a client that leaves, a full disk, a
form that is wrong) takes everything back. A process that is killed midway leaves a row whose lease runs out.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from fastapi import Request
from pydantic import ValidationError

from antiphon_common.errors import FieldError, Forbidden, Invalid, TooLarge
from antiphon_common.ids import new_id
from antiphon_common.principal import Principal
from antiphon_file import usecases
from antiphon_file.adapters.leases import kept_alive
from antiphon_file.adapters.multipart import MultipartBody, Part, boundary_of
from antiphon_file.domain import LEASE, Form, Image, Upload, audio_key, clean
from antiphon_file.ports import Deps
from antiphon_file.routes.inside import check_store
from antiphon_file.schemas import UploadForm

_FORM_ALLOWANCE = 64 * 1024  # text fields, headers and boundaries around the files
_FIELD_BYTES = 4096
_BLOCK = 1 << 20


@dataclass(slots=True)
class _Arrived:
    """What has come in so far."""

    size: int = 0
    sha256: str | None = None
    filename: str | None = None
    cover: Image | None = None


async def receive_upload(deps: Deps, request: Request, principal: Principal) -> Upload:
    """Receive one multipart upload. Raises what the form deserves, with nothing changed."""
    if not principal.verified:
        raise Forbidden("email_not_verified", "Verify your e-mail address before you upload.")
    body, declared = _opened(deps, request)
    await check_store(deps)
    now = deps.clock.now()
    reserved = deps.limits.audio_bytes if declared is None else min(declared, deps.limits.audio_bytes)
    upload = Upload(new_id(), principal.user_id, "receiving", now, now + LEASE, reserved)
    async with deps.open_unit() as unit:
        await usecases.begin_upload(unit, upload, deps.limits.quota)
    try:
        async with kept_alive(deps, upload.id):
            arrived, form = await _read(deps, body, upload)
        async with deps.open_unit() as unit:
            finished = await usecases.finish_upload(
                unit, upload.id, size=arrived.size, sha256=arrived.sha256 or "", filename=arrived.filename,
                form=form, cover=arrived.cover, now=deps.clock.now(),
            )  # fmt: skip
    except BaseException:  # whatever it was, also a cancellation: what was begun is taken back
        await asyncio.shield(_abort(deps, upload.id))
        raise
    deps.wake_analysts(finished.id)
    return finished


def _opened(deps: Deps, request: Request) -> tuple[MultipartBody, int | None]:
    """The body as parts, and its declared length; 413 before a byte is read when that is too much already."""
    boundary = boundary_of(request.headers.get("content-type"))
    most = deps.limits.audio_bytes + deps.limits.image_bytes + _FORM_ALLOWANCE
    length = request.headers.get("content-length", "")
    declared = int(length) if length.isascii() and length.isdigit() and len(length) < 16 else None
    if declared is not None and declared > most:
        raise _too_large(deps)
    return MultipartBody(request.stream(), boundary, max_bytes=most), declared


async def _read(deps: Deps, body: MultipartBody, upload: Upload) -> tuple[_Arrived, Form]:
    arrived, texts = _Arrived(), dict[str, str]()
    async for part in body.parts():
        if part.name == "file" and arrived.sha256 is None:
            await _store(deps, part, upload, arrived)
        elif part.name == "cover" and arrived.cover is None:
            arrived.cover = await _cover(deps, part, upload.owner_id)
        elif part.name in UploadForm.model_fields and part.name not in texts:
            texts[part.name] = await _text(part)
        else:
            raise _wrong(part.name, "unknown_field", "The form has no such field, or it was sent twice.")
    if arrived.sha256 is None:
        raise _wrong("file", "missing", "The form has no file.")
    return arrived, _form(texts)


async def _store(deps: Deps, part: Part, upload: Upload, arrived: _Arrived) -> None:
    digest = hashlib.sha256()

    async def blocks() -> AsyncIterator[bytes]:
        pending = bytearray()
        async for chunk in part.data:
            arrived.size += len(chunk)
            if arrived.size > deps.limits.audio_bytes:
                raise _too_large(deps)
            pending += chunk
            if len(pending) >= _BLOCK:
                block, pending = bytes(pending), bytearray()
                await asyncio.to_thread(digest.update, block)
                yield block
        await asyncio.to_thread(digest.update, bytes(pending))
        yield bytes(pending)

    await deps.blobs.put(audio_key(upload.id), blocks())
    arrived.sha256 = digest.hexdigest()
    arrived.filename = clean(part.filename or "") or None


async def _cover(deps: Deps, part: Part, owner_id: UUID) -> Image | None:
    first = await anext(part.data, b"")
    if not first:
        return None  # a browser sends an empty part for a file field that was left empty

    async def chunks() -> AsyncIterator[bytes]:
        yield first
        async for chunk in part.data:
            yield chunk

    return await deps.gallery.receive(owner_id, chunks())


async def _text(part: Part) -> str:
    try:
        return (await part.read(_FIELD_BYTES)).decode()
    except UnicodeDecodeError as error:
        raise _wrong(part.name, "not_utf8", "The field is not valid UTF-8.") from error


def _form(texts: dict[str, str]) -> Form:
    try:
        filled = UploadForm.model_validate({name: text for name, text in texts.items() if text.strip()})
    except ValidationError as error:
        fields = [FieldError(f"body.{e['loc'][0]}", e["type"], e["msg"]) for e in error.errors()]
        raise Invalid("invalid_request", "The form has fields that are not valid.", errors=fields) from error
    return Form(**filled.model_dump())


async def _abort(deps: Deps, upload_id: UUID) -> None:
    async with deps.open_unit() as unit:
        await usecases.abort_upload(unit, upload_id)


def _too_large(deps: Deps) -> TooLarge:
    return TooLarge("too_large", f"A file may have {deps.limits.audio_bytes} bytes.")


def _wrong(name: str, code: str, message: str) -> Invalid:
    known = name if name in {"file", "cover", *UploadForm.model_fields} else "field"
    return Invalid(code, message, errors=[FieldError(f"body.{known}", code, message)])
