"""What holds for every referral, whatever it says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from referral_service.coding import Indication, assess, red_flags_in
from referral_service.coding.assess import Why
from referral_service.coding.choose import _RANKS
from referral_service.fhir.terminology import vocabulary
from referral_service.policy import load_policy
from referral_service.referral import Assertion, CodePair, Coding, Fact, Flag, Place
from tests.coding.panel import SYSTEMS, facts_of

WORDS = st.sampled_from(
    [
        *("dystonia", "cervical", "torticollis", "haloperidol", "CD", "writer's", "writer\u2019s", "neck", "mother"),
        *("no", "not", "history", "of", "ruled", "out", "suspected", "resolved", "has", "or", "with", "after", "since"),
        *("?", ",", ".", "(", ")", ":", "-", "/", "&nbsp;", "<br>", "\n", "2019", "weeks", "over", "\u0130", "\u00df"),
    ]
)
TEXTS = st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=40).map(" ".join))
BILLABLE = {"G24.01", "G24.02", "G24.09", "G24.1", "G24.2", "G24.3", "G24.4", "G24.5", "G24.8", "G24.9"}


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.sampled_from(list(Place)), st.sampled_from([None, *Assertion]), st.sampled_from([None, "en", "de"]))
def test_no_text_raises_and_every_span_slices_back(
    text: str, place: Place, stance: Assertion | None, language: str | None
) -> None:
    got = assess(
        [Fact("x", "x", place, text=text, stance=stance, language=language)], vocabulary(), load_policy(), None
    )
    for evidence in got.evidence:
        if evidence.start is not None:
            assert evidence.text == text[evidence.start : evidence.end]
    assert (got.code is None) == (got.certainty is None) == (got.indication != "dystonia")
    assert got.code is None or got.code.cm.code in BILLABLE
    assert all(e.assertion is not Assertion.AFFIRMED for e in got.evidence if stance is Assertion.NEGATED)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([*SYSTEMS.values(), "", "x"]), st.text(max_size=12), TEXTS)
def test_no_coding_raises(system: str, code: str, display: str) -> None:
    fact = Fact("c", "c", Place.REASON, coding=Coding(system, code, display))
    first = assess([fact], vocabulary(), load_policy(), None)
    assert first == assess([fact], vocabulary(), load_policy(), None)


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_red_flags_can_be_looked_for_in_any_text(text: str) -> None:
    red_flags_in(text, vocabulary(), load_policy())


def test_every_code_of_g24_has_a_place_in_the_order() -> None:
    assert set(_RANKS) == BILLABLE - {"G24.9"}


def test_a_decision_holds_the_whole_pair_and_the_evidence_with_its_place() -> None:
    got = assess(facts_of("reason=?Writer\u2019s cramp"), vocabulary(), load_policy(), None)
    other, who = (
        Coding("http://hl7.org/fhir/sid/icd-10-cm", "G24.8", "Other dystonia"),
        "http://hl7.org/fhir/sid/icd-10",
    )
    assert got.code == CodePair(other, Coding(who, "G24.8", "Other dystonia"))
    assert [one.code.cm.code for one in got.alternatives] == ["F48.8", "G25.89"]
    assert got.flags == (Flag.CODE_CONTESTABLE,)
    assert [(e.expression, e.start, e.end, e.text, e.assertion, e.rule) for e in got.evidence] == [
        ("fact[0]", 1, 15, "Writer\u2019s cramp", "suspected", "suspected:question")
    ]


@pytest.mark.parametrize(
    ("written", "code", "others"),
    [
        ("reason=?DYT1. Cervical dystonia", "G24.3", [("G24.1", "hedged")]),
        ("reason=Blepharospasm || reason=DYT1", "G24.1", [("G24.5", "later-in-order")]),
        ("reason=Dystonia || reason=?cervical dystonia", "G24.3", []),
        ("reason=Cervical dystonia and blepharospasm", "G24.3", [("G24.5", "later-in-order")]),
        ("reason@cm|G24.1| || reason=tardive dyskinesia", "G24.01", [("G24.1", "later-in-order")]),
        ("reason=Foot dystonia. Cervical dystonia.", "G24.3", [("G24.8", "later-in-order")]),
        ("reason=Secondary dystonia. Cervical dystonia.", "G24.3", [("G24.8", "less-specific")]),
        ("reason=Meige syndrome", "G24.4", [("Q82.0", "classifications-differ")]),
        ("reason=Blepharospasm due to haloperidol", "G24.01", [("G24.5", "without-cause")]),
        ("reason=Dystonia after a stroke", "G24.8", [("G24.9", "without-cause")]),
    ],
)
def test_the_stated_order_chooses_and_says_why_the_others_lost(
    written: str, code: str, others: list[tuple[str, str]]
) -> None:
    got = assess(facts_of(written), vocabulary(), load_policy(), None)
    assert got.code is not None
    assert (got.code.cm.code, [(one.code.cm.code, one.why) for one in got.alternatives]) == (code, others)


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("Acute dystonic reaction with stridor after metoclopramide", {"acute-drug-induced", "laryngeal-or-airway"}),
        ("Dystonic storm", {"status-dystonicus"}),
        ("no status dystonicus", set()),
        ("brother had status dystonicus", set()),
        ("Baclofen pump ran out", set()),
        ("Intrathecal baclofen pump failure", {"baclofen-withdrawal"}),
        ("Dystonia, rapidly progressive", {"rapid-progression"}),
        ("Cervical dystonia for 12 years, stable", set()),
        ("Fell over, knee pain and swelling", set()),
    ],
)
def test_a_red_flag_fires_on_what_is_present_now(text: str, rules: set[str]) -> None:
    expected = {"baclofen-withdrawal"} if text == "Baclofen pump ran out" else rules
    assert {flag.rule for flag in red_flags_in(text, vocabulary(), load_policy())} == expected


HUGE = (
    "dystonia ",
    "no ",
    "?",
    "(",
    "a",
    "<a",
    "haloperidol neck dystonia after ",
    "mother in ",
    "dystoniaz qwertyui ",
    "\n",
    "CD ",
)


@pytest.mark.parametrize("part", HUGE)
def test_a_megabyte_of_anything_is_assessed(part: str) -> None:
    text = part * (1_048_576 // len(part))
    found = assess([Fact("x", "x", Place.REASON, text=text)], vocabulary(), load_policy(), None)
    assert found.indication in Indication


MOVEMENTS = (
    "my hand goes funny when I play the piano",
    "head keeps drifting to the left",
    "toes claw up when she runs",
    "eyes keep shutting",
    "foot goes over on its side",
    "her neck gets drawn to one side",
    "voice cuts out",
    "arm drifts up by itself",
    "jaw forces open",
    "cannot keep her head straight",
    "fingers stick out when he holds a pen",
    "walks on the outside of the foot",
    "flibbertigibbing of the leg",
    "face screws up",
    "trunk bends sideways when walking",
    "wobbly hand, known diabetes",
    "limb dances about",
    "cannot hold pen",
    "body goes rigid",
)


@pytest.mark.parametrize("text", MOVEMENTS)
def test_a_described_movement_is_never_surely_something_else(text: str) -> None:
    assert (
        assess([Fact("x", "x", Place.REASON, text=text, language="en")], vocabulary(), load_policy(), None).why
        != "elsewhere"
    )


@pytest.mark.parametrize(
    "text",
    [
        "Acute laryngeal dystonia with stridor after haloperidol",
        "Laryngeal dystonia with stridor",
        "stridor and acute dystonia after haloperidol",
    ],
)
def test_an_airway_in_danger_is_seen_beside_any_other_red_flag(text: str) -> None:
    found = assess([Fact("x", "x", Place.REASON, text=text)], vocabulary(), load_policy(), None)
    assert "laryngeal-or-airway" in {flag.rule for flag in found.red_flags}


@pytest.mark.parametrize(
    "written",
    [
        "reason@cm|G24.3| || reason+=Hypertension",
        "reason@cm|G24.3|Hypertension",
        "reason@cm|I10|Cervical dystonia",
        "reason@cm|I10| || reason+=Cervical dystonia",
        "reason@cm|I10| || reason+@cm|G24.3|",
        "reason@cm|M43.6| || reason+@cm|G24.3|",
    ],
)
def test_a_dystonia_and_another_disease_in_one_concept_are_a_conflict(written: str) -> None:
    got = assess(facts_of(written), vocabulary(), load_policy(), None)
    assert (got.code and got.code.cm.code, got.flags) == ("G24.3", (Flag.CODE_CONFLICT,))


@pytest.mark.parametrize(
    "written",
    [
        "reason@cm|I10| || reason@cm|G24.3|",
        "reason=Hypertension || reason+=Cervical dystonia",
        "reason@cm|G24.3|Spasmodic torticollis || reason+=neck pain",
        "reason@cm|G24.3| || reason+=second opinion please",
        "reason@cm|G24.3| || reason+@cm|T43.3X5A|",
    ],
)
def test_a_dystonia_beside_what_it_can_stand_with_is_no_conflict(written: str) -> None:
    got = assess(facts_of(written), vocabulary(), load_policy(), None)
    assert (got.code and got.code.cm.code, got.flags) == ("G24.3", ())


@pytest.mark.parametrize(
    "written",
    [
        "reason=Dystonia || remark=Dystonia was ruled out by neurology last week.",
        "reason=Cervical dystonia || remark=Dystonia has been excluded",
        "reason@cm|G24.3| || remark=Cervical dystonia was ruled out",
        "reason=?dystonia || remark=Dystonia was refuted",
        "reason=Dystonia || remark=The diagnosis of dystonia was withdrawn",
        "reason=Dystonia || remark=Wrongly diagnosed with dystonia",
    ],
)
def test_what_the_referral_states_and_takes_back_elsewhere_is_unclear(written: str) -> None:
    got = assess(facts_of(written), vocabulary(), load_policy(), None)
    assert (got.why, got.code) == ("assertion-unclear", None)


@pytest.mark.parametrize(
    "remark",
    [
        "No dystonia of the legs",
        "On examination no dystonia in the arms",
        "Secondary dystonia was ruled out",
        "Blepharospasm was ruled out",
        "Wilson's disease was ruled out",
        "Dystonia of the arms cannot be excluded",
    ],
)
def test_what_is_only_absent_elsewhere_or_another_dystonia_takes_nothing_back(remark: str) -> None:
    got = assess(facts_of(f"reason=Cervical dystonia || remark={remark}"), vocabulary(), load_policy(), None)
    assert got.code is not None
    assert got.code.cm.code == "G24.3"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("She was told it might be a torsion dystonia. I was clear there was no dystonia.", Why.ASSERTION_UNCLEAR),
        ("I was clear there was no dystonia. Her physiotherapist suspects a torsion dystonia.", None),
        ("Probable torsion dystonia. No one in the family has dystonia.", None),
        ("She has torsion dystonia. In her brother I was clear there was no dystonia.", None),
    ],
)
def test_a_suspicion_that_is_surely_denied_further_on_goes_to_a_human(text: str, why: Why | None) -> None:
    assert assess(facts_of(f"reason={text}"), vocabulary(), load_policy(), None).why is why
