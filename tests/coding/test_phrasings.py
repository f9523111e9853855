"""Phrasings with their expected code and assertion, read from the folder in REFERRAL_TEST_CLINICAL."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from referral_service.coding import Assessment, assess
from referral_service.fhir.terminology import vocabulary
from referral_service.policy import load_policy
from referral_service.referral import Evidence, Fact, Place
from tests.coding.panel import rows

FOLDER = os.environ.get("REFERRAL_TEST_CLINICAL")

ASSERTED, CODED = 122, 120
OURS = {"F48.8": "G24.8", "J38.3": "G24.8", "H51.8": "G24.02"}
"""What the index says, and what the policy shipped routes as."""
HELD_FOR_A_HUMAN = frozenset(
    [
        *("R25.8", "R25.0", "R29.3", "M43.6", "H51.8", "F44.4", "G80.3", "M62.838"),
        *("G51.32", "Q82.0", "Q68.0", "G25.70", "G25.79", "G24.4", "G24.9"),
    ]
)
"""Expected codes for which no code and a human is right as well: neighbours, signs, movements without a diagnosis."""


@pytest.fixture(scope="module")
def phrasings() -> list[dict[str, str]]:
    if not FOLDER:
        pytest.skip("REFERRAL_TEST_CLINICAL names no folder")
    return rows(Path(FOLDER) / "phrasings.tsv")


def read(text: str) -> Assessment:
    return assess([Fact("text", "text", Place.REASON, text=text)], vocabulary(), load_policy(), None)


def focus(row: Mapping[str, str], got: Assessment) -> Evidence | None:
    """The finding that covers the focus, or lies in it."""
    start = row["text"].lower().find(row["focus"].lower())
    end = start + len(row["focus"])
    over = [e for e in got.evidence if e.start is not None and e.end is not None and e.start < end and start < e.end]
    return max(over, key=lambda e: (e.end or 0) - (e.start or 0), default=None)


def code_fits(row: Mapping[str, str], got: Assessment) -> bool:
    expected = set(row["expected_icd10_cm"].split(";")) - {""}
    code = got.code.cm.code if got.code else None
    if row["expected_assertion"] not in ("affirmed", "suspected"):
        return code is None or not row["focus"].lower().startswith("dyst") or code in expected
    if code is None:
        return not expected or bool(expected & HELD_FOR_A_HUMAN) or not any(e.startswith("G24") for e in expected)
    alternatives = {one.code.cm.code for one in got.alternatives}
    return code in expected or bool(expected & alternatives) or code in {OURS.get(e) for e in expected}


def test_most_phrasings_have_the_expected_assertion_and_code(phrasings: list[dict[str, str]]) -> None:
    asserted, coded, wrong = 0, 0, []
    for row in phrasings:
        got = read(row["text"])
        found = focus(row, got)
        fits = (found is not None and found.assertion == row["expected_assertion"], code_fits(row, got))
        asserted, coded = asserted + fits[0], coded + fits[1]
        if not all(fits):
            asked = (row["id"], row["text"][:80], row["focus"], row["expected_assertion"], row["expected_icd10_cm"])
            answered = (found and (str(found.assertion), found.rule), got.code and got.code.cm.code, got.why)
            wrong.append((*asked, *answered))
    print(f"assertion {asserted} of {len(phrasings)}, code {coded} of {len(phrasings)}", *wrong, sep="\n")
    assert asserted >= ASSERTED
    assert coded >= CODED


def test_no_negated_family_or_past_focus_is_coded(phrasings: list[dict[str, str]]) -> None:
    silent = [row for row in phrasings if row["expected_assertion"] in ("negated", "family", "historical")]
    coded = {row["id"]: row["text"] for row in silent if read(row["text"]).code is not None}
    assert coded == {}
