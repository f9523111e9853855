"""Checked JSON -> Referral: FHIR ends here.

Reads a reason wherever one can stand (https://hl7.org/fhir/R4/servicerequest.html) and in the subject's own records
that came in the same request, each with the FHIRPath of its element. The patient is the one that
``ServiceRequest.subject`` points at, never the first one found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from referral_service.fhir.bundle import Entry, Envelope, Resource, identifiers
from referral_service.referral import Assertion, Coding, Fact, PatientFacts, Place, Priority, Referral

_PLACER_SYSTEMS = {"http://terminology.hl7.org/CodeSystem/v2-0203", "http://hl7.org/fhir/v2/0203"}
_VERIFICATION = {
    "refuted": Assertion.NEGATED,
    "entered-in-error": Assertion.NEGATED,
    "provisional": Assertion.SUSPECTED,
    "differential": Assertion.SUSPECTED,
    "unconfirmed": Assertion.SUSPECTED,
}
_PAST = {"resolved", "inactive", "remission"}


def read_referral(envelope: Envelope, entry: Entry) -> Referral:
    """The facts of one ServiceRequest; ``entry`` is one of ``envelope.referrals()``."""
    resource = entry.resource
    return Referral(
        status=resource["status"],
        intent=resource["intent"],
        do_not_perform=resource.get("doNotPerform", False),
        priority=Priority(resource.get("priority", Priority.ROUTINE)),
        facts=tuple(dict.fromkeys(_facts(envelope, entry))),
        language=resource.get("language"),
    )


def records_of_subject(envelope: Envelope, entry: Entry) -> list[Resource]:
    """What came in the same request about the referral's own subject."""
    return [
        other.resource
        for other in envelope.entries
        if other is not entry
        and ("subject" in other.resource or "patient" in other.resource)
        and _is_of_subject(envelope, entry, other)
    ]


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


def _facts(envelope: Envelope, entry: Entry) -> Iterator[Fact]:
    yield from _in_its_language(_own(entry.resource), entry.resource)
    yield from _references(envelope, entry, "reasonReference", Place.REASON)
    yield from _references(envelope, entry, "supportingInfo", Place.BACKGROUND)
    yield from _loose(envelope, entry)


def _own(resource: Resource) -> Iterator[Fact]:
    root = "ServiceRequest"
    yield from _concepts(resource, "reasonCode", root, Place.REASON)
    yield from _concepts(resource, "code", root, Place.REQUEST)
    yield from _concepts(resource, "orderDetail", root, Place.REQUEST)
    yield from _concepts(resource, "bodySite", root, Place.SITE)
    for index, note in enumerate(resource.get("note", [])):
        yield from _text(note, "text", f"{root}.note[{index}]", Place.REMARK)
    yield from _text(resource, "patientInstruction", root, Place.REMARK)


def _in_its_language(facts: Iterator[Fact], resource: Resource) -> Iterator[Fact]:
    language = resource.get("language")
    return (replace(fact, language=language) for fact in facts) if language else facts


def _references(envelope: Envelope, entry: Entry, element: str, place: Place) -> Iterator[Fact]:
    for index, reference in enumerate(entry.resource.get(element, [])):
        target = envelope.resolve(reference, entry)
        if target is None:
            yield from _text(reference, "display", f"ServiceRequest.{element}[{index}]", place)
        elif _is_of_subject(envelope, entry, target):
            yield from _record(envelope, target, _path_of(target, entry), place)


def _loose(envelope: Envelope, entry: Entry) -> Iterator[Fact]:
    """The subject's own records in the same request that nothing in the referral points at."""
    pointed_at = {
        id(target.resource)
        for element in ("reasonReference", "supportingInfo")
        for reference in entry.resource.get(element, [])
        if (target := envelope.resolve(reference, entry)) is not None
    }
    for other in (*envelope.entries, *entry.contained()):
        has_subject = "subject" in other.resource or "patient" in other.resource
        if id(other.resource) not in pointed_at and has_subject and _is_of_subject(envelope, entry, other):
            yield from _record(envelope, other, _path_of(other, entry), Place.BACKGROUND)


def _is_of_subject(envelope: Envelope, referral: Entry, record: Entry) -> bool:
    """Whether a record is the subject's own; one that names no patient (a contained one) counts as its referrer's."""
    theirs = record.resource.get("subject", record.resource.get("patient"))
    if theirs is None:
        return True
    subject = referral.resource["subject"]
    patient, other = envelope.resolve(subject, referral), envelope.resolve(theirs, record)
    if patient is None or other is None:
        return patient is other and subject.get("reference", subject.get("identifier")) == theirs.get(
            "reference", theirs.get("identifier")
        )
    return patient.resource is other.resource


def _path_of(target: Entry, referral: Entry) -> str:
    if target.container is not None and target.container.resource is referral.resource:
        return "ServiceRequest" + target.path.removeprefix(referral.path)
    return target.path


def _record(envelope: Envelope, entry: Entry, path: str, place: Place) -> Iterator[Fact]:
    read = _RECORDS.get(entry.type)
    if read is not None and entry.resource.get("status") != "entered-in-error":
        yield from _in_its_language(read(envelope, entry, path, place), entry.resource)


