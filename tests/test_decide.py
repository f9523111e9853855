"""The table of dispositions: the first line that fits decides."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from referral_service.decide import WHY_UNDETERMINED, decide
from referral_service.fhir.canonical import facts_json
from referral_service.fhir.terminology import vocabulary
from referral_service.issues import warning
from referral_service.policy import load_policy
from referral_service.referral import (
    Coding,
    DecisionInput,
    Disposition,
    Fact,
    Flag,
    PatientFacts,
    Place,
    Priority,
    Queue,
    Referral,
)

ON = date(2026, 3, 16)
POLICY = load_policy()
DYSTONIA = "cervical dystonia"
NOTHING_NEAR = "knee pain"
MOVEMENT = "her right foot turns in and the toes curl when she runs"
ADULT, CHILD, STRADDLING = "1971-05-04", "2016-05-04", "2008"


def _given(text: str | None = DYSTONIA, born: str | None = ADULT, **changes: Any) -> DecisionInput:
    place = "ServiceRequest.reasonCode[0]"
    facts = (Fact(f"{place}.text", place, Place.REASON, text=text),) if text else ()
    referral = Referral("active", "order", False, Priority.ROUTINE, facts)
    known = PatientFacts(born, changes.pop("deceased", False)) if changes.pop("is_known", True) else None
    outer = {name: changes.pop(name) for name in ("open_elsewhere", "already_taken", "taken_in") if name in changes}
    return DecisionInput(replace(referral, **changes), known, ON, **outer)


TABLE = [
    ("a dystonia and an adult", _given(), (Disposition.ROUTED, Queue.ADULT, "G24.3", ())),
    ("a dystonia and a child", _given(born=CHILD), (Disposition.ROUTED, Queue.PEDIATRIC, "G24.3", ())),
    (
        "an age that straddles",
        _given(born=STRADDLING),
        (Disposition.REVIEW, Queue.REVIEW, "G24.3", (Flag.AGE_UNDETERMINED,)),
    ),
    ("no birth date", _given(born=None), (Disposition.REVIEW, Queue.REVIEW, "G24.3", (Flag.AGE_UNDETERMINED,))),
    (
        "a birth date in the future",
        _given(born="2026-03-17"),
        (Disposition.REVIEW, Queue.REVIEW, "G24.3", (Flag.AGE_UNDETERMINED,)),
    ),
    (
        "an unknown patient",
        _given(is_known=False),
        (Disposition.REVIEW, Queue.REVIEW, "G24.3", (Flag.AGE_UNDETERMINED,)),
    ),
    ("a dead patient", _given(deceased=True), (Disposition.REVIEW, Queue.REVIEW, "G24.3", (Flag.DECEASED,))),
    (
        "movements without a diagnosis",
        _given(MOVEMENT),
        (Disposition.REVIEW, Queue.REVIEW, None, (Flag.INDICATION_UNDETERMINED,)),
    ),
    ("no reason", _given(None), (Disposition.REVIEW, Queue.REVIEW, None, (Flag.INDICATION_UNDETERMINED,))),
    (
        "everything undetermined at once",
        _given(None, is_known=False),
        (Disposition.REVIEW, Queue.REVIEW, None, (Flag.AGE_UNDETERMINED, Flag.INDICATION_UNDETERMINED)),
    ),
    ("surely something else", _given(NOTHING_NEAR), (Disposition.REJECTED, None, None, ())),
    (
        "something else in one that stands in a queue already",
        _given(NOTHING_NEAR, already_taken=True),
        (Disposition.REVIEW, Queue.REVIEW, None, (Flag.INDICATION_UNDETERMINED,)),
    ),
    (
        "something else that a human took in",
        _given(NOTHING_NEAR, already_taken=True, taken_in=True),
        (Disposition.REVIEW, Queue.REVIEW, None, (Flag.INDICATION_UNDETERMINED,)),
    ),
    (
        "a draft that a human took in",
        _given(status="draft", taken_in=True),
        (Disposition.REVIEW, Queue.REVIEW, "G24.3", ()),
    ),
    ("a plain referral that a human took in", _given(taken_in=True), (Disposition.REVIEW, Queue.REVIEW, "G24.3", ())),
    ("a status that is not active", _given(status="on-hold"), (Disposition.REJECTED, None, None, ())),
    ("a draft", _given(status="draft"), (Disposition.REJECTED, None, None, ())),
    ("not to be performed", _given(do_not_perform=True), (Disposition.REJECTED, None, None, ())),
    ("an option", _given(intent="option"), (Disposition.REJECTED, None, None, ())),
    (
        "another open referral for the same patient",
        _given(open_elsewhere=True),
        (Disposition.ROUTED, Queue.ADULT, "G24.3", (Flag.POSSIBLE_DUPLICATE,)),
    ),
    (
        "a child who turns adult before the referral is due",
        _given(born="2008-03-20"),
        (Disposition.ROUTED, Queue.PEDIATRIC, "G24.3", (Flag.AGES_OUT_BEFORE_DUE,)),
    ),
]


@pytest.mark.parametrize(("given", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_first_line_that_fits_decides(given: DecisionInput, expected: tuple[Any, ...]) -> None:
    found = decide(given, vocabulary(), POLICY)
    code = found.code.cm.code if found.code else None
    assert (found.disposition, found.queue, code, found.flags) == expected


def test_a_policy_may_admit_drafts() -> None:
    found = decide(_given(status="draft"), vocabulary(), replace(POLICY, admit_draft=True))
    assert found.disposition is Disposition.ROUTED


def test_all_reasons_of_a_rejection_are_given_at_once() -> None:
    given = _given(NOTHING_NEAR, status="on-hold", do_not_perform=True, intent="option")
    rules = [issue.rule for issue in decide(given, vocabulary(), POLICY).issues]
    assert rules == ["not-active", "do-not-perform", "intent-option", "not-dystonia"]


def test_what_is_missing_and_wanted_is_a_warning_and_never_a_refusal() -> None:
    wish = warning("incomplete", "missing-requester", "No requester is named.", "ServiceRequest.requester")
    found = decide(_given(wishes=(wish,), completeness=0.86), vocabulary(), POLICY)
    assert found.disposition is Disposition.ROUTED
    assert found.issues[0] == wish
    assert [(issue.severity.value, issue.rule, issue.diagnostics) for issue in found.issues[1:]] == [
        ("information", "completeness", "86% of what a coordinator wishes to find is given."),
        ("information", "routed", "The referral stands in the queue: Adult movement disorders."),
    ]


@pytest.mark.parametrize(
    ("text", "requested", "assessed"),
    [
        ("status dystonicus, cervical dystonia", Priority.ROUTINE, Priority.STAT),
        ("acute dystonic reaction after metoclopramide yesterday", Priority.ROUTINE, Priority.URGENT),
        ("acute dystonic reaction after metoclopramide yesterday", Priority.ASAP, Priority.ASAP),
        ("cervical dystonia", Priority.URGENT, Priority.URGENT),
    ],
)
def test_a_red_flag_raises_the_priority_and_never_lowers_it(text: str, requested: Priority, assessed: Priority) -> None:
    found = decide(_given(text, priority=requested), vocabulary(), POLICY)
    assert (found.requested_priority, found.assessed_priority) == (requested, assessed)


@pytest.mark.parametrize("status", ["active", "on-hold"])
def test_the_policys_words_come_first_wherever_a_red_flag_was_seen(status: str) -> None:
    found = decide(_given("status dystonicus", status=status), vocabulary(), POLICY)
    assert Flag.RED_FLAG in found.flags
    assert (found.issues[0].rule, found.issues[0].diagnostics) == ("red-flag", POLICY.notice)


def test_the_same_facts_give_the_same_decision_byte_for_byte() -> None:
    first, second = (facts_json(decide(_given(born=CHILD), vocabulary(), POLICY)) for _ in range(2))
    assert first == second


def test_a_code_counts_in_its_own_system_only() -> None:
    place = "ServiceRequest.reasonCode[0]"

    def routed(system: str) -> Disposition:
        fact = Fact(f"{place}.coding[0]", place, Place.REASON, coding=Coding(system, "G24.3"))
        given = _given()
        referral = replace(given.referral, facts=(fact,))
        return decide(replace(given, referral=referral), vocabulary(), POLICY).disposition

    assert routed("http://hl7.org/fhir/sid/icd-10-cm") is Disposition.ROUTED
    assert routed("https://ehr.example/local-codes") is Disposition.REVIEW


def test_every_way_of_being_undetermined_has_words() -> None:
    assert all(words.endswith(".") for words in WHY_UNDETERMINED.values())
