"""A few at a time; nobody for a while after three failures in a row; then one that goes ahead."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from referral_service.ehr.turnstile import FAILURES, REST_SECONDS, Turnstile


@dataclass
class Gate:
    at: float = 50.0
    turnstile: Turnstile = field(init=False)

    def __post_init__(self) -> None:
        self.turnstile = Turnstile(2, lambda: self.at)

    def passes(self, *, has_failed: bool = False, rest: float | None = None) -> None:
        assert self.turnstile.enter()
        self.turnstile.leave(has_failed=has_failed, rest=rest)

    def fails(self, times: int) -> None:
        for _ in range(times):
            self.passes(has_failed=True)


@pytest.fixture
def gate() -> Gate:
    return Gate()


def test_no_more_than_its_places_are_let_in_at_once_and_nobody_waits(gate: Gate) -> None:
    assert [gate.turnstile.enter() for _ in range(3)] == [True, True, False]
    assert not gate.turnstile.is_open()
    gate.turnstile.leave(has_failed=False)
    assert (gate.turnstile.is_open(), gate.turnstile.enter()) == (True, True)


def test_it_closes_after_failures_in_a_row_only(gate: Gate) -> None:
    gate.fails(FAILURES - 1)
    gate.passes()
    gate.fails(FAILURES - 1)
    assert gate.turnstile.is_open()
    gate.fails(1)
    assert (gate.turnstile.is_open(), gate.turnstile.enter()) == (False, False)


def test_after_its_rest_one_goes_ahead_and_the_others_follow_when_that_went_well(gate: Gate) -> None:
    gate.fails(FAILURES)
    gate.at += REST_SECONDS - 0.1
    assert not gate.turnstile.enter()
    gate.at += 0.1
    assert [gate.turnstile.enter(), gate.turnstile.enter()] == [True, False]
    gate.turnstile.leave(has_failed=False)
    assert [gate.turnstile.enter(), gate.turnstile.enter()] == [True, True]


def test_it_rests_again_when_the_one_who_went_ahead_failed(gate: Gate) -> None:
    gate.fails(FAILURES)
    gate.at += REST_SECONDS
    gate.fails(1)
    assert (gate.turnstile.is_open(), gate.turnstile.seconds_to_rest()) == (False, REST_SECONDS)


def test_it_rests_as_long_as_it_was_asked_to(gate: Gate) -> None:
    gate.passes(has_failed=True, rest=600.0)
    gate.at += 599.0
    assert (gate.turnstile.enter(), gate.turnstile.seconds_to_rest()) == (False, 1.0)
    gate.at += 1.0
    assert gate.turnstile.enter()


def test_whoever_was_inside_when_it_closed_gives_the_place_back(gate: Gate) -> None:
    assert gate.turnstile.enter()
    gate.fails(FAILURES)
    gate.turnstile.leave(has_failed=True)
    gate.at += REST_SECONDS
    gate.passes()
    assert [gate.turnstile.enter(), gate.turnstile.enter()] == [True, True]
