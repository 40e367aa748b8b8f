"""Images over HTTP: sent by people, served to everybody."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response

from antiphon_common.errors import FieldError, Invalid, TooLarge
from antiphon_common.web.answers import json_answer
from antiphon_common.web.etags import is_unchanged
from antiphon_common.web.identity import Anyone, User
from antiphon_common.web.problems import documented
from antiphon_file import queries
from antiphon_file.adapters.multipart import MultipartBody, boundary_of
from antiphon_file.domain import Image, image_key
from antiphon_file.ports import Deps
from antiphon_file.routes.inside import Inside, check_store
from antiphon_file.schemas import ImageOut, ImageSize

router = APIRouter(tags=["file"])

_FORM_ALLOWANCE = 16 * 1024
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "additionalProperties": False,
                }
            }
        },
    }
}
_WEBP: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture", "content": {"image/webp": {}}},
    304: {"description": "The client has it already"},
}


@router.post(
    "/api/images",
    operation_id="create_image",
    status_code=201,
    response_model=ImageOut,
    responses=documented(400, 409, 413, 415),
    openapi_extra=_FORM,
)
async def create_image(user: User, request: Request, deps: Inside) -> Response:
    """Send a JPEG, PNG or WebP picture. It is written anew in every size, without its metadata."""
    image = await _receive(deps, request, user.user_id)
    return json_answer(queries.image_view(image), status=201)


@router.get(
    "/api/images/{image_id}",
    operation_id="get_image",
    response_class=Response,
    responses={**documented(404), **_WEBP},
)
async def get_image(
    image_id: UUID,
    viewer: Anyone,  # noqa: ARG001 - said for the record: everybody
    deps: Inside,
    size: ImageSize = ImageSize.LARGE,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """A picture in one size, never scaled up. It never changes, so it may be kept for ever."""
    image = await queries.image(deps.database, image_id)
    stored = image.stored_size(size)
    headers = _headers(image_id, stored)
    if is_unchanged(if_none_match, headers["etag"]):
        return Response(status_code=304, headers=headers)
    blob = await deps.blobs.open(image_key(image_id, stored))
    try:
        data = await blob.read(0, blob.size)
    finally:
        blob.close()
    return Response(data, 200, headers, media_type="image/webp")


def _headers(image_id: UUID, size: int) -> dict[str, str]:
    return {
        "etag": f'"{image_id}-{size}"',
        "cache-control": "public, max-age=31536000, immutable",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "cross-origin-resource-policy": "cross-origin",
    }


async def _receive(deps: Deps, request: Request, owner_id: UUID) -> Image:
    boundary = boundary_of(request.headers.get("content-type"))
    most = deps.limits.image_bytes + _FORM_ALLOWANCE
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:16]) > most:
        raise TooLarge("image_too_large", f"An image may have {deps.limits.image_bytes} bytes.")
    await check_store(deps)
    body = MultipartBody(request.stream(), boundary, max_bytes=most)
    image: Image | None = None
    async for part in body.parts():
        if part.name != "file" or image is not None:
            raise _wrong("unknown_field", "The form has one field, `file`.")
        image = await deps.gallery.receive(owner_id, part.data)
    if image is None:
        raise _wrong("missing", "The form has no file.")
    return image


def _wrong(code: str, message: str) -> Invalid:
    return Invalid(code, message, errors=[FieldError("body.file", code, message)])
