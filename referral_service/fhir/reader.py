"""Checked JSON -> Referral: FHIR ends here.

Reads a reason wherever one can stand (https://hl7.org/fhir/R4/servicerequest.html) and in the subject's own records
that came in the same request, each with the FHIRPath of its element. The patient is the one that
``ServiceRequest.subject`` points at, never the first one found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from referral_service.fhir.bundle import Entry, Envelope, Resource, identifiers, literal
from referral_service.fhir.records import concepts, facts_of_record, in_its_language, text_at
from referral_service.referral import Fact, PatientFacts, Place, Priority, Referral

Names = set[tuple[str | None, str]]
NOTHING: Mapping[str, Resource] = MappingProxyType({})
_PLACER_SYSTEMS = {"http://terminology.hl7.org/CodeSystem/v2-0203", "http://hl7.org/fhir/v2/0203"}


def read_referral(envelope: Envelope, entry: Entry, before: Mapping[str, Resource] = NOTHING) -> Referral:
    """The facts of one ServiceRequest; ``entry`` is one of ``envelope.referrals()``.

    ``before`` are records of the same patient that came earlier, by the address under which the referral names them.
    """
    resource = entry.resource
    return Referral(
        status=resource["status"],
        intent=resource["intent"],
        do_not_perform=resource.get("doNotPerform", False),
        priority=Priority(resource.get("priority", Priority.ROUTINE)),
        facts=tuple(dict.fromkeys(_facts(envelope, entry, before))),
        language=resource.get("language"),
    )


def records_of_subject(envelope: Envelope, entry: Entry) -> list[Resource]:
    """What came in the same request about the referral's own subject, in documents of their own too."""
    return [
        other.resource
        for home in (envelope, *envelope.documents())
        for other in home.entries
        if other is not entry and _has_subject(other) and _is_of_subject(envelope, entry, other, home)
    ]


def documents_of_subject(envelope: Envelope, entry: Entry) -> list[Envelope]:
    """The documents of the referral's own subject that came along as Bundles of their own."""
    return [one for one in envelope.documents() if one.entries and _is_of_subject(envelope, entry, one.entries[0], one)]


def records_of_document(envelope: Envelope, entry: Entry, document: Envelope) -> list[Entry]:
    """What of such a document is the referral's own subject's: it may bring records of somebody else too."""
    return [other for other in document.entries if _is_of_subject(envelope, entry, other, document)]


def own_documents(envelope: Envelope, entry: Entry) -> list[Entry]:
    """The DocumentReferences of the referral's own subject in the same request, those contained in it too."""
    beside = (other for other in (*envelope.entries, *entry.contained()) if other.type == "DocumentReference")
    return [other for other in beside if _is_of_subject(envelope, entry, other)]


def read_patient(resource: Resource) -> PatientFacts:
    return PatientFacts(
        birth_date=resource.get("birthDate"),
        deceased=bool(resource.get("deceasedBoolean", False)) or "deceasedDateTime" in resource,
    )


def placer_identifier(resource: Resource, configured_system: str | None = None) -> str | None:
    """The sender's own key of a referral as ``system|value``: the identifier typed PLAC, else the one of the system
    configured for the client, else the only one there is (https://hl7.org/fhir/R4/v2/0203/index.html)."""
    own = identifiers(resource)
    placer = [item for item in own if _is_placer(item)]
    configured = [item for item in own if configured_system and item.get("system") == configured_system]
    for choice in (placer, configured, own if len(own) == 1 else []):
        if choice:
            return f"{choice[0].get('system', '')}|{choice[0]['value']}"
    return None


def _is_placer(identifier: Resource) -> bool:
    return any(
        coding.get("code") == "PLAC" and coding.get("system") in _PLACER_SYSTEMS
        for coding in identifier.get("type", {}).get("coding", [])
    )


def _facts(envelope: Envelope, entry: Entry, before: Mapping[str, Resource]) -> Iterator[Fact]:
    yield from in_its_language(_own(entry.resource), entry.resource)
    yield from _references(envelope, entry, "reasonReference", Place.REASON, before)
    yield from _references(envelope, entry, "supportingInfo", Place.BACKGROUND, before)
    yield from _loose(envelope, entry)


def _own(resource: Resource) -> Iterator[Fact]:
    root = "ServiceRequest"
    yield from concepts(resource, "reasonCode", root, Place.REASON)
    yield from concepts(resource, "code", root, Place.REQUEST)
    yield from concepts(resource, "orderDetail", root, Place.REQUEST)
    yield from concepts(resource, "bodySite", root, Place.SITE)
    for index, note in enumerate(resource.get("note", [])):
        yield from text_at(note, "text", f"{root}.note[{index}]", Place.REMARK)
    yield from text_at(resource, "patientInstruction", root, Place.REMARK)


