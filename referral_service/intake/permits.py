"""What the sender of a Bundle may do with each entry: POST creates, PUT updates, and each of these needs its scope."""

from __future__ import annotations

from typing import Any

from referral_service.fhir.messages import Act
from referral_service.intake.draft import SUPPORTING
from referral_service.intake.reading import Reading
from referral_service.intake.site import Answer, Incoming, failed
from referral_service.issues import FaultKind, error


def forbidden_entries(reading: Reading, incoming: Incoming) -> dict[int, Answer]:
    """The answers on entries that this sender may not send, by place.

    An entry without a method, as a document has them, is a create, but for a referral that a message updates or
    cancels. What is not stored by itself needs nothing.
    """
    if reading.envelope is None or not reading.envelope.is_bundle:
        return {}
    referrals = {entry.position for entry in reading.envelope.referrals()}
    found: dict[int, Answer] = {}
    for place, entry in enumerate(reading.payload.get("entry", [])):
        is_change = _method(entry) == "PUT" or reading.acts.get(place, Act.CREATE) is not Act.CREATE
        kind, letter = _type(entry), "u" if is_change else "c"
        if (kind in SUPPORTING or place in referrals) and not incoming.allows(kind, letter):
            found[place] = _forbidden(kind, letter, place)
    return found


def _type(entry: Any) -> str:
    resource = entry.get("resource") if isinstance(entry, dict) else None
    return str(resource.get("resourceType")) if isinstance(resource, dict) else ""


def _method(entry: Any) -> object:
    request = entry.get("request") if isinstance(entry, dict) else None
    return request.get("method") if isinstance(request, dict) else None


def _forbidden(kind: str, letter: str, place: int) -> Answer:
    words = f"This entry needs the scope system/{kind}.{letter}, which the token does not hold."
    return failed(FaultKind.FORBIDDEN, error("forbidden", "forbidden", words, f"Bundle.entry[{place}]"))
