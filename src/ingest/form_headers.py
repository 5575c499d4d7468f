"""Pure: what the headers of a multipart request say, before a byte of its body is read."""

import re
from typing import Final

from starlette.datastructures import Headers

from ingest.body import content_length, refuse_encoded
from ingest.problems import ProblemCode, Rejected
from ingest.settings import IngestSettings

_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
"""RFC 2046, section 5.1.1: 1 to 70 characters, the last one no space."""

_PARAMETER: Final = re.compile(r";\s*boundary\s*=\s*(?:\"([^\"]*)\"|([^\s;\"]*))", re.IGNORECASE)


def boundary_of(headers: Headers, settings: IngestSettings) -> str:
    """The boundary of a multipart/form-data request that may be read. Raises Rejected."""
    refuse_encoded(headers)
    announced = content_length(headers)
    if announced is not None and announced > settings.request_bytes_max:
        raise request_too_large(settings)
    declared = headers.get("content-type", "")
    if declared.partition(";")[0].strip().lower() != "multipart/form-data":
        raise Rejected(ProblemCode.UNSUPPORTED_MEDIA_TYPE, "Send files as multipart/form-data, in parts named file.")
    found = _PARAMETER.findall(declared)
    boundary = found[0][0] or found[0][1] if len(found) == 1 else ""
    if not _BOUNDARY.fullmatch(boundary):
        raise Rejected(ProblemCode.MULTIPART_MALFORMED, "Content-Type needs one boundary of 1 to 70 characters.")
    return boundary


def request_too_large(settings: IngestSettings) -> Rejected:
    """The whole request is over its limit."""
    return Rejected(ProblemCode.PAYLOAD_TOO_LARGE, f"One request may have {settings.request_bytes_max:,} bytes.")
