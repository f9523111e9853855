"""The clock of a referral: when it is due, counted in the business days of the site's policy."""

from __future__ import annotations

from datetime import date, timedelta

from referral_service.policy import Policy
from referral_service.referral import Priority


def due_on(received_on: date, priority: Priority, policy: Policy) -> date:
    """The last day for triage: the policy's business days (Monday to Friday) after the day of first receipt."""
    day = received_on
    for _ in range(policy.due[priority]):
        day += timedelta(days=1)
        while day.weekday() >= 5:
            day += timedelta(days=1)
    return day
