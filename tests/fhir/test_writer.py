"""What we author as FHIR, and the sender's resource as it is served."""

from __future__ import annotations

from dataclasses import replace

from referral_service.fhir.parse import Number, dump, parse
from referral_service.fhir.writer import (
    AI_ASSISTED,
    Stamp,
    decided_codings,
    decided_issues,
    decision_parameters,
    outcome,
    pretty,
    served,
    task_reason,
)
from referral_service.issues import error, information
from referral_service.referral import (
    Alternative,
    Certainty,
    CodePair,
    Coding,
    Decision,
    Disposition,
    Flag,
    Priority,
    Queue,
    WhyNot,
)
from tests.shapes import ISSUES, OWN

CM = Coding("http://hl7.org/fhir/sid/icd-10-cm", "G24.3", "Spasmodic torticollis")
WHO = Coding("http://hl7.org/fhir/sid/icd-10", "G24.3", "Spasmodic torticollis")
PAIR = CodePair(CM, WHO)
VERSIONS = {CM.system: "2026", WHO.system: "2019"}
STAMP = Stamp("our-id", 3, "2026-03-16T12:00:00.000Z")
DECISION = Decision(
    disposition=Disposition.ROUTED,
    queue=Queue.ADULT,
    code=PAIR,
    alternatives=(),
    certainty=Certainty.SUSPECTED,
    flags=(Flag.RED_FLAG,),
    age=None,
    requested_priority=Priority.ROUTINE,
    assessed_priority=Priority.STAT,
    evidence=(),
    policy="default|1",
    issues=(error("invalid", "some-rule", "words", "ServiceRequest.x"), information("informational", "routed", "in")),
)
CODINGS = [
    {"system": CM.system, "version": "2026", "code": "G24.3", "display": "Spasmodic torticollis"},
    {"system": WHO.system, "version": "2019", "code": "G24.3", "display": "Spasmodic torticollis"},
]


def test_an_outcome_says_each_issue_with_its_stable_code() -> None:
    assert outcome(DECISION.issues) == {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": "invalid",
                "details": {"coding": [{"system": ISSUES, "code": "some-rule"}]},
                "diagnostics": "words",
                "expression": ["ServiceRequest.x"],
            },
            {
                "severity": "information",
                "code": "informational",
                "details": {"coding": [{"system": ISSUES, "code": "routed"}]},
                "diagnostics": "in",
            },
        ],
    }
    assert [one["severity"] for one in outcome([])["issue"]] == ["information"]


def test_a_decision_is_written_in_its_promised_order() -> None:
    written = decision_parameters([DECISION], VERSIONS)
    assert written["parameter"] == [
        {"name": "disposition", "valueCode": "routed"},
        {"name": "queue", "valueCode": "adult-movement-disorders"},
        {"name": "code", "valueCodeableConcept": {"coding": CODINGS}},
        {"name": "certainty", "valueCode": "suspected"},
        {"name": "flag", "valueCode": "red-flag"},
        {
            "name": "priority",
            "part": [{"name": "requested", "valueCode": "routine"}, {"name": "assessed", "valueCode": "stat"}],
        },
        {"name": "policy", "valueString": "default|1"},
        {"name": "outcome", "resource": outcome(DECISION.issues)},
    ]
    other = replace(DECISION, alternatives=(Alternative(PAIR, WhyNot.HEDGED),))
    assert decision_parameters([other], VERSIONS)["parameter"][3] == {
        "name": "alternative",
        "valueCodeableConcept": {"coding": CODINGS, "text": "Named too, but as a suspicion beside a plain statement."},
    }
    several = decision_parameters([DECISION, DECISION], VERSIONS)["parameter"]
    assert several == [{"name": "referral", "part": written["parameter"]}] * 2


def test_what_was_said_of_a_decision_can_be_read_again() -> None:
    stored = dump(decision_parameters([DECISION], VERSIONS)).decode()
    assert (decided_issues(stored), decided_codings(stored)) == (DECISION.issues, CODINGS)


def test_a_resource_is_served_with_our_id_and_meta_and_nothing_else_touched() -> None:
    theirs = {"system": "urn:ward", "code": "7"}
    sent = {
        "resourceType": "ServiceRequest",
        "id": "theirs",
        "status": "active",
        "meta": {"source": "x", "versionId": "9", "tag": [theirs]},
        "subject": {"reference": "Patient/1", "display": "kept"},
        "quantityQuantity": {"value": Number("1.50")},
        "supportingInfo": [{"reference": "Patient/2"}],
    }
    before = dump(sent)
    found = served(
        sent, STAMP, {"Patient/1": "Patient/ours"}.get, tags=[{"system": "s", "code": "c"}], security=[AI_ASSISTED]
    )
    assert found == {
        "resourceType": "ServiceRequest",
        "id": "our-id",
        "meta": {
            "source": "x",
            "versionId": "3",
            "lastUpdated": STAMP.last_updated,
            "tag": [theirs, {"system": "s", "code": "c"}],
            "security": [AI_ASSISTED],
        },
        "status": "active",
        "subject": {"reference": "Patient/ours", "display": "kept"},
        "quantityQuantity": {"value": Number("1.50")},
        "supportingInfo": [{"reference": "Patient/2"}],
    }
    assert dump(sent) == before


def test_our_tags_come_once_and_those_of_the_decision_before_go() -> None:
    old, new = {"system": OWN, "code": "old"}, {"system": OWN, "code": "new"}
    theirs = {"system": "urn:ward", "code": "7"}
    sent = {"resourceType": "ServiceRequest", "meta": {"tag": [old, theirs, new]}}
    found = served(sent, STAMP, lambda _: None, tags=[new], replaced=[old])
    assert found["meta"]["tag"] == [theirs, new]


def test_the_reason_of_a_task_says_whether_it_is_only_suspected() -> None:
    assert task_reason(PAIR, Certainty.SUSPECTED, VERSIONS)["text"] == "Suspected spasmodic torticollis"
    assert task_reason(PAIR, Certainty.CONFIRMED, VERSIONS) == {"coding": CODINGS, "text": "Spasmodic torticollis"}


def test_many_lines_keep_every_digit() -> None:
    text = b'{"a":[1.50,1e2,-0,123456789012345678901234567890]}'
    lines = pretty(text)
    assert lines.count(b"\n") == 7
    assert dump(parse(lines).value) == text
