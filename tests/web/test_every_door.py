"""The same referral through every door is decided alike: queue, code, flags, age, evidence and all the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.hooking import cards
from tests.shapes import ADULT_BORN, CHILD_BORN, Caller, Resource, bundle, entry, patient, referral

ICD10CM, SNOMED = "http://hl7.org/fhir/sid/icd-10-cm", "http://snomed.info/sct"
P, R, T, H, C = (f"urn:uuid:5d0c6f2e-0000-4000-8000-00000000000{digit}" for digit in "12345")
ABOUT = {"subject": {"reference": P}}
BSER = {"system": "http://terminology.hl7.org/CodeSystem/v2-0003", "code": "I12"}
BARS = {"system": "https://fhir.nhs.uk/CodeSystem/message-events-bars", "code": "servicerequest-request"}
ADULT, CHILD, REVIEW = "adult-movement-disorders", "pediatric-neuromotor", "intake-review"
Told = dict[str, Any]


def coded(system: str, code: str, text: str | None = None) -> Resource:
    return {"reasonCode": [{"coding": [{"system": system, "code": code}], **({"text": text} if text else {})}]}


def reason(text: str, **more: Any) -> Resource:
    return {"reasonCode": [{"text": text}], **more}


def note(text: str) -> Resource:
    return {"note": [{"text": text}]}


def born(text: str | None) -> Resource:
    return {"birthDate": text} if text else {}


GROWN, SMALL = born(ADULT_BORN), born(CHILD_BORN)
CASES: Mapping[str, tuple[Resource, Resource, tuple[str, str | None, str | None]]] = {
    "a plain diagnosis": (GROWN, reason("Cervical dystonia"), ("routed", ADULT, "G24.3")),
    "a suspicion": (GROWN, reason("?blepharospasm"), ("routed", ADULT, "G24.5")),
    "a child": (SMALL, reason("generalised dystonia, feet turn in"), ("routed", CHILD, "G24.8")),
    "a code": (GROWN, coded(ICD10CM, "G24.4"), ("routed", ADULT, "G24.4")),
    "a code of another system": (GROWN, coded(SNOMED, "74333002"), ("routed", ADULT, "G24.3")),
    "a code and its words": (GROWN, coded(ICD10CM, "G24.9", "writer's cramp"), ("routed", ADULT, "G24.8")),
    "a code against its words": (GROWN, coded(ICD10CM, "G24.5", "cervical dystonia"), ("routed", ADULT, "G24.5")),
    "a header": (GROWN, coded(ICD10CM, "G24"), ("routed", ADULT, "G24.9")),
    "a stated drug": (
        GROWN, reason("tardive dyskinesia after years of haloperidol"), ("routed", ADULT, "G24.01"),
    ),
    "a listed drug": (GROWN, reason("Cervical dystonia. Takes haloperidol."), ("routed", ADULT, "G24.3")),
    "a red flag": (GROWN, reason("acute dystonic reaction to metoclopramide today"), ("routed", ADULT, "G24.02")),
    "a negation": (GROWN, reason("No dystonia on examination"), ("review", REVIEW, None)),
    "a relative": (GROWN, reason("Mother has cervical dystonia"), ("review", REVIEW, None)),
    "the past": (GROWN, reason("Blepharospasm, resolved in 2019"), ("review", REVIEW, None)),
    "a neighbour": (GROWN, reason("Hemifacial spasm"), ("review", REVIEW, None)),
    "a movement": (SMALL, reason("Right foot twists inwards when she walks"), ("review", REVIEW, None)),
    "another language": (GROWN, reason("Verdacht auf zervikale Dystonie seit zwei Jahren"), ("review", REVIEW, None)),
    "no reason": (GROWN, {}, ("review", REVIEW, None)),
    "something else": (GROWN, reason("Knee pain, osteoarthritis, for injection"), ("rejected", None, None)),
    "something else, a note on dystonia": (
        GROWN, {**reason("Knee pain"), **note("Known cervical dystonia.")}, ("routed", ADULT, "G24.3"),
    ),
    "only a note": (GROWN, note("Spasmodic torticollis for two years"), ("routed", ADULT, "G24.3")),
    "no birth date": (born(None), reason("Cervical dystonia"), ("review", REVIEW, "G24.3")),
    "a year that says nothing": (
        born(str(datetime.now(UTC).year - 18)), reason("Cervical dystonia"), ("review", REVIEW, "G24.3"),
    ),
    "a patient who died": (
        {**GROWN, "deceasedBoolean": True}, reason("Cervical dystonia"), ("review", REVIEW, "G24.3"),
    ),
    "an urgent one": (GROWN, reason("Oromandibular dystonia", priority="urgent"), ("routed", ADULT, "G24.4")),
}  # fmt: skip


def told(parameters: list[Resource]) -> Told:
    """A decision by name, without where its evidence stands in the request and without what else was remarked."""
    found: Told = {}
    for one in deepcopy(parameters):
        name = one.pop("name")
        if name == "evidence":
            one["part"] = [_without_place(part) for part in one["part"]]
        if name != "outcome":
            found.setdefault(name, []).append(one)
    return found


def _without_place(part: Resource) -> Resource:
    if part["name"] != "expression":
        return part
    return part | {"valueString": re.sub(r"^Bundle\.entry\[\d+\]\.resource", "ServiceRequest", part["valueString"])}


def _kept(caller: Caller, identity: str) -> Told:
    return told(caller.read(f"ServiceRequest/{identity}/$decision")["parameter"])


REJECTED: Told = {"disposition": [{"valueCode": "rejected"}]}
"""All that a door says which keeps no such referral."""


def _answered(caller: Caller, status: int, identity: Callable[[], str]) -> Told:
    assert status in (200, 201, 422)
    return REJECTED if status == 422 else _kept(caller, identity())


def create(caller: Caller, who: Resource, what: Resource) -> Told:
    answer = caller.create({**what, "contained": [who | {"id": "p"}], "subject": {"reference": "#p"}})
    return _answered(caller, answer.status_code, lambda: answer.json["id"])


def transaction(caller: Caller, who: Resource, what: Resource) -> Told:
    answer = caller.post("", bundle(entry(who, P), entry(what | ABOUT, R)))
    return _answered(caller, answer.status_code, lambda: _last_location(answer.json))


def batch(caller: Caller, who: Resource, what: Resource) -> Told:
    answer = caller.post("", bundle(entry(who, P), entry(what | ABOUT, R), kind="batch"))
    return _of_entry(caller, answer.json)


def collection(caller: Caller, who: Resource, what: Resource) -> Told:
    return _of_entry(caller, caller.post("", _bare("collection", (P, who), (R, what | ABOUT))).json)


def document(caller: Caller, who: Resource, what: Resource) -> Told:
    composition = {
        "resourceType": "Composition",
        "status": "final",
        "type": {"text": "Referral letter"},
        "date": "2026-03-09T16:20:00+01:00",
        "author": [{"display": "Dr Invented"}],
        "title": "Referral letter",
        "section": [{"title": "Request", "entry": [{"reference": R}]}],
        **ABOUT,
    }
    sent = _bare("document", (C, composition), (P, who), (R, what | ABOUT))
    sent |= {"identifier": {"system": "urn:ietf:rfc:3986", "value": C}, "timestamp": "2026-03-09T16:20:00+01:00"}
    return _of_entry(caller, caller.post("", sent).json)


def bser(caller: Caller, who: Resource, what: Resource) -> Told:
    task = {"resourceType": "Task", "status": "requested", "intent": "order", "focus": {"reference": R}}
    return _by_message(caller, _header(BSER, T), (T, task), (R, what | ABOUT), (P, who))


def bars(caller: Caller, who: Resource, what: Resource) -> Told:
    return _by_message(caller, _header(BARS, R), (R, what | ABOUT), (P, who))


def preview(caller: Caller, who: Resource, what: Resource) -> Told:
    sent = {**what, "contained": [who | {"id": "p"}], "subject": {"reference": "#p"}}
    return told(caller.post("ServiceRequest/$preview", sent).json["parameter"])


def preview_of_a_message(caller: Caller, who: Resource, what: Resource) -> Told:
    sent = _bare("message", (H, _header(BARS, R)), (R, what | ABOUT), (P, who))
    return told(caller.post("ServiceRequest/$preview", sent).json["parameter"])


def hooks(caller: Caller, who: Resource, what: Resource) -> Told:
    ours = [{"reference": "HealthcareService/adult-movement-disorders"}]  # else nothing is said of what is in doubt
    order = {**what, "id": "draft-1", "status": "draft", "subject": {"reference": "Patient/7"}, "performer": ours}
    found = cards(caller.http, order, prefetch={"patient": who | {"id": "7"}})
    if not found:
        return REJECTED
    [decision] = [card["extension"] for card in found if "extension" in card]
    return told(decision["example.referral-service.decision"]["parameter"])


def _bare(kind: str, *resources: tuple[str, Resource]) -> Resource:
    return bundle(*({"fullUrl": url, "resource": one} for url, one in resources), kind=kind)


def _header(event: Resource, focus: str) -> Resource:
    source = {"name": "Invented EHR", "endpoint": "https://ehr.example/fhir/$process-message"}
    return {"resourceType": "MessageHeader", "eventCoding": event, "source": source, "focus": [{"reference": focus}]}


def _by_message(caller: Caller, header: Resource, *others: tuple[str, Resource]) -> Told:
    answer = caller.post("$process-message", _bare("message", (H, header), *others))
    listed = [one["resource"] for one in json.loads(answer.data)["entry"]]
    made = [one["id"] for one in listed if one["resourceType"] == "ServiceRequest"]
    return _answered(caller, answer.status_code, lambda: made[0])


def _of_entry(caller: Caller, answer: Resource) -> Told:
    status = int(answer["entry"][-1]["response"]["status"][:3])
    return _answered(caller, status, lambda: _last_location(answer))


def _last_location(answer: Resource) -> str:
    return str(answer["entry"][-1]["response"]["location"]).split("ServiceRequest/")[1].split("/")[0]


DOORS = (create, transaction, batch, collection, document, bser, bars, preview, preview_of_a_message, hooks)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("case", CASES)
def test_the_same_referral_is_decided_alike_at_every_door(caller: Caller, case: str) -> None:
    who, what, (disposition, queue, code) = CASES[case]
    decided: dict[str, Told] = {}
    for number, door in enumerate(DOORS):
        other = {"identifier": [{"system": "urn:example:mrn", "value": f"M-{number}"}]}
        person = {name: value for name, value in patient(None, **other).items() if name != "birthDate"}
        decided[door.__name__] = door(caller, person | who, referral(f"D-{number}", "", subject={}) | what)
    whole = decided["preview"]
    assert whole["disposition"] == [{"valueCode": disposition}]
    assert whole.get("queue") == ([{"valueCode": queue}] if queue else None)
    codes = [one["valueCodeableConcept"]["coding"][0]["code"] for one in whole.get("code", [])]
    assert codes == ([code] if code else [])
    for name, one in decided.items():
        assert one == (REJECTED if one is REJECTED and disposition == "rejected" else whole), name
