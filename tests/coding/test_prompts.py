"""Questions for the clinician who reads a referral: raised by what is said of the patient now, and by nothing else."""

from __future__ import annotations

from datetime import date

import pytest

from referral_service.coding import assess
from referral_service.coding.prompts import prompts_of
from referral_service.coding.tables import table
from referral_service.fhir.terminology import vocabulary
from referral_service.policy import load_policy
from referral_service.referral import AgeInterval
from tests.coding.panel import facts_of

CHILD, ADULT = (AgeInterval(date(2026, 11, 23), age, age) for age in (9, 40))
WORDS = {row["rule"]: row["words"] for row in table("prompts") if row["words"]}


@pytest.mark.parametrize(
    ("text", "age", "rules"),
    [
        ("Dystonia with Kayser-Fleischer rings", ADULT, ["possible-wilson-disease"]),
        ("Dystonia of the hand, low ceruloplasmin", ADULT, ["possible-wilson-disease"]),
        ("Dystonia, no Kayser-Fleischer rings", ADULT, []),
        ("Kayser-Fleischer rings", ADULT, []),
        ("Dystonia, worse in the evening", CHILD, ["possible-dopa-responsive"]),
        ("Odd gait, fine in the morning", CHILD, ["possible-dopa-responsive"]),
        ("Dystonia, worse in the evening", ADULT, []),
        ("Dystonia, worse in the evening", None, []),
        ("Dystonia, suitable for DBS?", ADULT, ["dbs-question"]),
        ("Dystonia, mother has DBS", ADULT, []),
        ("Cervical dystonia", CHILD, []),
    ],
)
def test_what_is_said_of_the_patient_raises_its_question(text: str, age: AgeInterval | None, rules: list[str]) -> None:
    found = prompts_of(facts_of(f"reason={text}"), vocabulary(), load_policy(), age)
    assert found == tuple(WORDS[rule] for rule in rules)


def test_a_question_changes_nothing_that_is_decided() -> None:
    plain, asked = (
        assess(facts_of(f"reason=Dystonia{more}"), vocabulary(), load_policy(), CHILD)
        for more in ("", ", worse in the evening")
    )
    assert (plain.code, plain.flags, plain.red_flags) == (asked.code, asked.flags, asked.red_flags)


def test_every_prompt_awaits_a_signature() -> None:
    assert {row["signed_by"] for row in table("prompts")} == {"awaiting a clinician's signature"}
