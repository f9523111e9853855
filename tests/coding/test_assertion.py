"""How a finding is meant: triggers, their scope, and what only looks like one."""

from __future__ import annotations

import pytest

from referral_service.coding import assess
from referral_service.fhir.terminology import vocabulary
from referral_service.policy import load_policy
from referral_service.referral import Coding, Fact, Place


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
        ("without tremor as such, dystonia", ["dystonia negated"]),
        ("no gross tremor at rest in hands or dystonia", ["dystonia negated"]),
        ("no tremor, weakness, numbness, pain, headache, visual loss or dystonia", ["dystonia negated"]),
        ("No fever, likely dystonia", ["dystonia suspected"]),
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
        ("Mother has tremor and dystonia", ["dystonia family"]),
        ("Her sister has chorea with dystonia of the neck", ["dystonia of the neck family"]),
        ("Her mother, but possibly dystonia", ["dystonia family"]),
        ("fhx: dystonia, cough", ["dystonia family"]),
        ("sister - dystonia", ["dystonia family"]),
        ("sister: dystonia", ["dystonia affirmed"]),
        ("her sister, reports dystonia", ["dystonia family"]),
        ("her sister reports dystonia", ["dystonia affirmed"]),
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


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("Dystonia is a common manifestation in Wilson's disease.", ["general:is-a-common-manifestation"]),
        ("Patients with dystonia benefit from botulinum toxin.", ["general:patients-with"]),
        ("No dystonia is a common feature.", ["negated:no"]),
        ("She has dystonia, which is a movement disorder.", ["affirmed:plain"]),
        ("Her dystonia is a common manifestation in Wilson's disease.", ["affirmed:plain"]),
        ("The patient is one of the patients with dystonia seen here.", ["affirmed:plain"]),
        ("Dystonia is a movement disorder. Has dystonia.", ["general:is-a-movement-disorder", "affirmed:plain"]),
    ],
)
def test_a_general_statement_says_nothing_of_the_patient(text: str, rules: list[str]) -> None:
    got = assess([Fact("n", "n", Place.REASON, text=text)], vocabulary(), load_policy(), None)
    assert [e.rule for e in got.evidence if e.finding.system.endswith("icd-10-cm")] == rules
    assert (got.code is not None) == ("affirmed:plain" in rules)


def test_a_general_statement_beside_a_code_does_not_speak_against_it() -> None:
    coding = Coding("http://hl7.org/fhir/sid/icd-10-cm", "G24.3")
    words = "Dystonia is a common manifestation in Wilson's disease."
    facts = [Fact("c", "r", Place.REASON, coding=coding), Fact("t", "r", Place.REASON, text=words)]
    got = assess(facts, vocabulary(), load_policy(), None)
    assert (got.code and got.code.cm.code, got.flags) == ("G24.3", ())
