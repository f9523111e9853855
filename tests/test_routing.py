"""Ages are intervals; only one that lies wholly on one side routes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral_service.policy import Transition, load_policy
from referral_service.referral import AgeInterval, Queue
from referral_service.routing import age_interval, queue_for

ON = date(2026, 3, 16)
POLICY = load_policy()

AGES = [
    # birth date     on                 min   max   what it shows
    ("2017-03-17", ON, 8, 8, "the day before the birthday"),
    ("2017-03-16", ON, 9, 9, "on the birthday"),
    ("2017-03-15", ON, 9, 9, "the day after the birthday"),
    ("2026-03-16", ON, 0, 0, "born on the day"),
    ("2008-03-17", ON, 17, 17, "a day short of eighteen"),
    ("2008-03-16", ON, 18, 18, "eighteen today"),
    ("2008-03", ON, 17, 18, "the month of the birthday straddles"),
    ("2008-04", ON, 17, 17, "a later month does not"),
    ("2008-02", ON, 18, 18, "an earlier month does not"),
    ("2008", ON, 17, 18, "the year straddles"),
    ("2007", ON, 18, 19, "the year before is wholly adult"),
    ("2009", ON, 16, 17, "the year after is wholly a child"),
    ("2026", ON, 0, 0, "this year, and not born in the future"),
    ("2026-03", ON, 0, 0, "this month, and not born in the future"),
    ("2008-02-29", date(2026, 2, 28), 17, 17, "born 29 February, common year, the day before 1 March"),
    ("2008-02-29", date(2026, 3, 1), 18, 18, "born 29 February, common year, on 1 March"),
    ("2008-02-29", date(2028, 2, 29), 20, 20, "born 29 February, leap year, on the day"),
    ("1896-03-16", ON, 130, 130, "130 years ago to the day"),
    ("1896", ON, 129, 130, "the year 130 years ago"),
]
UNDETERMINED = [None, "", "2026-03-17", "2026-04", "2027", "1896-03-15", "1895", "0000", "2008-13", "2008-3-1",
                "2007-02-29", "16.03.2008", "2008-03-16T00:00:00Z", "２００８"]  # fmt: skip  # noqa: RUF001


@pytest.mark.parametrize(("born", "on", "minimum", "maximum"), [row[:4] for row in AGES], ids=[row[4] for row in AGES])
def test_an_age_is_an_interval_of_whole_years(born: str, on: date, minimum: int, maximum: int) -> None:
    assert age_interval(born, on) == AgeInterval(on, minimum, maximum)


@pytest.mark.parametrize("born", UNDETERMINED)
def test_an_absent_impossible_future_or_ancient_birth_date_gives_no_age(born: str | None) -> None:
    assert age_interval(born, ON) is None


@pytest.mark.parametrize(
    ("minimum", "maximum", "queue"),
    [
        (0, 0, Queue.PEDIATRIC),
        (17, 17, Queue.PEDIATRIC),
        (16, 17, Queue.PEDIATRIC),
        (17, 18, None),
        (18, 18, Queue.ADULT),
        (18, 19, Queue.ADULT),
        (129, 130, Queue.ADULT),
    ],
)
def test_only_an_age_wholly_on_one_side_has_a_queue(minimum: int, maximum: int, queue: Queue | None) -> None:
    assert queue_for(AgeInterval(ON, minimum, maximum), POLICY) is queue


def test_an_unknown_age_has_no_queue() -> None:
    assert queue_for(None, POLICY) is None


@pytest.mark.parametrize(
    ("minimum", "maximum", "queue"),
    [
        (15, 15, Queue.PEDIATRIC),
        (16, 16, Queue.ADULT),
        (17, 18, Queue.ADULT),
        (15, 16, Queue.PEDIATRIC),
        (19, 19, Queue.ADULT),
    ],
)
def test_a_transition_band_takes_the_ages_inside_it_whatever_their_side(
    minimum: int, maximum: int, queue: Queue
) -> None:
    policy = replace(POLICY, transition=Transition(16, 19, Queue.ADULT))
    assert queue_for(AgeInterval(ON, minimum, maximum), policy) is queue


@pytest.mark.parametrize(
    ("zone", "day", "queue"),
    [
        ("Pacific/Auckland", date(2026, 3, 17), Queue.ADULT),
        ("UTC", date(2026, 3, 16), Queue.PEDIATRIC),
        ("America/Los_Angeles", date(2026, 3, 16), Queue.PEDIATRIC),
    ],
)
def test_the_day_is_the_one_of_the_sites_zone(zone: str, day: date, queue: Queue) -> None:
    """An hour before midnight UTC it is the birthday already further east."""
    on = datetime(2026, 3, 16, 23, 0, tzinfo=UTC).astimezone(ZoneInfo(zone)).date()
    assert (on, queue_for(age_interval("2008-03-17", on), POLICY)) == (day, queue)


@given(st.dates(date(1900, 1, 1), date(2026, 3, 16)), st.dates(date(2026, 3, 16), date(2029, 12, 31)))
def test_a_partial_date_never_says_less_than_the_full_one(born: date, on: date) -> None:
    full = age_interval(born.isoformat(), on)
    assert full is not None
    for partial in (f"{born:%Y-%m}", f"{born:%Y}"):
        wider = age_interval(partial, on)
        assert wider is not None
        assert wider.minimum <= full.minimum <= full.maximum <= wider.maximum
