"""Binary: posted and read as the file that it is, or as FHIR JSON (https://hl7.org/fhir/R4/binary.html#rest)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace

import orjson
from flask import Blueprint, Response, request

from referral_service.content_types import bare, media_type
from referral_service.fhir.parse import dump, parse
from referral_service.intake import receive_supporting
from referral_service.intake.site import Content
from referral_service.issues import Fault, FaultKind, error, errors_of
from referral_service.store import binaries
from referral_service.web.http import (
    BINARY_BYTES,
    JSON_TYPES,
    answer_response,
    fhir_response,
    incoming,
    is_json_format,
    site,
    too_large,
    version_headers,
)
from referral_service.web.reading import current

blueprint = Blueprint("binaries", __name__, url_prefix="/fhir")

_ENCODED_BYTES = BINARY_BYTES * 4 // 3 + 64 * 1024
"""20 MiB of content in base64, and what stands around it."""
SANDBOX = "sandbox; default-src 'none'"


@blueprint.post("/Binary")
def create() -> Response:
    """A file as it is, under its own media type, or a Binary in FHIR JSON."""
    is_json = request.mimetype in JSON_TYPES
    types = JSON_TYPES | site().policy.attachment_types
    request_in = incoming("supporting", _ENCODED_BYTES if is_json else BINARY_BYTES, types)
    body, data = _taken_apart(request_in.body) if is_json else (_described(), request_in.body)
    if data is not None and len(data) > BINARY_BYTES:
        raise Fault(FaultKind.TOO_LARGE, too_large(BINARY_BYTES))
    if data == b"":
        raise Fault(FaultKind.INVALID, error("required", "empty-body", "The request has no body."))
    content = Content(data, media_type(data)) if data is not None else None
    received = receive_supporting(site(), replace(request_in, body=body, content=content), "Binary")
    return answer_response(received.failed or received.answers[0])


def _described() -> bytes:
    """The Binary that a bare file is; who may see it, its sender may say in a header."""
    binary = {"resourceType": "Binary", "contentType": request.content_type or ""}
    context = request.headers.get("X-Security-Context")
    return orjson.dumps(binary | ({"securityContext": {"reference": context}} if context else {}))


def _taken_apart(body: bytes) -> tuple[bytes, bytes | None]:
    """A Binary without its data, and the data; the text as it came when there is none to be taken out."""
    parsed = parse(body)
    if errors_of(parsed.issues) or not isinstance(parsed.value, dict) or parsed.value.get("resourceType") != "Binary":
        return body, None
    data = parsed.value.get("data")
    try:
        content = base64.b64decode("".join(data.split()), validate=True) if isinstance(data, str) else None
    except (binascii.Error, ValueError):  # told by the check of the whole
        content = None
    if not content:
        return body, None
    return dump({name: value for name, value in parsed.value.items() if name != "data"}), content


@blueprint.get("/Binary/<identity>")
def read(identity: str) -> Response:
    """The file as it is; FHIR JSON for whoever asks for that, and for a type that the policy does not allow."""
    row = current("Binary", identity)
    stated = orjson.loads(row["content"])
    as_file = _as_file(bare(stated.get("contentType")))
    if request.if_none_match.contains_weak(str(row["version"])):
        response = Response(b"", 304)
    else:
        with site().store.reading() as connection:
            response = (
                Response(binaries.bytes_of(connection, row), content_type=stated["contentType"])
                if as_file
                else fhir_response(binaries.whole(connection, row))
            )
    if as_file:
        response.headers["Content-Security-Policy"] = SANDBOX
        response.headers["Content-Disposition"] = "attachment"
    if "reference" in stated.get("securityContext", {}):
        response.headers["X-Security-Context"] = stated["securityContext"]["reference"]
    response.headers["Vary"] = "Accept"
    version_headers(response, row["version"], row["last_updated"])
    return response


def _as_file(own: str) -> bool:
    """Which of the two is wanted. Raises 406 when neither can be given."""
    is_allowed, wanted = own in site().policy.attachment_types, request.args.get("_format")
    if wanted is not None:
        if is_json_format(wanted):
            return False
        accepted = [bare(wanted)]
    else:
        accepted = [bare(value) for value, quality in request.accept_mimetypes if quality > 0] or ["*/*"]
    if JSON_TYPES & set(accepted):
        return False
    if is_allowed and {own, f"{own.partition('/')[0]}/*", "*/*"} & set(accepted):
        return True
    if "*/*" in accepted or "application/*" in accepted:
        return False
    words = (
        "This server answers in application/fhir+json, or in the media type of the Binary when the policy allows it."
    )
    raise Fault(FaultKind.NOT_ACCEPTABLE, error("not-supported", "not-acceptable", words))
