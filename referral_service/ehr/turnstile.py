"""Who may call an EHR just now: a few at a time, and nobody for a while once it has failed several times in a row.

A bulkhead and a circuit breaker (https://learn.microsoft.com/azure/architecture/patterns/circuit-breaker).
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

FAILURES = 3
REST_SECONDS = 30.0


class Turnstile:
    """Whoever was let in by :meth:`enter` says by :meth:`leave` how it went. ``clock`` is monotonic, in seconds.

    After a rest one goes ahead, and all the others once that one came back well.
    """

    def __init__(self, places: int, clock: Callable[[], float]) -> None:
        self._lock = Lock()
        self._clock = clock
        self._free = places
        self._places = places
        self._failures = 0
        self._rests_until = float("-inf")

    def is_open(self) -> bool:
        """Whether somebody would be let in."""
        with self._lock:
            return self._admits()

    def enter(self) -> bool:
        with self._lock:
            if not self._admits():
                return False
            self._free -= 1
            return True

    def leave(self, *, has_failed: bool, rest: float | None = None) -> None:
        """``rest`` is for how many seconds the other asked to be left alone."""
        with self._lock:
            self._free += 1
            self._failures = self._failures + 1 if has_failed else 0
            if self._failures >= FAILURES or rest is not None:
                self._rests_until = self._clock() + max(rest or 0.0, REST_SECONDS)
                self._failures = max(self._failures, FAILURES)

    def seconds_to_rest(self) -> float:
        with self._lock:
            return max(0.0, self._rests_until - self._clock())

    def is_resting(self) -> bool:
        """Whether the other is left alone because it failed."""
        with self._lock:
            return self._failures >= FAILURES

    def _admits(self) -> bool:
        if self._clock() < self._rests_until:
            return False
        goes_ahead = self._failures >= FAILURES
        return self._free > (self._places - 1 if goes_ahead else 0)
