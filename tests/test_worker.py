"""The worker: how long it waits between tries, and that no fault ends it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral_service.store.engine import Store, open_store
from referral_service.worker import Together, delay, run

LONG_AGO = "2026-01-01T00:00:00.000Z"


def test_the_pauses_double_from_a_second_to_a_quarter_of_an_hour() -> None:
    longest = [delay(attempts, 1.0) for attempts in range(1, 14)]
    assert longest == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]
    shortest = [delay(attempts, 0.0) for attempts in range(1, 14)]
    assert shortest == [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 450, 450, 450]


@given(st.integers(min_value=1, max_value=10**9), st.floats(min_value=0, max_value=1))
def test_every_pause_is_between_a_second_and_a_quarter_of_an_hour(attempts: int, chance: float) -> None:
    assert 1 <= delay(attempts, chance) <= 900


@given(st.integers(min_value=2, max_value=40), st.floats(min_value=0, max_value=1), st.floats(min_value=0, max_value=1))
def test_jitter_spreads_a_pause_over_half_of_it(attempts: int, one: float, other: float) -> None:
    assert abs(delay(attempts, one) - delay(attempts, other)) <= delay(attempts, 1.0) / 2


@dataclass
class Faulty:
    """Work of which the first piece fails, with words that nobody is to read."""

    stopping: Event
    done: list[str] = field(default_factory=list)

    def step(self) -> bool:
        self.done.append("tried")
        if len(self.done) == 1:
            raise ValueError("Ada Vellum, born 1971-06-13")
        if len(self.done) == 3:
            self.stopping.set()
        return True

    def next_due(self) -> str | None:
        return LONG_AGO


def test_a_fault_is_logged_without_its_words_and_work_goes_on(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    stopping = Event()
    work = Faulty(stopping)
    run(store, work, stopping)
    assert work.done == ["tried"] * 3
    (line,) = caplog.messages
    assert line.startswith("worker_failed kind=ValueError at=tests.test_worker:")
    assert "Ada" not in caplog.text


@dataclass
class Busy:
    """Work that never ends; the piece that fails is told to the caller."""

    name: str
    done: list[str]
    fails: bool = False

    def step(self) -> bool:
        self.done.append(self.name)
        if self.fails:
            raise ZeroDivisionError
        return True

    def next_due(self) -> str | None:
        return LONG_AGO


def test_each_kind_of_work_has_its_turn_however_much_another_has_to_do() -> None:
    done: list[str] = []
    work = Together((Busy("a", done), Busy("b", done), Busy("c", done)))
    assert [work.step() for _ in range(6)] == [True] * 6
    assert done == ["a", "b", "c"] * 2


def test_a_kind_that_fails_keeps_no_other_from_its_turn() -> None:
    done: list[str] = []
    work = Together((Busy("a", done, fails=True), Busy("b", done)))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            work.step()
        assert work.step()
    assert done == ["a", "b"] * 2


@dataclass
class Late:
    """Work that is due in an hour; nobody may touch it before."""

    stopping: Event

    def step(self) -> bool:
        raise AssertionError("touched before its time")

    def next_due(self) -> str | None:
        self.stopping.set()
        return datetime.now(UTC).replace(year=datetime.now(UTC).year + 1).isoformat()


def test_what_is_not_due_is_left(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    stopping = Event()
    run(store, Late(stopping), stopping)
    assert caplog.messages == []


def test_a_database_that_is_away_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stopping = Event()
    gone = open_store(f"postgresql://nobody@127.0.0.1:1/{tmp_path.name}")

    class Watching(Faulty):
        pass

    def stop(_: float) -> bool:
        stopping.set()
        return True

    stopping.wait = stop  # type: ignore[method-assign, assignment]
    run(gone, Watching(stopping), stopping)
    (line,) = caplog.messages
    assert line.startswith("worker_without_database kind=OperationalError")
