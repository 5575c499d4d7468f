"""HTTP of resumable uploads: tus 1.0.0 under /api/v1/uploads."""

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.access import principal_of
from events.failpoints import Place, failpoint
from ingest.accepted import task_path
from ingest.problems import ProblemCode, Rejected
from ingest.resumable import CHECKSUMS, EXTENSIONS, VERSION, expires_header, method_of, refuse_version
from ingest.resumable_uploads import ResumableUploads, unknown_upload
from ingest.services import IngestServices
from ingest.tus_version import PATH
from ingest.upload_registry import Finished, Upload, UploadKind

_UPLOAD_ID: Final = re.compile(r"[0-9a-f]{32}")


def resumable_routes(services: IngestServices) -> list[Route]:
    """Errors are raised; `answers.exception_handlers` turns them into problem documents."""
    uploads = ResumableUploads(services)

    async def create_upload(request: Request) -> Response:
        refuse_version(request.headers)
        may_see = principal_of(request.scope).may_see
        upload = await uploads.create(request.headers, services.actor_of(request), request.stream(), may_see=may_see)
        failpoint(Place.API_BEFORE_RESPONSE)
        return Response(status_code=201, headers={"Location": _path(upload), **_headers(upload)})

    async def upload_status(request: Request) -> Response:
        refuse_version(request.headers)
        upload = await uploads.status(_upload_id(request), services.actor_of(request))
        headers = {**_headers(upload), **_headers_of_status(upload), "Cache-Control": "no-store"}
        return Response(status_code=200, headers=headers)

    async def change_upload(request: Request) -> Response:
        refuse_version(request.headers)
        upload_id, actor = _upload_id(request), services.actor_of(request)
        match method_of(request.method, request.headers):
            case "PATCH":
                upload = await uploads.append(upload_id, request.headers, actor, request.stream())
                failpoint(Place.API_BEFORE_RESPONSE)
                return Response(status_code=204, headers=_headers(upload))
            case "DELETE":
                await uploads.terminate(upload_id, actor)
                return Response(status_code=204)
            case "HEAD":
                return await upload_status(request)
            case _:
                raise Rejected(ProblemCode.BAD_REQUEST, "X-HTTP-Method-Override must be PATCH, DELETE or HEAD.")

    async def upload_options(_request: Request) -> Response:
        headers = {
            "Tus-Version": VERSION,
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(services.settings.upload_bytes_max),
            "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
        }
        return Response(status_code=204, headers=headers)

    one = f"{PATH}/{{upload_id}}"
    return [
        Route(PATH, upload_options, methods=["OPTIONS"], name="uploads_options"),
        Route(PATH, create_upload, methods=["POST"], name="create_upload"),
        Route(one, upload_status, methods=["HEAD"], name="upload_status"),
        Route(one, upload_options, methods=["OPTIONS"], name="upload_options"),
        Route(one, change_upload, methods=["PATCH"], name="append_to_upload"),
        Route(one, change_upload, methods=["DELETE"], name="terminate_upload"),
        Route(one, change_upload, methods=["POST"], name="override_upload_method"),
    ]


def _upload_id(request: Request) -> str:
    """Raises Rejected for what is no id: keys of Redis are made of it."""
    upload_id: str = request.path_params["upload_id"]
    if _UPLOAD_ID.fullmatch(upload_id) is None:
        raise unknown_upload()
    return upload_id


def _path(upload: Upload) -> str:
    return f"{PATH}/{upload.about.upload_id}"


def _headers(upload: Upload) -> dict[str, str]:
    """What every answer about an upload says."""
    headers: dict[str, str] = {}
    is_final = upload.about.kind is UploadKind.FINAL
    if isinstance(upload.outcome, Finished):
        path = task_path(upload.outcome.task_id)
        headers |= {"Millstream-Task-Id": upload.outcome.task_id, "Link": f'<{path}>; rel="related"'}
    elif not upload.is_ready:
        headers["Upload-Expires"] = expires_header(upload.expires_us)
    if not is_final:
        headers["Upload-Offset"] = str(upload.offset)
    elif upload.outcome is not None:
        headers["Upload-Offset"] = str(upload.length)
    return headers


def _headers_of_status(upload: Upload) -> dict[str, str]:
    about, headers = upload.about, dict[str, str]()
    headers |= {"Upload-Defer-Length": "1"} if upload.length is None else {"Upload-Length": str(upload.length)}
    if about.metadata:
        headers["Upload-Metadata"] = about.metadata
    if about.concat:
        headers["Upload-Concat"] = about.concat
    return headers
