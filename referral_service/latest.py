"""A question whose answer may be some seconds old, and which nobody awaits for longer than a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked(Generic[T]):
    """``answer`` is None when there was none: ``problem`` says why, and is None when it did not come in time."""

    answer: T | None = None
    problem: Exception | None = None


@dataclass(slots=True)
class _Question(Generic[T]):
    begun: float
    ended: Event = field(default_factory=Event)
    asked: Asked[T] = field(default_factory=Asked)


@dataclass(slots=True)
class Latest(Generic[T]):
    """Asks in a thread of its own, one question at a time, however many want to know.

    ``keeps`` is for how many seconds an answer holds, ``waits`` how long anybody waits for one. What failed is asked
    again by whoever comes next.
    """

    ask: Callable[[], T]
    keeps: float
    waits: float
    clock: Callable[[], float] = time.monotonic
    _lock: Lock = field(default_factory=Lock)
    _question: _Question[T] | None = None

    def get(self) -> Asked[T]:
        question = self._current()
        question.ended.wait(self.waits)
        return question.asked

    def _current(self) -> _Question[T]:
        with self._lock:
            found = self._question
            if found is not None and not found.ended.is_set():
                return found
            now = self.clock()
            if found is not None and found.asked.problem is None and now - found.begun < self.keeps:
                return found
            begun: _Question[T] = _Question(now)
            self._question = begun
        # It may hang for as long as the database does; a process that ends does not wait for it.
        try:
            Thread(target=self._answer, args=(begun,), name="latest", daemon=True).start()
        except RuntimeError as problem:  # no thread can be had just now
            begun.asked = Asked(problem=problem)
            begun.ended.set()
        return begun

    def _answer(self, question: _Question[T]) -> None:
        try:
            question.asked = Asked(answer=self.ask())
        except Exception as problem:
            question.asked = Asked(problem=problem)
        finally:
            question.ended.set()
