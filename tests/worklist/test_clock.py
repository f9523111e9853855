"""A referral's clock runs in business days from the day of first receipt, and stands still only while it is paused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral_service.policy import load_policy
from referral_service.referral import Priority
from referral_service.worklist import due_on
from referral_service.worklist.clock import (
    ClockState,
    Pause,
    business_days_after,
    escalation_on,
    outer_bound,
    paused_days,
    reminder_on,
    state,
)

POLICY = load_policy()
EASTER = replace(POLICY, holidays=frozenset({date(2026, 4, 3), date(2026, 4, 6)}))
DAYS = st.dates(date(2026, 1, 1), date(2027, 12, 31))


@pytest.mark.parametrize(
    ("received", "priority", "due"),
    [
        (date(2026, 3, 16), Priority.STAT, date(2026, 3, 16)),
        (date(2026, 3, 16), Priority.ASAP, date(2026, 3, 17)),
        (date(2026, 3, 16), Priority.URGENT, date(2026, 3, 18)),
        (date(2026, 3, 16), Priority.ROUTINE, date(2026, 3, 23)),
        (date(2026, 3, 20), Priority.ASAP, date(2026, 3, 23)),  # a Friday
        (date(2026, 3, 21), Priority.STAT, date(2026, 3, 21)),  # a Saturday
        (date(2026, 3, 21), Priority.ASAP, date(2026, 3, 23)),
    ],
)
def test_weekends_do_not_count(received: date, priority: Priority, due: date) -> None:
    assert due_on(received, priority, POLICY) == due


def test_the_holidays_of_the_site_do_not_count() -> None:
    assert due_on(date(2026, 4, 2), Priority.ASAP, EASTER) == date(2026, 4, 7)
    assert due_on(date(2026, 4, 3), Priority.STAT, EASTER) == date(2026, 4, 3)


def test_a_pause_that_has_ended_moves_the_due_date_by_its_business_days() -> None:
    monday, pause = date(2026, 3, 16), Pause(date(2026, 3, 17), date(2026, 3, 24))
    assert paused_days([pause], POLICY) == 5
    assert due_on(monday, Priority.ROUTINE, POLICY, [pause]) == date(2026, 3, 30)
    assert due_on(monday, Priority.ROUTINE, POLICY, [Pause(date(2026, 3, 17))]) == date(2026, 3, 23)
    over_easter = Pause(date(2026, 4, 2), date(2026, 4, 7))
    assert (paused_days([over_easter], POLICY), paused_days([over_easter], EASTER)) == (3, 1)


@given(DAYS, st.integers(0, 30), st.integers(0, 30))
def test_moving_a_due_date_is_the_same_as_counting_on(day: date, first: int, more: int) -> None:
    there = business_days_after(business_days_after(day, first, EASTER), more, EASTER)
    assert there == business_days_after(day, first + more, EASTER)


@given(DAYS, st.integers(0, 60))
def test_a_pause_of_so_many_business_days_is_counted_as_so_many(day: date, count: int) -> None:
    end = business_days_after(day, count, EASTER)
    assert paused_days([Pause(day, end)], EASTER) == count


def test_only_routine_has_an_outer_bound() -> None:
    monday = date(2026, 3, 16)
    assert outer_bound(monday, Priority.ROUTINE, POLICY) == monday + timedelta(weeks=18)
    pause = Pause(date(2026, 3, 17), date(2026, 3, 18))
    assert outer_bound(monday, Priority.ROUTINE, POLICY, [pause]) == monday + timedelta(weeks=18, days=1)
    assert [outer_bound(monday, one, POLICY) for one in (Priority.URGENT, Priority.ASAP, Priority.STAT)] == [None] * 3


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        (date(2026, 3, 19), ClockState.ON_TIME),
        (date(2026, 3, 20), ClockState.DUE_SOON),  # the Friday before
        (date(2026, 3, 21), ClockState.DUE_SOON),
        (date(2026, 3, 23), ClockState.DUE_SOON),
        (date(2026, 3, 24), ClockState.OVERDUE),
    ],
)
def test_a_task_is_on_time_due_soon_then_overdue(today: date, expected: ClockState) -> None:
    monday = date(2026, 3, 23)
    assert state(monday, today, POLICY) is expected
    assert state(monday, today, POLICY, is_paused=True) is ClockState.PAUSED


def test_a_question_is_reminded_of_and_then_escalated() -> None:
    asked = date(2026, 3, 16)
    assert (reminder_on(asked, POLICY), escalation_on(asked, POLICY)) == (date(2026, 3, 25), date(2026, 4, 3))
    assert (reminder_on(asked, EASTER), escalation_on(asked, EASTER)) == (date(2026, 3, 25), date(2026, 4, 7))
