"""What an EHR answered with: the very record that was asked for, or a file."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from referral_service.content_types import bare
from referral_service.ehr.faults import NotFetched
from referral_service.ehr.known import Wanted
from referral_service.fhir.bundle import Resource
from referral_service.fhir.parse import parse
from referral_service.outbound import Reply

FILE_BYTES = 20 * 1024 * 1024
_JSON = ("application/fhir+json", "application/json")
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,100}/[a-z0-9!#$&^_.+-]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class File:
    """The bytes of a file, and its media type as the EHR states it, with parameters; empty when it states none."""

    data: bytes
    media_type: str


def accepting(media_type: str) -> str:
    """What is asked for: the file as it is, else as a Binary (https://hl7.org/fhir/R4/binary.html#rest)."""
    wanted = bare(media_type)
    return f"{wanted}, application/fhir+json;q=0.9" if _MEDIA_TYPE.fullmatch(wanted) else "application/fhir+json"


def resource_in(reply: Reply, wanted: Wanted) -> Resource:
    """Raises :class:`NotFetched` for anything but the record that was asked for."""
    if bare(reply.headers.get("content-type")) not in _JSON:
        raise NotFetched("not-fhir")
    parsed: Any = parse(reply.body).value
    if not isinstance(parsed, dict) or not isinstance(parsed.get("resourceType"), str):
        raise NotFetched("not-fhir")
    if (parsed["resourceType"], parsed.get("id")) != (wanted.type, wanted.id):
        raise NotFetched("wrong-resource")
    return parsed


def file_in(reply: Reply, wanted: Wanted) -> File:
    """A Binary in FHIR JSON is taken apart; anything else is the file as it is."""
    stated = reply.headers.get("content-type", "")
    file = _unwrapped(resource_in(reply, wanted)) if bare(stated) in _JSON else File(reply.body, stated)
    if not file.data:
        raise NotFetched("no-file")
    if len(file.data) > FILE_BYTES:
        raise NotFetched("file-too-large")
    return file


def _unwrapped(binary: Resource) -> File:
    data, stated = binary.get("data", ""), binary.get("contentType", "")
    if not isinstance(data, str) or not isinstance(stated, str):
        raise NotFetched("not-valid")
    try:
        return File(base64.b64decode("".join(data.split()), validate=True), stated)
    except (binascii.Error, ValueError) as problem:
        raise NotFetched("not-valid") from problem
