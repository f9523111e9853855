"""A question that its sender does not answer raises an alert on the days of the policy, once a hold and kind."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from referral_service.intake.moves import act
from referral_service.policy import Policy
from referral_service.referral import AlertKind, Queue
from referral_service.reminding import Reminder
from referral_service.store import alerts, tables
from referral_service.store.engine import Store
from referral_service.worklist import Actor, Role
from tests.receivers import Mailbox, Receiver
from tests.shapes import referral
from tests.test_telling import PATIENT, PUBLIC_URL, Duty, a_patient_with_a_red_flag

MONDAY = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)
REMIND = datetime(2026, 3, 25, 9, 0, tzinfo=UTC)
ESCALATE = datetime(2026, 4, 3, 8, 0, tzinfo=UTC)
"""The site opens at nine of its own clock; on the third of April that is eight in UTC."""
SECOND = timedelta(seconds=1)
LEAD = Actor("lea", "Lea Example", frozenset({Role.COORDINATOR, Role.LEAD}), frozenset(Queue))


@pytest.fixture
def duty(store: Store) -> Duty:
    return Duty(store, Receiver(), Mailbox())


def moves(duty: Duty, identity: str, code: str, reason: str = "", comment: str = "") -> None:
    task = tables.task
    with duty.store.reading() as connection:
        found = connection.execute(select(task.c.id).where(task.c.referral_id == identity)).scalar_one()
    answer = act(duty.site, LEAD, found, None, code, {"reason": reason, "comment": comment}, duty.at, "r-2")
    assert answer.fault is None, answer.issues


def asked(duty: Duty) -> str:
    identity = duty.arrives(referral("R-77"))
    moves(duty, identity, "return-for-information", "more-information-needed", "Which medicines does Ada take?")
    return identity


def looks(duty: Duty, at: datetime, policy: Policy | None = None) -> list[tuple[str, int, bool]]:
    """(kind, hold, whether it is open) of every alert, once a worker has looked at that time."""
    duty.at = at
    assert Reminder(duty.store, policy or duty.policy, duty.clock).step()
    return standing(duty)


def standing(duty: Duty) -> list[tuple[str, int, bool]]:
    alert = tables.alert
    columns = (alert.c.kind, alert.c.hold, alert.c.acknowledged_at.is_(None))
    with duty.store.reading() as connection:
        found = connection.execute(select(*columns).order_by(alert.c.at, alert.c.kind.desc()))
        return [(kind, hold, bool(is_open)) for kind, hold, is_open in found]


def test_the_day_of_the_site_on_which_the_sender_is_to_be_reminded_and_that_of_a_lead_each_raise_an_alert(
    duty: Duty,
) -> None:
    asked(duty)
    assert looks(duty, REMIND - SECOND) == []
    assert looks(duty, REMIND) == [("reminder", 2, True)]
    assert looks(duty, ESCALATE - SECOND) == [("reminder", 2, True)]
    assert looks(duty, ESCALATE) == [("reminder", 2, True), ("escalation", 2, True)]
    assert looks(duty, ESCALATE + timedelta(days=30)) == [("reminder", 2, True), ("escalation", 2, True)]


def test_a_hold_for_another_reason_raises_none(duty: Duty) -> None:
    moves(duty, duty.arrives(referral()), "hold", "patient-unavailable")
    assert looks(duty, ESCALATE) == []


def test_another_change_while_it_is_on_hold_changes_neither_the_day_nor_the_number(duty: Duty) -> None:
    identity = asked(duty)
    duty.at = MONDAY + timedelta(days=3)
    moves(duty, identity, "comment", comment="Rang; nobody there.")
    assert looks(duty, REMIND) == [("reminder", 2, True)]
    moves(duty, identity, "comment", comment="Rang again.")
    assert looks(duty, REMIND + timedelta(days=1)) == [("reminder", 2, True)]


def test_an_alert_is_closed_with_its_hold_and_nobody_further_is_told(duty: Duty) -> None:
    identity = asked(duty)
    looks(duty, REMIND)
    moves(duty, identity, "resume")
    assert standing(duty) == [("reminder", 2, False)]
    assert [row[2] for row in duty.notices()] == [None, None]
    alert = duty.alert()
    assert (alert["acknowledged_by"], alert["acknowledged_at"]) == (None, "2026-03-25T09:00:00.000Z")


def test_what_a_hold_does_not_speak_of_stays_open_when_it_ends(duty: Duty) -> None:
    identity = duty.arrives(a_patient_with_a_red_flag())
    moves(duty, identity, "return-for-information", "more-information-needed", "Since when?")
    looks(duty, REMIND)
    moves(duty, identity, "resume")
    assert standing(duty) == [("red-flag", 0, True), ("reminder", 2, False)]


def test_what_somebody_has_acknowledged_stays_theirs_when_the_hold_ends(duty: Duty) -> None:
    identity = asked(duty)
    looks(duty, REMIND)
    with duty.store.writing() as connection:
        assert alerts.acknowledge(connection, duty.alert()["id"], "lea", duty.at)
    duty.at += timedelta(days=1)
    moves(duty, identity, "resume")
    assert (duty.alert()["acknowledged_by"], duty.alert()["acknowledged_at"]) == ("lea", "2026-03-25T09:00:00.000Z")


def test_a_question_asked_again_counts_from_then_and_raises_its_own(duty: Duty) -> None:
    identity = asked(duty)
    looks(duty, REMIND)
    moves(duty, identity, "resume")
    moves(duty, identity, "return-for-information", "more-information-needed", "And since when?")
    assert looks(duty, ESCALATE - SECOND) == [("reminder", 2, False)]
    assert looks(duty, ESCALATE) == [("reminder", 2, False), ("reminder", 4, True)]


def test_an_end_that_is_taken_back_leaves_the_question_as_old_as_it_was(duty: Duty) -> None:
    identity = asked(duty)
    looks(duty, REMIND)
    moves(duty, identity, "reject", "duplicate")
    assert looks(duty, ESCALATE) == [("reminder", 2, False)]
    moves(duty, identity, "undo", comment="Pressed by mistake.")
    assert looks(duty, ESCALATE) == [("reminder", 2, False), ("reminder", 4, True), ("escalation", 4, True)]


def test_only_the_kinds_of_the_policy_are_raised(duty: Duty) -> None:
    asked(duty)
    policy = replace(duty.policy, alerts=replace(duty.policy.alerts, kinds=frozenset({AlertKind.ESCALATION})))
    assert looks(duty, ESCALATE, policy) == [("escalation", 2, True)]


def test_contacts_are_told_of_it_without_a_word_of_the_patient(duty: Duty) -> None:
    identity = asked(duty)
    looks(duty, REMIND)
    with duty.pager.open(), duty.box.open():
        duty.works()
        duty.at += timedelta(minutes=10)
        duty.works()
    (call,), (letter,) = duty.pager.calls, duty.box.letters
    assert (call.body["kind"], call.body["id"]) == ("reminder", identity)
    assert letter["Subject"] == f"Sender to be reminded: referral {identity}"
    assert letter.get_content().splitlines()[:5] == [
        "Sender to be reminded, in Adult movement disorders.",
        "",
        f"Referral {identity}",
        "Raised 2026-03-25 09:00 (Europe/London)",
        f"{PUBLIC_URL}/referrals/{identity}",
    ]
    told: list[Any] = [str(call.body), letter.as_string()]
    assert [word for word in (*PATIENT, "medicines") for one in told if word in one] == []


def test_a_worker_looks_once_a_minute(duty: Duty) -> None:
    reminder = Reminder(duty.store, duty.policy, duty.clock)
    assert (reminder.next_due(), reminder.step(), reminder.step()) == ("2026-03-16T12:00:00.000Z", True, False)
    assert reminder.next_due() == "2026-03-16T12:01:00.000Z"
    duty.at += timedelta(minutes=1)
    assert reminder.step()
