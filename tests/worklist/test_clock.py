"""Due dates are counted in business days from the day of first receipt."""

from __future__ import annotations

from datetime import date

import pytest

from referral_service.policy import load_policy
from referral_service.referral import Priority
from referral_service.worklist import due_on

POLICY = load_policy()


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
