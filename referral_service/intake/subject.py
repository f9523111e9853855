"""Whom a referral's subject points at: in the request, or sent by this client before, or nobody yet."""

from __future__ import annotations

from dataclasses import dataclass

from referral_service.fhir.bundle import Entry, Envelope, Resource, identifiers, literal
from referral_service.issues import Issue, error
from referral_service.store.lookups import Known, Pair


@dataclass(frozen=True, slots=True)
class Subject:
    """``entry`` when the patient came along, ``stored`` (``Patient/…``) when sent before, else the names it awaits."""

    entry: Entry | None = None
    stored: str | None = None
    awaiting: tuple[str, ...] = ()
    fault: Issue | None = None


def find_subject(envelope: Envelope, referral: Entry, known: Known, public_url: str) -> Subject:
    """The referral's one subject; a fault when it is surely no Patient."""
    subject = referral.resource["subject"]
    target = envelope.resolve(subject, referral)
    kind = target.type if target is not None else _kind_of(subject)
    if kind not in (None, "Patient"):
        return Subject(fault=_no_patient(referral))
    if target is not None:
        return Subject(entry=target)
    names = names_of(subject, public_url)
    stored = next((known.addresses[name] for name in names if name in known.addresses), None)
    if stored is None:
        stored = next(
            (f"Patient/{ids[0]}" for pair in identifier_pairs(subject) if (ids := known.patients.get(pair))), None
        )
    return Subject(stored=stored) if stored else Subject(awaiting=tuple(names))


def names_of(reference: Resource, public_url: str) -> list[str]:
    """Under which names a reference may be known: its address and its logical identifier."""
    address = reference.get("reference")
    addresses = [own_address(address, public_url)] if isinstance(address, str) else []
    return addresses + [awaited_identifier(pair) for pair in identifier_pairs(reference)]


def own_address(address: str, public_url: str) -> str:
    """An address without its version, and relative when it speaks of this server."""
    parts = literal(address)
    if parts is None:
        return address
    return parts.relative if parts.base in (None, f"{public_url}/fhir") else f"{parts.base}/{parts.relative}"


def identifier_pairs(reference: Resource) -> list[Pair]:
    """(system, value) of a Reference's logical identifier, or of a resource's identifiers."""
    return [(item.get("system", ""), item["value"]) for item in identifiers(reference)]


def awaited_identifier(pair: Pair) -> str:
    return f"identifier:{pair[0]}|{pair[1]}"


def _kind_of(subject: Resource) -> str | None:
    stated = subject.get("type")
    parts = literal(subject.get("reference"))
    return parts.type if parts is not None else stated


def _no_patient(referral: Entry) -> Issue:
    path = "ServiceRequest" if referral.position is None else referral.path
    words = "The subject of a referral to this service is one Patient, not a group, a device or a place."
    return error("business-rule", "subject-not-patient", words, f"{path}.subject")
