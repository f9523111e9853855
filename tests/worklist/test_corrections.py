"""A human's word stands over the machine's decision, and no more of it changes than was said."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from referral_service.decide import decide
from referral_service.fhir.parse import dump
from referral_service.fhir.terminology import code_versions, vocabulary
from referral_service.fhir.writer import decision_parameters, read_decision
from referral_service.policy import load_policy
from referral_service.referral import (
    Certainty,
    Decision,
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
from referral_service.worklist.corrections import ByHand, corrected

POLICY = load_policy()
PAIRS = vocabulary().pairs
ON = date(2026, 3, 16)


def decided(text: str, born: str | None = "1970-05-01", *, deceased: bool = False) -> Decision:
    fact = Fact("ServiceRequest.reasonCode[0].text", "ServiceRequest.reasonCode[0]", Place.REASON, text=text)
    referral = Referral("active", "order", do_not_perform=False, priority=Priority.ROUTINE, facts=(fact,))
    return decide(DecisionInput(referral, PatientFacts(born, deceased), ON), vocabulary(), POLICY)


def rules(decision: Decision) -> set[str]:
    return {issue.rule for issue in decision.issues}


def test_nothing_said_by_hand_leaves_the_decision_as_it_is() -> None:
    for decision in (decided("Cervical dystonia"), decided("Torticollis"), decided("Dystonia", None)):
        assert corrected(decision, ByHand(), POLICY) is decision


def test_a_code_by_hand_replaces_the_code_and_leaves_the_queue() -> None:
    decision = decided("Cervical dystonia")
    found = corrected(decision, ByHand(code=PAIRS["G24.8"]), POLICY)
    assert found == replace(decision, code=PAIRS["G24.8"], issues=found.issues)
    assert rules(found) == rules(decision)


def test_a_code_by_hand_answers_what_held_the_referral_back() -> None:
    held = decided("Torticollis")
    assert (held.disposition, held.flags) == (Disposition.REVIEW, (Flag.INDICATION_UNDETERMINED,))
    found = corrected(held, ByHand(code=PAIRS["G24.3"]), POLICY)
    assert (found.disposition, found.queue, found.flags, found.certainty) == (
        Disposition.ROUTED,
        Queue.ADULT,
        (),
        Certainty.SUSPECTED,
    )
    assert rules(found) == (rules(held) - {"indication-undetermined", "held-for-review"}) | {"routed"}


@pytest.mark.parametrize(
    ("born", "deceased", "flag"), [(None, False, Flag.AGE_UNDETERMINED), ("1970-05-01", True, Flag.DECEASED)]
)
def test_a_code_by_hand_does_not_say_what_else_is_asked(born: str | None, deceased: bool, flag: Flag) -> None:
    found = corrected(decided("Torticollis", born, deceased=deceased), ByHand(code=PAIRS["G24.3"]), POLICY)
    assert (found.disposition, found.queue, found.flags) == (Disposition.REVIEW, Queue.REVIEW, (flag,))


@pytest.mark.parametrize("queue", Queue)
def test_a_queue_by_hand_stands_whatever_the_machine_says(queue: Queue) -> None:
    for decision in (decided("Cervical dystonia"), decided("Torticollis", None)):
        found = corrected(decision, ByHand(queue=queue), POLICY)
        state = Disposition.REVIEW if queue is Queue.REVIEW else Disposition.ROUTED
        assert (found.queue, found.disposition, found.flags, found.code) == (
            queue,
            state,
            decision.flags,
            decision.code,
        )


@pytest.mark.parametrize("text", ["Cervical dystonia", "?dystonia", "Torticollis", "Status dystonicus", "Migraine"])
@pytest.mark.parametrize("born", ["1970-05-01", "2008", None])
def test_a_decision_stored_as_fhir_is_read_again_whole(text: str, born: str | None) -> None:
    decision = decided(text, born)
    stored = dump(decision_parameters([decision], code_versions())).decode()
    assert read_decision(stored) == decision
