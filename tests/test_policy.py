"""The policy file is typed, named and versioned, and says what is wrong with it; it stays within the specification."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from referral_service.coding.tables import table
from referral_service.fhir.terminology import profiles_folder, vocabulary
from referral_service.policy import Alerts, Contact, PolicyError, Retention, load_policy
from referral_service.referral import AlertKind, Certainty, Flag, Queue

SHIPPED = Path(__file__).parent.parent / "referral_service" / "policy.toml"


def test_the_shipped_policy_has_a_name_and_a_version() -> None:
    assert load_policy().label == "default|2026.1"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('zone = "Europe/London"', 'zone = "Europe/Londonium"', "zone: expected an IANA time zone"),
        ("adult_from = 18", 'adult_from = "18"', "adult_from: expected int"),
        ("adult_from = 18", "adult_frm = 18", "unknown: adult_frm"),
        ('languages = ["en"]', 'languages = ["en", "de"]', "languages: expected some of en"),
        ("admit_draft = false", "", "missing: admit_draft"),
        ('status-dystonicus = "stat"', 'status-dystonicus = "now"', "red_flags.status-dystonicus: expected one of"),
        (
            '"image/png", "text/plain"',
            '"image/png", "image/svg+xml"',
            "attachments.types: expected some of application/pdf",
        ),
        ("megabytes = 5", 'megabytes = "5"', "attachments.megabytes: expected int"),
        ("holidays = []", "holidays = [25]", "clock.holidays: expected days"),
        ("holidays = []", "holidays = [2026-12-25T00:00:00]", "clock.holidays: expected days"),
        ("opens = 09:00:00", "opens = 9", "clock.opens: expected time"),
        ("due_soon = 1", "due_soon = -1", "clock.due_soon: expected no negative number"),
        ("outer_weeks = 18", 'outer_weeks = "18"', "due.routine.outer_weeks: expected int"),
        ("escalate_minutes = 15", "escalate_minutes = 0", "alerts.escalate_minutes: expected 1 or more"),
        (
            'kinds = ["red-flag", "stat", "reminder", "escalation"]',
            'kinds = ["red"]',
            "alerts.kinds: expected one of red-flag, stat, reminder, escalation",
        ),
        ('kinds = ["red-flag", "stat", "reminder", "escalation"]', "", "missing: kinds"),
        ("escalate_minutes = 15", "escalate_minutes = 15\nmail = 1", "unknown: alerts.mail"),
        ("history_days = 0", "history_days = -1", "retention.history_days: expected no negative number"),
        ("audit_days = 0", 'audit_days = "0"', "retention.audit_days: expected int"),
        ("audit_days = 0", "audit_dys = 0", "unknown: retention.audit_dys"),
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


def test_what_the_policy_says_nothing_of_is_kept_for_ever(tmp_path: Path) -> None:
    assert load_policy().retention == Retention(90, 0, 0, 365, 365)
    changed = tmp_path / "policy.toml"
    before, after = SHIPPED.read_text("utf-8").split("[retention]")
    changed.write_text(before + "[attachments]" + after.split("[attachments]")[1], "utf-8")
    assert load_policy(changed).retention == Retention(0, 0, 0, 0, 0)


def test_each_red_flag_rule_has_its_lane_and_each_lane_its_rule() -> None:
    assert set(load_policy().red_flag_lanes) == {row["rule"] for row in table("red_flags")}


def test_each_switch_chooses_among_codes_that_there_are() -> None:
    codes = vocabulary().pairs
    assert {rule: code for rule, code in load_policy().contestable.items() if code not in codes} == {}


@pytest.mark.parametrize(("name", "members"), [("queue", Queue), ("flag", Flag), ("certainty", Certainty)])
def test_the_code_systems_hold_what_decisions_say(name: str, members: type[Queue | Flag | Certainty]) -> None:
    system = json.loads(profiles_folder().joinpath(f"CodeSystem-{name}.json").read_text("utf-8"))
    assert [concept["code"] for concept in system["concept"]] == [member.value for member in members]


def with_contacts(folder: Path, contacts: str) -> Path:
    changed = folder / "policy.toml"
    changed.write_text(SHIPPED.read_text("utf-8").replace("\n[contestable]", f"\n{contacts}\n[contestable]"), "utf-8")
    return changed


def test_the_shipped_policy_tells_nobody_and_shows_how(tmp_path: Path) -> None:
    both = frozenset(AlertKind)
    assert load_policy().alerts == Alerts(both, 15, ())
    shown = [line.removeprefix("# ") for line in SHIPPED.read_text("utf-8").splitlines()]
    first = next(place for place, line in enumerate(shown) if line.startswith("[[alerts.contacts]]"))
    told = load_policy(with_contacts(tmp_path, "\n".join(shown[first : first + 6]))).alerts
    assert told.contacts == (
        Contact("Duty neurologist", email="duty@hospital.example"),
        Contact("Pager of the on-call team", webhook="https://pager.hospital.example/alerts"),
    )


@pytest.mark.parametrize(
    ("contact", "words"),
    [
        ('email = "a@b.example"', r"alerts.contacts\[0\].name: expected str"),
        ('name = ""\nemail = "a@b.example"', r"alerts.contacts\[0\].name: expected 1 to 128 characters"),
        ('name = "A"', r"alerts.contacts\[0\]: expected email or webhook, and not both"),
        ('name = "A"\nemail = "a@b.example"\nwebhook = "https://b.example"', "and not both"),
        ('name = "A"\nemail = "A <a@b.example>"', r"alerts.contacts\[0\].email: expected a mail address"),
        (
            'name = "A"\nemail = "a@b.example\\nBcc: c@d.example"',
            r"alerts.contacts\[0\].email: expected a mail address",
        ),
        ('name = "A"\nwebhook = "ftp://b.example"', r"alerts.contacts\[0\].webhook: expected an http or https address"),
        ('name = "A"\nwebhook = "https://u:p@b.example"', r"alerts.contacts\[0\].webhook: expected an http or https"),
        ('name = "A"\nphone = "1"', r"unknown: alerts.contacts\[0\].phone"),
    ],
)
def test_a_wrong_contact_is_refused_with_its_place(tmp_path: Path, contact: str, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        load_policy(with_contacts(tmp_path, f"[[alerts.contacts]]\n{contact}\n"))
