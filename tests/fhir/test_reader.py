"""Checked JSON -> Referral: facts from wherever a reason can stand, and from the subject's own records only."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from referral_service.coding import assess
from referral_service.fhir.bundle import Envelope
from referral_service.fhir.reader import placer_identifier, read_patient, read_referral, records_of_subject
from referral_service.fhir.records import decoded
from referral_service.fhir.terminology import vocabulary
from referral_service.policy import load_policy
from referral_service.referral import Assertion, Coding, Fact, PatientFacts, Place, Priority, Referral
from tests.shapes import PLACER_TYPE, Resource, bundle, patient, referral

G243 = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "G24.3", "display": "Spasmodic torticollis"}


def read(payload: Resource) -> Referral:
    envelope = Envelope(payload)
    return read_referral(envelope, envelope.referrals()[0])


def told(payload: Resource) -> list[tuple[str, str, str, Assertion | None]]:
    """(expression, what stands there, place, stance) of each fact."""
    return [
        (fact.expression, fact.coding.code if fact.coding else fact.text or "", fact.place.value, fact.stance)
        for fact in read(payload).facts
    ]


def test_a_bare_referral_is_read_whole() -> None:
    found = read(referral(reason="", reasonCode=[{"coding": [G243], "text": "neck"}], priority="urgent", language="en"))
    concept = "ServiceRequest.reasonCode[0]"
    coding = Coding(G243["system"], "G24.3", "Spasmodic torticollis")
    assert found == Referral(
        status="active",
        intent="order",
        do_not_perform=False,
        priority=Priority.URGENT,
        facts=(
            Fact(f"{concept}.coding[0]", concept, Place.REASON, coding=coding, language="en"),
            Fact(f"{concept}.text", concept, Place.REASON, text="neck", language="en"),
        ),
        language="en",
    )


def test_every_element_of_the_request_that_can_name_a_reason_is_read() -> None:
    sent = referral(
        "1",
        reason="why",
        code={"text": "what"},
        orderDetail=[{"text": "how"}],
        bodySite=[{"text": "where"}],
        note=[{"text": "remark"}],
        patientInstruction="advice",
        reasonReference=[{"display": "pointed"}],
        supportingInfo=[{"reference": "Condition/unknown", "display": "beside"}],
        extension=[{"url": "urn:unknown", "valueString": "never"}],
    )
    assert told(sent) == [
        ("ServiceRequest.reasonCode[0].text", "why", "reason", None),
        ("ServiceRequest.code.text", "what", "request", None),
        ("ServiceRequest.orderDetail[0].text", "how", "request", None),
        ("ServiceRequest.bodySite[0].text", "where", "site", None),
        ("ServiceRequest.note[0].text", "remark", "remark", None),
        ("ServiceRequest.patientInstruction", "advice", "remark", None),
        ("ServiceRequest.reasonReference[0].display", "pointed", "reason", None),
        ("ServiceRequest.supportingInfo[0].display", "beside", "background", None),
    ]


def condition(subject: str, words: str, verification: str | None = None, clinical: str | None = None) -> Resource:
    statuses = {"verificationStatus": verification, "clinicalStatus": clinical}
    return {
        "resourceType": "Condition",
        "subject": {"reference": subject},
        "code": {"text": words},
        **{name: {"coding": [{"code": code}]} for name, code in statuses.items() if code},
    }


def collected(*resources: Resource) -> Resource:
    return bundle(*({"resource": one} for one in resources), kind="collection")


def test_only_the_subjects_own_records_are_read() -> None:
    sent = collected(
        patient(id="1"),
        patient(id="2"),
        condition("Patient/1", "mine"),
        condition("Patient/2", "another's"),
        condition("Patient/3", "a stranger's"),
        referral(reason="", subject={"reference": "Patient/1"}),
    )
    assert told(sent) == [("Bundle.entry[2].resource.code.text", "mine", "background", None)]


def test_another_patients_condition_is_not_read_even_when_it_is_the_reason_pointed_at() -> None:
    other = condition("Patient/2", "another's") | {"id": "c"}
    request = referral(reason="", subject={"reference": "Patient/1"}, reasonReference=[{"reference": "Condition/c"}])
    assert told(collected(patient(id="1"), patient(id="2"), other, request)) == []


def test_a_record_about_several_patients_is_the_subjects_own_when_it_names_the_subject() -> None:
    subjects = [{"reference": "Patient/2"}, {"reference": "Patient/1"}]
    account = {"resourceType": "Account", "id": "a", "status": "active", "subject": subjects}
    strangers = account | {"id": "b", "subject": subjects[:1]}
    request = referral(reason="Cervical dystonia", subject={"reference": "Patient/1"})
    envelope = Envelope(collected(patient(id="1"), patient(id="2"), account, strangers, request))
    assert [record["id"] for record in records_of_subject(envelope, envelope.entries[-1])] == ["a"]


def test_a_reason_pointed_at_is_a_reason_and_read_once() -> None:
    mine = condition("Patient/1", "mine") | {"id": "c"}
    request = referral(reason="", subject={"reference": "Patient/1"}, reasonReference=[{"reference": "Condition/c"}])
    assert told(collected(patient(id="1"), mine, request)) == [
        ("Bundle.entry[1].resource.code.text", "mine", "reason", None)
    ]


@pytest.mark.parametrize(
    ("verification", "clinical", "stance"),
    [
        (None, None, None),
        ("confirmed", "active", None),
        ("refuted", "active", Assertion.NEGATED),
        ("entered-in-error", None, Assertion.NEGATED),
        ("provisional", None, Assertion.SUSPECTED),
        ("differential", "resolved", Assertion.HISTORICAL),
        ("unconfirmed", None, Assertion.SUSPECTED),
        ("unconfirmed", "resolved", Assertion.HISTORICAL),
        ("refuted", "resolved", Assertion.NEGATED),
        ("confirmed", "resolved", Assertion.HISTORICAL),
        (None, "remission", Assertion.HISTORICAL),
        (None, "inactive", Assertion.HISTORICAL),
    ],
)
def test_a_condition_says_itself_how_sure_it_is(
    verification: str | None, clinical: str | None, stance: Assertion | None
) -> None:
    contained = [patient(id="p"), condition("#p", "x", verification, clinical) | {"id": "c"}]
    sent = referral(reason="", contained=contained, reasonReference=[{"reference": "#c"}])
    assert told(sent) == [("ServiceRequest.contained[1].code.text", "x", "reason", stance)]


ABSENT = {"system": "http://snomed.info/sct", "code": "2667000"}


def attached(media_type: str, words: str, encoding: str = "utf-8") -> Resource:
    return {"contentType": media_type, "data": base64.b64encode(words.encode(encoding)).decode()}


@pytest.mark.parametrize(
    ("record", "facts"),
    [
        (
            {"resourceType": "Observation", "code": {"text": "asked"}, "valueString": "found", "note": [{"text": "n"}]},
            [("valueString", "found", "background", None), ("note[0].text", "n", "background", None)],
        ),
        ({"resourceType": "Observation", "status": "entered-in-error", "valueString": "found"}, []),
        ({"resourceType": "DiagnosticReport", "conclusion": "c"}, [("conclusion", "c", "background", None)]),
        ({"resourceType": "DocumentReference", "description": "d"}, [("description", "d", "background", None)]),
        (
            {"resourceType": "FamilyMemberHistory", "condition": [{"code": {"text": "f"}}]},
            [("condition[0].code.text", "f", "family", Assertion.FAMILY)],
        ),
        (
            {"resourceType": "MedicationStatement", "medicationCodeableConcept": {"text": "m"}},
            [("medicationCodeableConcept.text", "m", "medication", None)],
        ),
        (
            {
                "resourceType": "QuestionnaireResponse",
                "item": [{"item": [{"answer": [{"valueString": "a"}, {"valueCoding": {"code": "b"}}]}]}],
            },
            [
                ("item[0].item[0].answer[0].valueString", "a", "background", None),
                ("item[0].item[0].answer[1].valueCoding", "b", "background", None),
            ],
        ),
        (
            {
                "resourceType": "Observation",
                "code": {"text": "asked"},
                "valueBoolean": True,
                "component": [
                    {"code": {"text": "second"}, "valueCodeableConcept": {"coding": [ABSENT]}},
                    {"code": {"text": "third"}, "valueString": "found"},
                ],
            },
            [
                ("code.text", "asked", "background", None),
                ("component[0].code.text", "second", "background", Assertion.NEGATED),
                ("component[1].valueString", "found", "background", None),
            ],
        ),
        (
            {"resourceType": "DocumentReference", "content": [{"attachment": attached("text/plain", "words")}]},
            [("content[0].attachment.data", "words", "background", None)],
        ),
        (
            {"resourceType": "DocumentReference", "content": [{"attachment": attached("application/pdf", "%PDF")}]},
            [],
        ),
        (
            {"resourceType": "FamilyMemberHistory", "note": [{"text": "n"}], "condition": [{"note": [{"text": "m"}]}]},
            [
                ("note[0].text", "n", "family", Assertion.FAMILY),
                ("condition[0].note[0].text", "m", "family", Assertion.FAMILY),
            ],
        ),
        (
            {"resourceType": "MedicationRequest", "reasonCode": [{"text": "r"}], "note": [{"text": "n"}]},
            [("reasonCode[0].text", "r", "background", None), ("note[0].text", "n", "background", None)],
        ),
        (
            {
                "resourceType": "QuestionnaireResponse",
                "item": [
                    {"text": "asked", "answer": [{"valueBoolean": True}]},
                    {"text": "asked too", "answer": [{"valueBoolean": False}]},
                ],
            },
            [
                ("item[0].text", "asked", "background", None),
                ("item[1].text", "asked too", "background", Assertion.NEGATED),
            ],
        ),
        (
            {
                "resourceType": "Composition",
                "section": [
                    {"text": {"div": "<div>d</div>"}, "section": [{"text": {"div": "e"}}]},
                    {"code": {"coding": [{"system": "http://loinc.org", "code": "10157-6"}]}, "text": {"div": "f"}},
                ],
            },
            [
                ("section[0].text.div", "<div>d</div>", "background", None),
                ("section[0].section[0].text.div", "e", "background", None),
                ("section[1].text.div", "f", "background", Assertion.FAMILY),
            ],
        ),
        ({"resourceType": "Encounter", "reasonCode": [{"text": "e"}]}, []),
    ],
)
def test_records_of_each_type_are_read_for_what_they_found(record: Resource, facts: list[Any]) -> None:
    owner = "patient" if record["resourceType"] == "FamilyMemberHistory" else "subject"
    sent = collected(patient(id="1"), record | {owner: {"reference": "Patient/1"}}, referral(reason="", subject=ONE))
    assert told(sent) == [(f"Bundle.entry[1].resource.{path}", *rest) for path, *rest in facts]


@pytest.mark.parametrize(
    ("attachment", "text"),
    [
        (attached("text/plain;charset=ISO-8859-1", "\u00e9t\u00e9", "latin-1"), "\u00e9t\u00e9"),
        (attached("text/html; charset=utf-8", "<p>\u00e9</p>"), "<p>\u00e9</p>"),
        (attached("TEXT/PLAIN", "x"), "x"),
        (attached("text/plain", "\u00e9", "latin-1"), "\ufffd"),
        ({"contentType": "text/plain"}, None),
        (attached("image/png", "x"), None),
    ],
)
def test_an_attachment_is_read_when_it_holds_plain_words(attachment: Resource, text: str | None) -> None:
    assert decoded(attachment) == text


def test_the_words_of_a_binary_are_read_where_a_document_points_at_it() -> None:
    binary = {"resourceType": "Binary", "id": "b", **attached("text/plain", "words")}
    document = {"resourceType": "DocumentReference", "subject": ONE, "content": [{"attachment": {"url": "Binary/b"}}]}
    sent = collected(patient(id="1"), binary, document, referral(reason="", subject=ONE))
    assert told(sent) == [("Bundle.entry[1].resource.data", "words", "background", None)]


def test_a_record_that_came_before_is_read_as_if_it_had_come_along() -> None:
    sent = referral(reason="", reasonReference=[{"reference": "Condition/c", "display": "not this"}])
    envelope = Envelope(sent)
    found = read_referral(envelope, envelope.referrals()[0], {"Condition/c": condition("Patient/1", "mine", "refuted")})
    path = "ServiceRequest.reasonReference[0].resolve().code"
    assert found.facts == (Fact(f"{path}.text", path, Place.REASON, text="mine", stance=Assertion.NEGATED),)


ONE = {"reference": "Patient/1"}
TYPED = {"type": PLACER_TYPE, "system": "s", "value": "typed"}
OWN = {"system": "own", "value": "own"}
OTHER = {"system": "other", "value": "other"}


@pytest.mark.parametrize(
    ("identifiers", "configured", "found"),
    [
        ([OTHER, TYPED, OWN], "own", "s|typed"),
        ([OTHER, OWN], "own", "own|own"),
        ([OTHER, OWN], None, None),
        ([OTHER], "own", "other|other"),
        ([{"value": "1"}], None, "|1"),
        ([{"system": "s"}], None, None),
        ([], None, None),
    ],
)
def test_the_placer_identifier_is_the_typed_one_the_configured_one_or_the_only_one(
    identifiers: list[Resource], configured: str | None, found: str | None
) -> None:
    assert placer_identifier({"identifier": identifiers}, configured) == found


@pytest.mark.parametrize(
    ("more", "dead"),
    [
        ({}, False),
        ({"deceasedBoolean": False}, False),
        ({"deceasedBoolean": True}, True),
        ({"deceasedDateTime": "2026"}, True),
    ],
)
def test_a_patient_is_a_birth_date_and_whether_they_live(more: Resource, dead: bool) -> None:
    assert read_patient(patient("1970", **more)) == PatientFacts("1970", dead)
    assert read_patient(patient(None, **more)) == PatientFacts(None, dead)


EYELID, NECK = ({"coding": [{"system": "http://snomed.info/sct", "code": code}]} for code in ("80243003", "45048000"))


def coded(payload: Resource) -> str | None:
    code = assess(read(payload).facts, vocabulary(), load_policy(), None).code
    return code.cm.code if code else None


@pytest.mark.parametrize(
    ("reason", "record", "code"),
    [
        ("Dystonia", condition("#p", "basal cell carcinoma") | {"bodySite": [EYELID]}, "G24.9"),
        ("Dystonia", condition("#p", "torticollis", "refuted") | {"bodySite": [NECK]}, "G24.9"),
        ("Dystonia", condition("#p", "fracture", None, "resolved") | {"bodySite": [{"text": "neck"}]}, "G24.9"),
        ("", condition("#p", "dystonia") | {"bodySite": [NECK]}, "G24.3"),
        ("", condition("#p", "", None) | {"bodySite": [NECK], "note": [{"text": "Dystonia"}]}, "G24.3"),
    ],
)
def test_the_body_site_of_a_record_narrows_only_what_that_record_found(
    reason: str, record: Resource, code: str
) -> None:
    sent = referral(reason=reason, contained=[patient(id="p"), record], subject={"reference": "#p"})
    assert coded(sent) == code


def test_the_body_site_of_the_referral_narrows_whatever_is_found() -> None:
    contained = [patient(id="p"), condition("#p", "dystonia")]
    sent = referral(reason="", contained=contained, subject={"reference": "#p"}, bodySite=[NECK])
    assert coded(sent) == "G24.3"


def test_the_body_site_of_a_record_is_as_sure_as_the_record() -> None:
    contained = [patient(id="p"), condition("#p", "x", "refuted") | {"bodySite": [{"text": "neck"}]}]
    assert told(referral(reason="", contained=contained, subject={"reference": "#p"})) == [
        ("ServiceRequest.contained[1].code.text", "x", "background", Assertion.NEGATED),
        ("ServiceRequest.contained[1].bodySite[0].text", "neck", "site", Assertion.NEGATED),
    ]


@pytest.mark.parametrize(
    "void",
    [
        {"resourceType": "Observation", "status": "cancelled", "valueString": "dystonia"},
        {"resourceType": "DiagnosticReport", "status": "cancelled", "conclusion": "dystonia"},
        {"resourceType": "MedicationRequest", "status": "cancelled", "reasonCode": [{"text": "dystonia"}]},
        {"resourceType": "MedicationRequest", "doNotPerform": True, "reasonCode": [{"text": "dystonia"}]},
        {"resourceType": "MedicationStatement", "status": "not-taken", "medicationCodeableConcept": {"text": "x"}},
        {"resourceType": "DocumentReference", "status": "superseded", "description": "dystonia"},
        {"resourceType": "DocumentReference", "docStatus": "entered-in-error", "description": "dystonia"},
        {
            "resourceType": "QuestionnaireResponse",
            "status": "entered-in-error",
            "item": [{"answer": [{"valueString": "x"}]}],
        },
    ],
)
def test_a_record_that_does_not_hold_says_nothing(void: Resource) -> None:
    contained = [patient(id="p"), void | {"subject": {"reference": "#p"}}]
    assert told(referral(reason="", contained=contained, subject={"reference": "#p"})) == []


def answered(*items: Resource) -> Resource:
    response = {"resourceType": "QuestionnaireResponse", "subject": {"reference": "#p"}, "item": list(items)}
    return referral(reason="", contained=[patient(id="p"), response], subject={"reference": "#p"})


def asked(question: str, **answer: Any) -> Resource:
    return {"text": question, "answer": [answer]}


YES = {"system": "http://terminology.hl7.org/CodeSystem/v2-0136", "code": "Y"}
NO = {"system": "http://loinc.org", "code": "LA32-8"}


@pytest.mark.parametrize(
    ("question", "stance"),
    [
        ("Reason for referral", None),
        ("History of present illness", None),
        ("Family doctor's diagnosis", None),
        ("Parents\u2019 concerns", None),
        ("What was noticed by the mother", None),
        ("Conditions not yet ruled out", None),
        ("Unresolved problems", None),
        ("Family history", Assertion.FAMILY),
        ("Family history as reported by the patient", Assertion.FAMILY),
        ("Mother's medical conditions", Assertion.FAMILY),
        ("Do any relatives have a movement disorder?", Assertion.FAMILY),
        ("Conditions ruled out", Assertion.NEGATED),
        ("Symptoms denied", Assertion.NEGATED),
        ("Past conditions, now resolved", Assertion.HISTORICAL),
        ("Allergies / adverse reactions", Assertion.HISTORICAL),
        ("Provisional diagnosis", Assertion.SUSPECTED),
        ("Conditions to be ruled out", Assertion.SUSPECTED),
        ("Conditions ruled out in the mother", Assertion.NEGATED),
    ],
)
def test_an_answer_is_meant_as_its_question_and_the_group_around_it_ask(
    question: str, stance: Assertion | None
) -> None:
    item = "ServiceRequest.contained[1].item[0]"
    below = asked("x", valueString="b")
    sent = answered({"text": question, "answer": [{"valueString": "a", "item": [below]}, {"valueCoding": G243}]})
    assert told(sent) == [
        (f"{item}.answer[0].valueString", "a", "background", stance),
        (f"{item}.answer[0].item[0].answer[0].valueString", "b", "background", stance),
        (f"{item}.answer[1].valueCoding", "G24.3", "background", stance),
    ]
    assert told(answered({"text": question, "item": [below]})) == [
        (f"{item}.item[0].answer[0].valueString", "b", "background", stance)
    ]


@pytest.mark.parametrize(
    ("item", "found"),
    [
        (asked("Dystonia", valueCoding=YES), ("Dystonia", None)),
        (asked("Dystonia", valueCoding={"display": "Present"}), ("Dystonia", None)),
        (asked("Dystonia", valueCoding=NO), ("Dystonia", Assertion.NEGATED)),
        (asked("Does the patient have dystonia?", valueBoolean=True), ("Does the patient have dystonia", None)),
        (asked("Dystonia ?", valueBoolean=False), ("Dystonia", Assertion.NEGATED)),
        (asked("Family history of dystonia?", valueBoolean=True), ("Family history of dystonia", Assertion.FAMILY)),
        (asked("Family history of dystonia?", valueCoding=NO), ("Family history of dystonia", Assertion.NEGATED)),
        (asked("Was it ruled out?", valueBoolean=True), ("Was it ruled out", Assertion.NEGATED)),
        (asked("Was it ruled out?", valueBoolean=False), ("Was it ruled out", Assertion.SUSPECTED)),
    ],
)
def test_a_question_answered_yes_or_no_is_a_statement(item: Resource, found: tuple[str, Assertion | None]) -> None:
    assert told(answered(item)) == [("ServiceRequest.contained[1].item[0].text", found[0], "background", found[1])]


@pytest.mark.parametrize(
    ("words", "stances"),
    [
        ("Yes", [None, None]),
        ("present.", [None, None]),
        ("Yes, since 2019", [None, None]),
        ("No", [Assertion.NEGATED, None]),
        ("absent - never seen", [Assertion.NEGATED, None]),
        ("No change", [None]),
        ("Yesterday", [None]),
    ],
)
def test_yes_and_no_in_words_count_as_their_codes_do(words: str, stances: list[Assertion | None]) -> None:
    record = {"resourceType": "Observation", "subject": {"reference": "#p"}, "code": {"text": "Dystonia"}}
    observed = referral(
        reason="", contained=[patient(id="p"), record | {"valueString": words}], subject={"reference": "#p"}
    )
    facts = [("Dystonia", stances[0]), (words, None)] if len(stances) > 1 else [(words, None)]
    for sent in (answered(asked("Dystonia?", valueString=words)), observed):
        assert [(fact[1], fact[3]) for fact in told(sent)] == facts


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (asked("Family history", valueString="Dystonia"), "only-family"),
        (asked("Conditions ruled out", valueString="Dystonia"), "only-negated"),
        (asked("Past conditions, now resolved", valueCoding=G243), "only-historical"),
        (
            asked("Allergies / adverse reactions", valueString="Acute dystonic reaction to metoclopramide"),
            "only-historical",
        ),
        (asked("Does the patient have dystonia?", valueBoolean=True), None),
        (asked("Dystonia", valueString="Yes"), None),
        (asked("Dystonia", valueString="No"), "only-negated"),
    ],
)
def test_what_a_form_says_of_a_dystonia_depends_on_what_it_asks(item: Resource, why: str | None) -> None:
    found = assess(read(answered(item)).facts, vocabulary(), load_policy(), None)
    assert (found.why, found.certainty) == (why, None if why else "confirmed")


A, B = "https://a.example/fhir", "https://b.example/fhir"
NUMBER = {"system": "urn:example:number", "value": "1"}


def of_subject(subject: Resource, theirs: Resource, *others: Resource, home: str = A, their_home: str = A) -> bool:
    """Whether a Condition of ``theirs`` is read for a referral of ``subject``, each under its own base."""
    request = {"resource": referral(reason="", subject=subject), "fullUrl": f"{home}/ServiceRequest/1"}
    record = condition("", "mine") | {"subject": theirs}
    found = told(
        bundle(request, {"resource": record, "fullUrl": f"{their_home}/Condition/1"}, *others, kind="collection")
    )
    assert [fact[1] for fact in found] in ([], ["mine"])
    return bool(found)


@pytest.mark.parametrize(
    ("subject", "theirs"),
    [
        (ONE, ONE),
        (ONE, {"reference": f"{A}/Patient/1"}),
        (ONE, {"reference": "Patient/1/_history/2"}),
        ({"reference": f"{A}/Patient/1/_history/3"}, ONE),
        ({"identifier": NUMBER | {"use": "official"}}, {"identifier": NUMBER | {"use": "usual"}}),
        (ONE | {"identifier": NUMBER}, {"identifier": NUMBER}),
    ],
)
def test_two_references_name_one_person_by_one_address_or_one_identifier(subject: Resource, theirs: Resource) -> None:
    assert of_subject(subject, theirs)


@pytest.mark.parametrize(
    ("subject", "theirs"),
    [
        ({"display": "A"}, {"display": "B"}),
        ({"display": "A"}, {"display": "A"}),
        (ONE, {"display": "A"}),
        (ONE, {"reference": "Patient/2"}),
        (ONE, {"reference": f"{B}/Patient/1"}),
        ({"identifier": NUMBER}, {"identifier": NUMBER | {"value": "2"}}),
        ({"identifier": NUMBER}, {"identifier": NUMBER | {"system": "urn:example:other"}}),
        (ONE | {"identifier": NUMBER}, {"reference": "Patient/2", "identifier": NUMBER}),
    ],
)
def test_two_references_that_nothing_shows_to_be_one_person_are_two(subject: Resource, theirs: Resource) -> None:
    assert not of_subject(subject, theirs)


@pytest.mark.parametrize("sent", [[], [{"resource": patient(id="1"), "fullUrl": f"{A}/Patient/1"}]])
def test_a_relative_reference_leads_to_the_base_of_its_own_entry(sent: list[Resource]) -> None:
    assert of_subject(ONE, ONE, *sent)
    assert not of_subject(ONE, ONE, *sent, their_home=B)
    assert of_subject(ONE, {"reference": f"{A}/Patient/1"}, *sent, their_home=B)


def test_a_patient_who_came_along_is_known_by_an_identifier_too() -> None:
    known = {
        "resource": patient(id="1", identifier=[NUMBER]),
        "fullUrl": "urn:uuid:4b2f6c1e-0a53-4f0e-9d3c-6f1f7b1d2a11",
    }
    by_number = {"reference": f"{B}/Patient/9", "identifier": NUMBER}
    assert of_subject({"reference": known["fullUrl"]}, by_number, known)
    assert of_subject({"reference": known["fullUrl"]}, {"identifier": NUMBER}, known)
