"""A message as it is meant: whether its event is taken, which referrals it is about, and what it wants done with them.

https://hl7.org/fhir/R4/messaging.html. Everything after that is as in a transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from referral_service.fhir.bundle import Entry, Envelope, Resource
from referral_service.fhir.conformance import check
from referral_service.fhir.messages import Act, Asked, act_of, asked_by, events, is_taken, unknown_reasons
from referral_service.fhir.parse import parse
from referral_service.intake.reading import Reading
from referral_service.intake.refusals import no_referral
from referral_service.issues import FaultKind, Issue, error, errors_of, information, warning

_HEADER = "Bundle.entry[0].resource"


def as_meant(reading: Reading, public_url: str) -> Reading:
    """The request with what its header says worked in; without an envelope, and why, when that cannot be followed.

    What is no message stays as it is.
    """
    envelope = reading.envelope
    if envelope is None or envelope.bundle_type != "message":
        return reading
    header = _sound_header(reading, envelope)
    business = tuple(_not_followed(header)) if header is not None else ()
    broken = () if business else tuple(_without_referral(reading, envelope))
    if business or broken:
        is_invalid = bool(broken or reading.entry_faults)
        return replace(
            reading,
            envelope=None,
            envelope_faults=(*reading.envelope_faults, *business, *broken),
            fault=FaultKind.INVALID if is_invalid else FaultKind.BUSINESS_RULE,
            referrals=tuple(entry.resource for entry in envelope.referrals()),
        )
    if header is None:
        return reading
    acts = _acts(envelope, header)
    return replace(
        reading,
        envelope=_with_statuses(envelope, acts),
        acts=acts,
        remarks=(*reading.remarks, *_destined_elsewhere(header, public_url)),
    )


def asked(reading: Reading) -> Asked:
    """What an answer repeats of a message; nothing of one whose header cannot be read."""
    envelope = reading.envelope
    if envelope is None or envelope.bundle_type != "message" or _sound_header(reading, envelope) is None:
        return Asked()
    return asked_by(envelope)


def asked_before(body: bytes) -> Asked:
    """The same of a text received some time ago, of which only the header is looked at again."""
    payload: Any = parse(body).value
    entries = payload.get("entry") if isinstance(payload, dict) and payload.get("type") == "message" else None
    first = entries[0] if isinstance(entries, list) and entries and isinstance(entries[0], dict) else {}
    header = first.get("resource")
    if not isinstance(header, dict) or header.get("resourceType") != "MessageHeader" or errors_of(check(header)):
        return Asked()
    shapes: dict[str, type] = {"resourceType": str, "type": str, "id": str, "identifier": dict}
    around = {name: payload[name] for name, shape in shapes.items() if isinstance(payload.get(name), shape)}
    full_url = {"fullUrl": first["fullUrl"]} if isinstance(first.get("fullUrl"), str) else {}
    return asked_by(Envelope({**around, "entry": [{"resource": header, **full_url}]}))


def update_of_unknown(entry: Entry) -> Issue:
    words = "This is an update of a referral that is not known here; it was taken as a new one."
    return information("informational", "update-of-unknown", words, entry.path)


def _sound_header(reading: Reading, envelope: Envelope) -> Resource | None:
    first = envelope.entries[0] if envelope.entries else None
    is_header = first is not None and first.position == 0 and first.type == "MessageHeader"
    return first.resource if first is not None and is_header and 0 not in reading.entry_faults else None


def _not_followed(header: Resource) -> Iterator[Issue]:
    if not is_taken(header):
        element = "eventUri" if "eventUri" in header else "eventCoding"
        words = f"Messages of this event are not taken. Taken are {' and '.join(events())}."
        yield error("not-supported", "event-not-supported", words, f"{_HEADER}.{element}")
        return
    if "response" in header:
        words = "This is an answer to another message; taken are requests."
        yield error("not-supported", "message-is-response", words, f"{_HEADER}.response")
    for place in unknown_reasons(header):
        words = "What a message with this reason asks for is not known here; see ConceptMap/message-act."
        path = f"{_HEADER}.reason.coding[{place}]"
        yield error("not-supported", "reason-not-supported", words, path)


def _without_referral(reading: Reading, envelope: Envelope) -> Iterator[Issue]:
    """A focus that leads to no ServiceRequest here; a fault of an entry on the way there says so itself."""
    if not envelope.referrals():
        yield no_referral()
    in_focus = envelope.entries[0].resource.get("focus") if envelope.entries else None
    if in_focus and not envelope.in_focus() and not reading.entry_faults:
        words = "No focus of the message leads to a ServiceRequest in it, neither itself nor by the focus of its Task."
        yield error("not-found", "focus-not-found", words, f"{_HEADER}.focus[0]")


def _acts(envelope: Envelope, header: Resource) -> dict[int, Act]:
    tasks = {id(referral.resource): found for found, referral in envelope.in_focus()}
    return {
        referral.position or 0: act_of(header, tasks.get(id(referral.resource), []), referral)
        for referral in envelope.referrals()
    }


def _with_statuses(envelope: Envelope, acts: dict[int, Act]) -> Envelope:
    """A cancel that the Task tells of is one of the ServiceRequest too."""
    cancelled = {place: act.value for place, act in acts.items() if act.is_cancel}
    entries = envelope.payload["entry"]
    if all(entries[place]["resource"].get("status") == status for place, status in cancelled.items()):
        return envelope
    changed = [
        {**entry, "resource": {**entry["resource"], "status": cancelled[place]}} if place in cancelled else entry
        for place, entry in enumerate(entries)
    ]
    return Envelope({**envelope.payload, "entry": changed})


def _destined_elsewhere(header: Resource, public_url: str) -> Iterator[Issue]:
    """Only a web address tells that it is not ours: what others call this service in their catalogues is theirs."""
    named = [_origin(str(one.get("endpoint", ""))) for one in header.get("destination", [])]
    if named and None not in named and _origin(public_url) not in named:
        words = "The message names other addresses as its destination; it was taken all the same."
        yield warning("processing", "destination-elsewhere", words, f"{_HEADER}.destination[0].endpoint")


def _origin(address: str) -> tuple[str, str] | None:
    """Scheme and host of a web address; None of anything else, as a name in a catalogue."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    is_web = parts.scheme in ("http", "https") and "|" not in address
    return (parts.scheme, parts.netloc) if is_web else None
