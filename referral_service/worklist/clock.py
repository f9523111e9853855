"""The clock of a referral, in business days of the site: Monday to Friday but the policy's holidays.

It starts at first receipt and is never started again; it stands still only while it is paused with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from referral_service.policy import Policy
from referral_service.referral import Priority


@dataclass(frozen=True, slots=True)
class Pause:
    """The clock stood still from ``start`` to ``end``; ``end`` is None while it does."""

    start: date
    end: date | None = None


class ClockState(StrEnum):
    ON_TIME = "on-time"
    DUE_SOON = "due-soon"
    OVERDUE = "overdue"
    PAUSED = "paused"


def due_on(received_on: date, priority: Priority, policy: Policy, pauses: Sequence[Pause] = ()) -> date:
    """The last day for triage: the policy's business days after first receipt, and as many as the clock stood still.

    A pause that has not ended moves nothing yet: what it adds is known when the clock runs again.
    """
    return business_days_after(received_on, policy.due[priority] + paused_days(pauses, policy), policy)


def outer_bound(received_on: date, priority: Priority, policy: Policy, pauses: Sequence[Pause] = ()) -> date | None:
    """The day by which the patient is to be seen at the latest; None where the policy sets no such bound."""
    weeks = policy.outer_weeks.get(priority)
    if weeks is None:
        return None
    return business_days_after(received_on + timedelta(weeks=weeks), paused_days(pauses, policy), policy)


def state(due: date, today: date, policy: Policy, *, is_paused: bool = False) -> ClockState:
    """How an open Task stands on a day; on its due day it is still in time."""
    if is_paused:
        return ClockState.PAUSED
    if today > due:
        return ClockState.OVERDUE
    soon = business_days_after(today, policy.due_soon_days, policy)
    return ClockState.DUE_SOON if due <= soon else ClockState.ON_TIME


def reminder_on(returned_on: date, policy: Policy) -> date:
    """When a sender who was asked for more is reminded."""
    return business_days_after(returned_on, policy.remind_days, policy)


def escalation_on(returned_on: date, policy: Policy) -> date:
    """When a question that was not answered goes to a lead."""
    return business_days_after(returned_on, policy.escalate_days, policy)


def business_days_after(day: date, count: int, policy: Policy) -> date:
    """The day itself when ``count`` is 0, whatever day it is; else the last of so many business days after it."""
    for _ in range(count):
        day += timedelta(days=1)
        while not is_business_day(day, policy):
            day += timedelta(days=1)
    return day


def paused_days(pauses: Sequence[Pause], policy: Policy) -> int:
    """How many business days lie in the pauses that have ended: after each first day, up to its last."""
    return sum(_business_days_in(pause.start, pause.end, policy) for pause in pauses if pause.end is not None)


def is_business_day(day: date, policy: Policy) -> bool:
    return day.weekday() < 5 and day not in policy.holidays


def _business_days_in(after: date, until: date, policy: Policy) -> int:
    days = (after + timedelta(days=number) for number in range(1, (until - after).days + 1))
    return sum(is_business_day(day, policy) for day in days)
