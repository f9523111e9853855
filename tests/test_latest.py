"""A question is asked once for many, its answer kept for a while, and never awaited for long."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

from referral_service.latest import Asked, Latest


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_is_kept_and_then_asked_for_anew() -> None:
    clock, numbers = Clock(), iter(range(9))
    latest = Latest(lambda: next(numbers), keeps=5, waits=5, clock=clock)
    assert [latest.get().answer, latest.get().answer] == [0, 0]
    clock.now = 5.0
    assert [latest.get().answer, latest.get().answer] == [1, 1]


def test_what_failed_is_asked_again_at_once() -> None:
    problem, answers = ValueError("away"), iter([None, 7])

    def ask() -> int:
        answer = next(answers)
        if answer is None:
            raise problem
        return answer

    latest = Latest(ask, keeps=5, waits=5)
    assert [latest.get(), latest.get()] == [Asked(problem=problem), Asked(answer=7)]


def test_nobody_waits_for_a_question_that_hangs_and_it_is_asked_only_once() -> None:
    hangs, asked = Event(), []

    def ask() -> str:
        asked.append(1)
        hangs.wait()
        return "at last"

    latest = Latest(ask, keeps=5, waits=0.01)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: latest.get(), range(8))) == [Asked()] * 8
    hangs.set()
    latest.waits = 5
    assert (latest.get(), len(asked)) == (Asked(answer="at last"), 1)
