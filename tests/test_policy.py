"""The policy file is typed, named and versioned, and says what is wrong with it; it stays within the specification."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from referral_service.coding.tables import table
from referral_service.fhir.terminology import profiles_folder, vocabulary
from referral_service.policy import PolicyError, load_policy
from referral_service.referral import Certainty, Flag, Queue

SHIPPED = Path(__file__).parent.parent / "referral_service" / "policy.toml"


def test_the_shipped_policy_has_a_name_and_a_version() -> None:
    assert load_policy().label == "default|2026.1"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('zone = "Europe/London"', 'zone = "Europe/Londonium"', "zone: expected an IANA time zone"),
        ("adult_from = 18", 'adult_from = "18"', "adult_from: expected int"),
        ("adult_from = 18", "adult_frm = 18", "unknown: adult_frm"),
        ("admit_draft = false", "", "missing: admit_draft"),
        ('status-dystonicus = "stat"', 'status-dystonicus = "now"', "red_flags.status-dystonicus: expected one of"),
        (
            '"image/png", "text/plain"',
            '"image/png", "image/gif"',
            "attachments.types: expected some of application/pdf",
        ),
        ("megabytes = 5", 'megabytes = "5"', "attachments.megabytes: expected int"),
        ("holidays = []", "holidays = [25]", "clock.holidays: expected days"),
        ("holidays = []", "holidays = [2026-12-25T00:00:00]", "clock.holidays: expected days"),
        ("due_soon = 1", "due_soon = -1", "clock.due_soon: expected no negative number"),
        ("outer_weeks = 18", 'outer_weeks = "18"', "due.routine.outer_weeks: expected int"),
        ('name = "default"', "name = default", "not TOML"),
    ],
)
def test_a_wrong_policy_is_refused_with_the_key(tmp_path: Path, before: str, after: str, words: str) -> None:
    text = SHIPPED.read_text("utf-8")
    assert before in text
    changed = tmp_path / "policy.toml"
    changed.write_text(text.replace(before, after, 1), "utf-8")
    with pytest.raises(PolicyError, match=words):
        load_policy(changed)


def test_the_holidays_of_a_site_are_days(tmp_path: Path) -> None:
    changed = tmp_path / "policy.toml"
    changed.write_text(SHIPPED.read_text("utf-8").replace("holidays = []", "holidays = [2026-12-25]"), "utf-8")
    assert load_policy(changed).holidays == {date(2026, 12, 25)}


def test_each_red_flag_rule_has_its_lane_and_each_lane_its_rule() -> None:
    assert set(load_policy().red_flag_lanes) == {row["rule"] for row in table("red_flags")}


def test_each_switch_chooses_among_codes_that_there_are() -> None:
    codes = vocabulary().pairs
    assert {rule: code for rule, code in load_policy().contestable.items() if code not in codes} == {}


@pytest.mark.parametrize(("name", "members"), [("queue", Queue), ("flag", Flag), ("certainty", Certainty)])
def test_the_code_systems_hold_what_decisions_say(name: str, members: type[Queue | Flag | Certainty]) -> None:
    system = json.loads(profiles_folder().joinpath(f"CodeSystem-{name}.json").read_text("utf-8"))
    assert [concept["code"] for concept in system["concept"]] == [member.value for member in members]
