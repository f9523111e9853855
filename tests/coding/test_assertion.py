"""How a finding is meant: triggers, their scope, and what only looks like one."""

from __future__ import annotations

import pytest

from referral_service.coding import assess
from referral_service.fhir.terminology import vocabulary
from referral_service.policy import load_policy
from referral_service.referral import Fact, Place


def said(text: str) -> list[str]:
    got = assess([Fact("note", "note", Place.REMARK, text=text)], vocabulary(), load_policy(), None)
    return [f"{e.text} {e.assertion}" for e in got.evidence if e.finding.system.endswith("icd-10-cm")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no dystonia", ["dystonia negated"]),
        ("No evidence of dystonia", ["dystonia negated"]),
        ("dystonia was excluded", ["dystonia negated"]),
        ("dystonia, ruled out", ["dystonia negated"]),
        ("dystonia unlikely", ["dystonia negated"]),
        ("neither dystonia nor tremor", ["dystonia negated"]),
        ("prev dx of dystonia now thought to be tics", ["dystonia negated"]),
        ("no family history of dystonia", ["dystonia negated"]),
        ("no tremor, rigidity or dystonia", ["dystonia negated"]),
        ("no tremor but dystonia", ["dystonia affirmed"]),
        ("no tremor. dystonia", ["dystonia affirmed"]),
        ("Cervical dystonia, MRI negative", ["Cervical dystonia affirmed"]),
        ("suspected dystonia, no tremor", ["dystonia suspected"]),
        ("no improvement in dystonia", ["dystonia affirmed"]),
        ("dystonia not responding to botox", ["dystonia affirmed"]),
        ("cannot exclude dystonia", ["dystonia suspected"]),
        ("dystonia has not been ruled out", ["dystonia suspected"]),
        ("?dystonia", ["dystonia suspected"]),
        ("dystonia?", ["dystonia suspected"]),
        ("dystonia ?cause", ["dystonia affirmed"]),
        ("Could this be dystonia of the hand?", ["dystonia suspected"]),
        ("dystonia vs tic", ["dystonia suspected"]),
        ("dystonia - TBC", ["dystonia suspected"]),
        ("GP wonders whether this is dystonia", ["dystonia suspected"]),
        ("looks like dystonia", ["dystonia suspected"]),
        ("possible tremor. Known dystonia", ["dystonia affirmed"]),
        ("Mother has tremor, dystonia and chorea", ["dystonia family"]),
        ("Mother is frail, has dystonia", ["dystonia family"]),
        ("Dystonia was considered but ruled out", ["Dystonia negated"]),
        ("unable to exclude dystonia", ["dystonia suspected"]),
        ("family history of dystonia", ["dystonia family"]),
        ("FHx: mother has dystonia", ["dystonia family"]),
        ("dystonia in her brother", ["dystonia family"]),
        ("dystonia (mother)", ["dystonia family"]),
        ("mother reports dystonia", ["dystonia affirmed"]),
        ("brought by mother, dystonia of foot", ["dystonia affirmed"]),
        ("child with dystonia", ["dystonia affirmed"]),
        ("sister has dystonia; patient has dystonia", ["dystonia family", "dystonia affirmed"]),
        ("worried about dystonia because her brother has it", ["dystonia suspected"]),
        ("previous dystonia", ["dystonia historical"]),
        ("dystonia, now resolved", ["dystonia historical"]),
        ("h/o dystonia in 2009", ["dystonia historical"]),
        ("10 years' history of dystonia", ["dystonia affirmed"]),
        ("history of dystonia, on botox", ["dystonia affirmed"]),
        ("previously diagnosed with dystonia", ["dystonia affirmed"]),
    ],
)
def test_a_finding_is_meant_as_the_words_around_it_say(text: str, expected: list[str]) -> None:
    assert said(text) == expected


def test_a_list_that_might_have_ended_goes_to_a_human() -> None:
    got = assess([Fact("n", "n", Place.REASON, text="No fever, dystonia")], vocabulary(), load_policy(), None)
    assert (got.indication, got.why, got.evidence[0].rule) == ("undetermined", "assertion-unclear", "unclear:list")
