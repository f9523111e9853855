"""What the rest of a text says of a mention: headings, answers, what the next sentence or a pronoun says."""

from __future__ import annotations

import pytest

from referral_service.coding.reading import read_text
from referral_service.coding.sections import Section, Sections
from referral_service.fhir.terminology import vocabulary
from referral_service.policy import load_policy


def said(text: str, words: str = "dystoni") -> list[tuple[str, str]]:
    """(assertion, rule) of each dystonia named in a text."""
    reading = read_text(text, None, vocabulary(), load_policy())
    named = (m for m in reading.mentions if words in text[m.start : m.end].lower() and m.entry.meanings)
    return [(mention.assertion.value, mention.rule) for mention in named]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Family history: blindness. Dystonia.", [("family", "family:heading")]),
        ("FH: blindness\nImp: dystonia", [("affirmed", "affirmed:plain")]),
        ("FH: blindness\nShe has dystonia", [("affirmed", "affirmed:plain")]),
        (
            "Family history\nDystonia\n\nExamination\nDystonia",
            [("family", "family:heading"), ("affirmed", "affirmed:plain")],
        ),
        ("Past problems\nAcute dystonic reaction, treated", [("historical", "historical:heading")]),
        ("Allergies: metoclopramide (acute dystonia)", [("historical", "historical:heading")]),
        ("Past problems\nCervical dystonia", [("affirmed", "affirmed:plain")]),
        ("PMH: cervical dystonia", [("historical", "history:pmh")]),
    ],
)
def test_a_heading_says_whose_and_when(text: str, expected: list[tuple[str, str]]) -> None:
    assert said(text) == expected


def test_an_inline_section_ends_with_its_line_and_a_headed_one_with_the_next_heading() -> None:
    text = "FH: one\ntwo\nPMH\nthree\n\nfour\nPlan: five"
    sections = Sections(text)
    found = {word: sections.at(text.index(word)) for word in ("one", "two", "three", "four", "five")}
    assert found == {
        "one": Section.FAMILY,
        "two": Section.OTHER,
        "three": Section.PAST,
        "four": Section.PAST,
        "five": Section.OTHER,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dystonia? No.", [("negated", "negated:answer")]),
        ("Dystonia? Yes.", [("affirmed", "affirmed:answer")]),
        ("Dystonia? No injury.", [("suspected", "suspected:question")]),
        ("Dystonia: no", [("negated", "negated:form")]),
        ("Dystonia: yes, in the arm", [("affirmed", "affirmed:plain")]),
    ],
)
def test_a_question_is_answered_by_one_word(text: str, expected: list[tuple[str, str]]) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Acute dystonia aged 12. This resolved the same night.", "historical:next-sentence"),
        ("Query dystonia. It was ruled out by neurology.", "negated:next-sentence"),
        ("Dystonia of the arm. The pain resolved.", "affirmed:plain"),
        ("Dystonia had gone for years. It came back in August.", "affirmed:next-sentence"),
        ("Told in 2020 of dystonia. The diagnosis of dystonia has been withdrawn.", "withdrawn:elsewhere-in-the-text"),
        ("Baclofen was withdrawn. Dystonia of the arm.", "affirmed:plain"),
        ("Dystonia worse after baclofen was withdrawn", "affirmed:plain"),
    ],
)
def test_a_later_sentence_can_take_back_what_an_earlier_one_says(text: str, expected: str) -> None:
    assert said(text)[0][1] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Anxious about her father's condition. He developed dystonia.", "family:pronoun"),
        ("Seen with his father. He developed dystonia.", "affirmed:plain"),
        ("Her colleague wrote. He says dystonia.", "affirmed:plain"),
        ("Father has dystonia, as does he", "affirmed:plain"),
        ("Sister of a patient with dystonia", "family:of-a-patient-with"),
        ("Referral of a patient with dystonia", "affirmed:plain"),
    ],
)
def test_another_persons_dystonia_is_told_from_the_patients(text: str, expected: str) -> None:
    assert said(text)[0][1] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Acute dystonic reaction to an antiemetic after surgery in 2009", "historical"),
        ("Status dystonicus in 2017, none since, stable", "historical"),
        ("Acute dystonic reaction after metoclopramide today", "affirmed"),
        ("Diagnosed with dystonia two years ago", "affirmed"),
        ("Dystonia two years ago", "historical"),
    ],
)
def test_an_event_with_a_year_is_over_and_a_diagnosis_with_one_is_not(text: str, expected: str) -> None:
    assert said(text)[0][0] == expected


def test_a_medicine_that_was_never_taken_is_denied_and_the_dystonia_is_not() -> None:
    assert said("Blepharospasm. Never on haloperidol, risperidone or other antipsychotics.", "o")[1:] == []
    text = "Dystonia, never on haloperidol, risperidone or olanzapine"
    reading = read_text(text, None, vocabulary(), load_policy())
    found = [(text[m.start : m.end], m.assertion.value) for m in reading.mentions if m.entry.drug]
    assert found == [("haloperidol", "negated"), ("risperidone", "negated"), ("olanzapine", "negated")]
    assert said(text) == [("affirmed", "affirmed:plain")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dystonia has since been ruled out.", "negated"),
        ("Dystonia after stroke has been excluded", "negated"),
        ("Dystonia after trauma, now resolved", "historical"),
        ("Dystonia has fully settled since stopping metoclopramide", "historical"),
        ("Dystonia of the arm following a stroke in 2022", "affirmed"),
        ("Dystonia settled with procyclidine but recurred this morning", "affirmed"),
        ("Tremor excluded, dystonia confirmed", "affirmed"),
        ("Non-dystonic tremor", "negated"),
        ("[ ] Dystonia\n[x] Tremor", "negated"),
        ("Dystonia: 0", "negated"),
        ("Dystonia (no), tics (yes)", "negated"),
        ("Please could you see this lady with dystonia?", "affirmed"),
        ("Could this be dystonia?", "suspected"),
        ("this mother of three with dystonia", "affirmed"),
        ("A retired father with dystonia", "affirmed"),
        ("His wife's dystonia is bad", "family"),
        ("dystonia (mat. aunt)", "family"),
        ("FH: nil. Dystonia.", "affirmed"),
        ("PMH: nil. FH: dystonia. PC: tremor", "family"),
        ("dys\u00adtonia", "affirmed"),
        ("<!-- no --> dystonia", "affirmed"),
    ],
)
def test_words_that_belong_together_are_read_together(text: str, expected: str) -> None:
    assert [assertion for assertion, _ in said(text, "d")[:1]] == [expected]


def test_what_a_comment_or_a_style_of_html_holds_is_not_read() -> None:
    assert said("<style>.dystonia {}</style><!-- dystonia -->tremor") == []