def _condition(_: Envelope, entry: Entry, path: str, place: Place) -> Iterator[Fact]:
    resource = entry.resource
    stance = _stance(resource)
    yield from _concepts(resource, "code", path, place, stance)
    yield from _concepts(resource, "bodySite", path, Place.SITE)
    for index, note in enumerate(resource.get("note", [])):
        yield from _text(note, "text", f"{path}.note[{index}]", place, stance)


def _stance(condition: Resource) -> Assertion | None:
    verification = _codes(condition.get("verificationStatus"))
    for code, assertion in _VERIFICATION.items():
        if code in verification:
            return assertion
    return Assertion.HISTORICAL if _PAST & _codes(condition.get("clinicalStatus")) else None


def _codes(concept: Resource | None) -> set[str]:
    return {coding["code"] for coding in (concept or {}).get("coding", []) if "code" in coding}


def _observation(_: Envelope, entry: Entry, path: str, place: Place) -> Iterator[Fact]:
    # The code says what was looked for; only the value says what was found.
    yield from _concepts(entry.resource, "valueCodeableConcept", path, place)
    yield from _text(entry.resource, "valueString", path, place)
    for index, note in enumerate(entry.resource.get("note", [])):
        yield from _text(note, "text", f"{path}.note[{index}]", place)


def _report(_: Envelope, entry: Entry, path: str, place: Place) -> Iterator[Fact]:
    yield from _concepts(entry.resource, "conclusionCode", path, place)
    yield from _text(entry.resource, "conclusion", path, place)


def _document(_: Envelope, entry: Entry, path: str, place: Place) -> Iterator[Fact]:
    yield from _text(entry.resource, "description", path, place)


def _family(_: Envelope, entry: Entry, path: str, __: Place) -> Iterator[Fact]:
    for index, condition in enumerate(entry.resource.get("condition", [])):
        yield from _concepts(condition, "code", f"{path}.condition[{index}]", Place.FAMILY, Assertion.FAMILY)


def _medication(envelope: Envelope, entry: Entry, path: str, _: Place) -> Iterator[Fact]:
    yield from _concepts(entry.resource, "medicationCodeableConcept", path, Place.MEDICATION)
    reference = entry.resource.get("medicationReference")
    drug = envelope.resolve(reference, entry)
    if drug is not None:
        yield from _concepts(drug.resource, "code", drug.path, Place.MEDICATION)
    elif reference is not None:
        yield from _text(reference, "display", f"{path}.medicationReference", Place.MEDICATION)


def _answers(_: Envelope, entry: Entry, path: str, place: Place) -> Iterator[Fact]:
    for index, item in enumerate(entry.resource.get("item", [])):
        yield from _item(item, f"{path}.item[{index}]", place)


def _item(item: Resource, path: str, place: Place) -> Iterator[Fact]:
    for index, answer in enumerate(item.get("answer", [])):
        here = f"{path}.answer[{index}]"
        yield from _text(answer, "valueString", here, place)
        if "valueCoding" in answer:
            yield from _coding(answer["valueCoding"], f"{here}.valueCoding", here, place, None)
        for nested, below in enumerate(answer.get("item", [])):
            yield from _item(below, f"{here}.item[{nested}]", place)
    for nested, below in enumerate(item.get("item", [])):
        yield from _item(below, f"{path}.item[{nested}]", place)


_RECORDS: dict[str, Callable[[Envelope, Entry, str, Place], Iterator[Fact]]] = {
    "Condition": _condition,
    "Observation": _observation,
    "DiagnosticReport": _report,
    "DocumentReference": _document,
    "FamilyMemberHistory": _family,
    "MedicationStatement": _medication,
    "MedicationRequest": _medication,
    "QuestionnaireResponse": _answers,
}


def _concepts(
    resource: Resource, element: str, path: str, place: Place, stance: Assertion | None = None
) -> Iterator[Fact]:
    value = resource.get(element, [])
    for index, concept in enumerate(value if isinstance(value, list) else [value]):
        here = f"{path}.{element}[{index}]" if isinstance(value, list) else f"{path}.{element}"
        for number, coding in enumerate(concept.get("coding", [])):
            yield from _coding(coding, f"{here}.coding[{number}]", here, place, stance)
        yield from _text(concept, "text", here, place, stance)


def _coding(coding: Resource, path: str, concept: str, place: Place, stance: Assertion | None) -> Iterator[Fact]:
    if "code" in coding:
        facts = Coding(coding.get("system", ""), coding["code"], coding.get("display", ""))
        yield Fact(path, concept, place, coding=facts, stance=stance)
    elif "display" in coding:
        yield Fact(f"{path}.display", concept, place, text=coding["display"], stance=stance)


def _text(holder: Resource, element: str, path: str, place: Place, stance: Assertion | None = None) -> Iterator[Fact]:
    if element in holder:
        yield Fact(f"{path}.{element}", path, place, text=holder[element], stance=stance)
