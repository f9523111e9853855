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
    address, pairs = subject.get("reference"), identifier_pairs(subject)
    names = names_of(address, referral, public_url) if isinstance(address, str) else []
    stored = known.reference(names)
    if stored is None:
        stored = next((f"Patient/{ids[0]}" for pair in pairs if (ids := known.patients.get(pair))), None)
    return Subject(stored=stored) if stored else Subject(awaiting=(*names, *map(awaited_identifier, pairs)))


def names_of(address: str, source: Entry, public_url: str) -> list[str]:
    """Under which names the target of a reference in ``source`` may be known, the surest first.

    The version is left out, an address on this server is relative, and a relative one is also looked for at the base
    that its own resource came from (https://hl7.org/fhir/R4/bundle.html#references).
    """
    parts, home = literal(address), literal((source.container or source).full_url)
    if parts is None:
        return [address]
    if parts.base is not None:
        return [parts.relative if parts.base == f"{public_url}/fhir" else f"{parts.base}/{parts.relative}"]
    return [*([f"{home.base}/{parts.relative}"] if home is not None and home.base else []), parts.relative]


def identifier_pairs(holder: Resource) -> list[Pair]:
    """(system, value) of a Reference's logical identifier, or of a resource's identifiers.

    A value without a system says of nobody who it is: the same number means another patient elsewhere.
    """
    return [(item["system"], item["value"]) for item in identifiers(holder) if "system" in item]


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