def _references(
    envelope: Envelope, entry: Entry, element: str, place: Place, before: Mapping[str, Resource]
) -> Iterator[Fact]:
    for index, reference in enumerate(entry.resource.get(element, [])):
        target = envelope.resolve(reference, entry)
        earlier = before.get(reference.get("reference", ""))
        if target is None and earlier is not None:
            path = f"ServiceRequest.{element}[{index}].resolve()"
            yield from facts_of_record(Envelope(earlier, files=envelope.files), Entry(path, earlier), path, place)
        elif target is None:
            yield from text_at(reference, "display", f"ServiceRequest.{element}[{index}]", place)
        elif _is_of_subject(envelope, entry, target):
            yield from facts_of_record(envelope, target, _path_of(target, entry), place)


def _loose(envelope: Envelope, entry: Entry) -> Iterator[Fact]:
    """The subject's own records in the same request that nothing in the referral points at."""
    pointed_at = {
        id(target.resource)
        for element in ("reasonReference", "supportingInfo")
        for reference in entry.resource.get(element, [])
        if (target := envelope.resolve(reference, entry)) is not None
    }
    for other in (*envelope.entries, *entry.contained()):
        if id(other.resource) not in pointed_at and _has_subject(other) and _is_of_subject(envelope, entry, other):
            yield from facts_of_record(envelope, other, _path_of(other, entry), Place.BACKGROUND)
    for document in envelope.documents():
        for other in document.entries:
            if _has_subject(other) and _is_of_subject(envelope, entry, other, document):
                yield from facts_of_record(document, other, other.path, Place.BACKGROUND)


def _has_subject(record: Entry) -> bool:
    return "subject" in record.resource or "patient" in record.resource


def _is_of_subject(envelope: Envelope, referral: Entry, record: Entry, home: Envelope | None = None) -> bool:
    """Whether a record is the subject's own; one that names no patient (a contained one) counts as its referrer's.

    ``home`` is the document that the record stands in, when it came in one.
    """
    theirs = record.resource.get("subject", record.resource.get("patient"))
    if theirs is None:
        return True
    # Account and Contract alone may name several (https://hl7.org/fhir/R4/account-definitions.html#Account.subject).
    named = theirs if isinstance(theirs, list) else [theirs]
    return any(_is_same_patient(envelope, referral, record, reference, home or envelope) for reference in named)


def _is_same_patient(envelope: Envelope, referral: Entry, record: Entry, theirs: Resource, home: Envelope) -> bool:
    subject = referral.resource["subject"]
    patient, other = _target(envelope, subject, referral), _target(home, theirs, record)
    ours, its = _address(subject, referral, patient), _address(theirs, record, other)
    if home is not envelope:
        return _is_same_elsewhere(ours, its, _named(subject, patient), _named(theirs, other))
    if patient is not None and other is not None:
        return patient.resource is other.resource
    if ours and its and _is_absolute(ours) == _is_absolute(its):
        return ours == its
    return bool(_named(subject, patient) & _named(theirs, other))


def _is_same_elsewhere(ours: str, its: str, our_names: Names, its_names: Names) -> bool:
    """A document brings its own copy of the patient: the same address at a server, else an identifier in common."""
    if ours == its and _is_absolute(ours):
        return True
    if our_names and its_names:
        return bool(our_names & its_names)
    return bool(ours) and ours == its


def _target(envelope: Envelope, reference: Resource, source: Entry) -> Entry | None:
    """What a reference leads to in the request, unless its own absolute address is another one."""
    target = envelope.resolve(reference, source)
    ours, its = _address(reference, source), literal(target.full_url) if target is not None else None
    is_other = its is not None and _is_absolute(ours) and ours != f"{its.base}/{its.relative}"
    return None if is_other else target


def _address(reference: Resource, source: Entry, target: Entry | None = None) -> str:
    """Where a reference leads, absolute where that can be told and without a version; empty inside of a resource."""
    written = (target.full_url if target is not None else None) or reference.get("reference", "")
    parts = literal(written)
    if parts is None:
        return "" if written.startswith("#") else str(written)
    home = literal((source.container or source).full_url)
    base = parts.base or (home.base if home is not None else None)
    return f"{base}/{parts.relative}" if base else parts.relative


def _is_absolute(address: str) -> bool:
    return address.startswith(("http:", "https:"))


def _named(reference: Resource, target: Entry | None) -> Names:
    """The identifiers of whom a reference names, by system and value."""
    known = [*identifiers(reference), *(identifiers(target.resource) if target is not None else [])]
    return {(item.get("system"), item["value"]) for item in known}


def _path_of(target: Entry, referral: Entry) -> str:
    if target.container is not None and target.container.resource is referral.resource:
        return "ServiceRequest" + target.path.removeprefix(referral.path)
    return target.path
