"""The subject's own records -> facts: what a Condition, a document, an answer or a medicine says of the patient.

What was only looked for is no finding: of an Observation the value counts, and its code where the value is yes or no.
An answer is read with its question and the groups around it: what is asked of the mother is not the patient's. The
words of an attachment are read when it is plain text or HTML and came in the request, or before it; a span then counts
the code points of the decoded text.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import reduce

from referral_service.coding.reading import stronger
from referral_service.fhir.bundle import Entry, Envelope, Resource
from referral_service.fhir.questions import stances_of, statement, yes_or_no
from referral_service.referral import Assertion, Coding, Fact, Place

_VERIFICATION = {
    "refuted": Assertion.NEGATED,
    "entered-in-error": Assertion.NEGATED,
    "provisional": Assertion.SUSPECTED,
    "differential": Assertion.SUSPECTED,
    "unconfirmed": Assertion.SUSPECTED,
}
_PAST = {"resolved", "inactive", "remission"}
_YES = {("http://snomed.info/sct", code) for code in ("52101004", "373066001", "10828004")}
_NO = {("http://snomed.info/sct", code) for code in ("2667000", "373067005", "260385009", "410594000")}
_YES |= {("http://terminology.hl7.org/CodeSystem/v2-0136", "Y"), ("http://loinc.org", "LA33-6")}
_NO |= {("http://terminology.hl7.org/CodeSystem/v2-0136", "N"), ("http://loinc.org", "LA32-8")}
"""Present, yes, positive; absent, no, negative, definitely not present: SNOMED CT, HL7 table 0136 and LOINC answers."""
_SAYS_NOTHING = {
    "DiagnosticReport": {"cancelled"},
    "DocumentReference": {"superseded"},
    "MedicationRequest": {"cancelled"},
    "MedicationStatement": {"not-taken"},
    "Observation": {"cancelled"},
}
"""Statuses of a record that nothing came of, beside entered in error, which any type can be."""
READABLE = ("text/plain", "text/html")
"""The media types of attachments whose words are read."""


def facts_of_record(envelope: Envelope, entry: Entry, path: str, place: Place) -> Iterator[Fact]:
    """What one record says, each fact with its FHIRPath below ``path``; nothing of one that does not hold."""
    read = _RECORDS.get(entry.type)
    if read is not None and not _is_void(entry):
        yield from in_its_language(read(envelope, entry, path, place), entry.resource)


def _is_void(entry: Entry) -> bool:
    """Entered in error, replaced, or of something that did not take place."""
    resource = entry.resource
    statuses = {resource.get("status"), resource.get("docStatus")}
    void = {"entered-in-error", *_SAYS_NOTHING.get(entry.type, ())}
    return bool(statuses & void) or bool(resource.get("doNotPerform", False))


def in_its_language(facts: Iterator[Fact], resource: Resource) -> Iterator[Fact]:
    language = resource.get("language")
    return (fact if fact.language else replace(fact, language=language) for fact in facts) if language else facts


def concepts(
    resource: Resource, element: str, path: str, place: Place, stance: Assertion | None = None
) -> Iterator[Fact]:
    """The codings, displays and texts of a CodeableConcept element, single or repeated."""
    value = resource.get(element, [])
    for index, concept in enumerate(value if isinstance(value, list) else [value]):
        here = f"{path}.{element}[{index}]" if isinstance(value, list) else f"{path}.{element}"
        for number, coding in enumerate(concept.get("coding", [])):
            yield from _coding(coding, f"{here}.coding[{number}]", here, place, stance)
        yield from text_at(concept, "text", here, place, stance)


def _coding(coding: Resource, path: str, concept: str, place: Place, stance: Assertion | None) -> Iterator[Fact]:
    if "code" in coding:
        facts = Coding(coding.get("system", ""), coding["code"], coding.get("display", ""))
        yield Fact(path, concept, place, coding=facts, stance=stance)
    elif "display" in coding:
        yield Fact(f"{path}.display", concept, place, text=coding["display"], stance=stance)


def text_at(holder: Resource, element: str, path: str, place: Place, stance: Assertion | None = None) -> Iterator[Fact]:
    if element in holder:
        yield Fact(f"{path}.{element}", path, place, text=holder[element], stance=stance)


def _notes(resource: Resource, path: str, place: Place, stance: Assertion | None = None) -> Iterator[Fact]:
    for index, note in enumerate(resource.get("note", [])):
        yield from text_at(note, "text", f"{path}.note[{index}]", place, stance)


def _condition(_: Envelope, entry: Entry, path: str, place: Place) -> Iterator[Fact]:
    resource = entry.resource
    stance = _stance(resource)
    yield from concepts(resource, "code", path, place, stance)
    yield from concepts(resource, "bodySite", path, Place.SITE, stance)
    yield from _notes(resource, path, place, stance)


def _stance(condition: Resource) -> Assertion | None:
    """Of what the verification and the clinical status say, the one that says more against a current finding."""
    verification = _codes(condition.get("verificationStatus"))
    said = [assertion for code, assertion in _VERIFICATION.items() if code in verification]
    if _PAST & _codes(condition.get("clinicalStatus")):
        said.append(Assertion.HISTORICAL)
    return _strongest(said)


def _strongest(stances: Iterable[Assertion]) -> Assertion | None:
    listed = list(stances)
    return reduce(stronger, listed) if listed else None


def _codes(concept: Resource | None) -> set[str]:
    return {coding["code"] for coding in (concept or {}).get("coding", []) if "code" in coding}


def _observation(_: Envelope, entry: Entry, path: str, place: Place) -> Iterator[Fact]:
    resource = entry.resource
    yield from _observed(resource, path, place)
    for index, component in enumerate(resource.get("component", [])):
        yield from _observed(component, f"{path}.component[{index}]", place)
    yield from _notes(resource, path, place)


def _observed(holder: Resource, path: str, place: Place) -> Iterator[Fact]:
    """The value; the code says what was looked for, so it counts only where the value is yes or no."""
    present = _is_present(holder)
    if present is not None:
        yield from concepts(holder, "code", path, place, None if present else Assertion.NEGATED)
    else:
        yield from concepts(holder, "valueCodeableConcept", path, place)
    yield from text_at(holder, "valueString", path, place)


def _is_present(holder: Resource) -> bool | None:
    """Whether the value of an Observation or of an answer is yes or no, by its code or in words."""
    if "valueBoolean" in holder:
        return bool(holder["valueBoolean"])
    concept = holder.get("valueCodeableConcept", {})
    codings = [*concept.get("coding", []), *([holder["valueCoding"]] if "valueCoding" in holder else [])]
    said = {(coding.get("system"), coding.get("code")) for coding in codings}
    if said & (_YES | _NO):
        return not said & _NO
    worded = [holder.get("valueString", ""), concept.get("text", ""), *(c.get("display", "") for c in codings)]
    return next((present for words in worded if (present := yes_or_no(words)) is not None), None)


def _report(_: Envelope, entry: Entry, path: str, place: Place) -> Iterator[Fact]:
    yield from concepts(entry.resource, "conclusionCode", path, place)
    yield from text_at(entry.resource, "conclusion", path, place)


def _document(envelope: Envelope, entry: Entry, path: str, place: Place) -> Iterator[Fact]:
    yield from text_at(entry.resource, "description", path, place)
    for index, content in enumerate(entry.resource.get("content", [])):
        here = f"{path}.content[{index}].attachment"
        yield from _attachment(envelope, entry, content.get("attachment", {}), here, place)


def _attachment(envelope: Envelope, entry: Entry, attachment: Resource, path: str, place: Place) -> Iterator[Fact]:
    """The text of an attachment, from its own data, the Binary that came along, or one that is here already."""
    binary = envelope.resolve({"reference": attachment.get("url")}, entry)
    holder, where = attachment, path
    if "data" not in attachment and binary is not None and binary.type == "Binary":
        holder, where = binary.resource, binary.path
    before = envelope.files.get((id(entry.resource), attachment.get("url", "")))
    if holder is attachment and before is not None:
        holder, where = before, f"{path}.url.resolve()"
    text = decoded(holder)
    if text is not None:
        facts = [Fact(f"{where}.data", where, place, text=text)]
        yield from in_its_language(iter(facts), {**holder, **attachment})


def decoded(attachment: Resource) -> str | None:
    """The words of an Attachment or a Binary of plain text or HTML; None when it holds none that can be read."""
    media_type, _, parameters = str(attachment.get("contentType", "")).lower().partition(";")
    if media_type.strip() not in READABLE or "data" not in attachment:
        return None
    raw = base64.b64decode(attachment["data"])
    name = parameters.partition("charset=")[2].partition(";")[0].strip(' "')
    encoding = "cp1252" if name in ("iso-8859-1", "latin1", "windows-1252", "us-ascii") else "utf-8-sig"
    return raw.decode(encoding, "replace")


def _composition(_: Envelope, entry: Entry, path: str, place: Place) -> Iterator[Fact]:
    for index, section in enumerate(entry.resource.get("section", [])):
        yield from _section(section, f"{path}.section[{index}]", place)


def _section(section: Resource, path: str, place: Place) -> Iterator[Fact]:
    stance = Assertion.FAMILY if _FAMILY_HISTORY in _codes(section.get("code")) else None
    yield from text_at(section.get("text", {}), "div", f"{path}.text", place, stance)
    for index, below in enumerate(section.get("section", [])):
        yield from _section(below, f"{path}.section[{index}]", place)


_FAMILY_HISTORY = "10157-6"
"""LOINC: History of family member diseases."""


def _family(_: Envelope, entry: Entry, path: str, __: Place) -> Iterator[Fact]:
    yield from _notes(entry.resource, path, Place.FAMILY, Assertion.FAMILY)
    for index, condition in enumerate(entry.resource.get("condition", [])):
        here = f"{path}.condition[{index}]"
        yield from concepts(condition, "code", here, Place.FAMILY, Assertion.FAMILY)
        yield from _notes(condition, here, Place.FAMILY, Assertion.FAMILY)


def _medication(envelope: Envelope, entry: Entry, path: str, place: Place) -> Iterator[Fact]:
    yield from concepts(entry.resource, "medicationCodeableConcept", path, Place.MEDICATION)
    reference = entry.resource.get("medicationReference")
    drug = envelope.resolve(reference, entry)
    if drug is not None:
        yield from concepts(drug.resource, "code", drug.path, Place.MEDICATION)
    elif reference is not None:
        yield from text_at(reference, "display", f"{path}.medicationReference", Place.MEDICATION)
    yield from concepts(entry.resource, "reasonCode", path, place)
    yield from _notes(entry.resource, path, place)


def _answers(_: Envelope, entry: Entry, path: str, place: Place) -> Iterator[Fact]:
    for index, item in enumerate(entry.resource.get("item", [])):
        yield from _item(item, f"{path}.item[{index}]", place)


def _item(item: Resource, path: str, place: Place, around: tuple[Assertion, ...] = ()) -> Iterator[Fact]:
    """Its answers, each as its question and the groups around it mean it."""
    meant = (*around, *stances_of(item.get("text", "")))
    for index, answer in enumerate(item.get("answer", [])):
        here = f"{path}.answer[{index}]"
        present = _is_present(answer)
        if present is not None and "text" in item:
            stance = _strongest(meant if present else _denied(meant))
            yield Fact(f"{path}.text", path, place, text=statement(item["text"]), stance=stance)
        yield from text_at(answer, "valueString", here, place, _strongest(meant))
        if "valueCoding" in answer and present is None:
            yield from _coding(answer["valueCoding"], f"{here}.valueCoding", here, place, _strongest(meant))
        for nested, below in enumerate(answer.get("item", [])):
            yield from _item(below, f"{here}.item[{nested}]", place, meant)
    for nested, below in enumerate(item.get("item", [])):
        yield from _item(below, f"{path}.item[{nested}]", place, meant)


def _denied(meant: tuple[Assertion, ...]) -> tuple[Assertion, ...]:
    """No to a question; no to what was ruled out leaves it open."""
    return (Assertion.SUSPECTED,) if Assertion.NEGATED in meant else (*meant, Assertion.NEGATED)


_RECORDS: dict[str, Callable[[Envelope, Entry, str, Place], Iterator[Fact]]] = {
    "Composition": _composition,
    "Condition": _condition,
    "Observation": _observation,
    "DiagnosticReport": _report,
    "DocumentReference": _document,
    "FamilyMemberHistory": _family,
    "MedicationStatement": _medication,
    "MedicationRequest": _medication,
    "QuestionnaireResponse": _answers,
}

EVIDENCE = frozenset(_RECORDS)
"""The types of which something is read."""
