"""Uploads over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from antiphon_common.web.answers import json_answer
from antiphon_common.web.identity import User
from antiphon_common.web.problems import documented
from antiphon_file import queries, usecases
from antiphon_file.domain import State
from antiphon_file.routes.inside import Inside
from antiphon_file.routes.receiving import receive_upload
from antiphon_file.schemas import UploadForm, UploadOut, UploadsOut

router = APIRouter(tags=["file"])


def _texts() -> dict[str, Any]:
    """The text fields as a form has them: left out when there is nothing to say, never null."""
    fields: dict[str, Any] = UploadForm.model_json_schema()["properties"]
    return {
        name: {
            **next(iter(field.get("anyOf", [field]))),
            **({"examples": field["examples"]} if "examples" in field else {}),
        }
        for name, field in fields.items()
    }


_FILE = {"type": "string", "format": "binary"}
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": _FILE, "cover": _FILE, **_texts()},
                    "additionalProperties": False,
                }
            }
        },
    }
}


@router.post(
    "/api/uploads",
    operation_id="create_upload",
    status_code=202,
    response_model=UploadOut,
    responses=documented(400, 403, 409, 413, 415),
    openapi_extra=_FORM,
)
async def create_upload(user: User, request: Request, deps: Inside) -> Response:
    """Send an audio file. It is analysed after the answer: ask for the upload until its state is final."""
    upload = await receive_upload(deps, request, user)
    return json_answer(await queries.upload(deps.database, upload.id, user), status=202)


@router.get("/api/uploads", operation_id="list_uploads", response_model=UploadsOut)
async def list_uploads(
    user: User,
    deps: Inside,
    state: State | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """My uploads, newest first, and how much of my quota they take."""
    page = await queries.my_uploads(deps.database, user.user_id, state=state, limit=limit, cursor=cursor)
    usage = await queries.my_usage(deps.database, user.user_id)
    quota = deps.limits.quota
    return json_answer(
        {
            "items": page.items,
            "next_cursor": page.next_cursor,
            "bytes_used": usage.bytes_used,
            "bytes_quota": quota.size,
            "files_used": usage.files_used,
            "files_quota": quota.files,
        }
    )


@router.get(
    "/api/uploads/{upload_id}",
    operation_id="get_upload",
    response_model=UploadOut,
    responses=documented(404),
)
async def get_upload(upload_id: UUID, user: User, deps: Inside) -> Response:
    """One of my uploads."""
    return json_answer(await queries.upload(deps.database, upload_id, user))


@router.delete(
    "/api/uploads/{upload_id}",
    operation_id="delete_upload",
    status_code=204,
    responses=documented(404, 409),
)
async def delete_upload(upload_id: UUID, user: User, deps: Inside) -> Response:
    """Remove an upload with its bytes, and the track that was made of it."""
    async with deps.open_unit() as unit:
        await usecases.delete_upload(unit, upload_id, user)
    return Response(status_code=204)
