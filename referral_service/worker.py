"""Whoever sends what is to be sent: looks for what is due, does it, waits, until told to stop.

On SQLite one thread of the serving process; on PostgreSQL any number of processes. What is due, and who has it in hand,
stands in the database (:mod:`referral_service.store.leases`), so that nothing is lost with a process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event, Thread, main_thread
from typing import Protocol

from referral_service import metrics
from referral_service.logs import where
from referral_service.store.engine import UNAVAILABLE, Store
from referral_service.store.leases import Bell, listening

log = logging.getLogger("referral_service")

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 15 * 60.0
LOOK_SECONDS = 15.0
"""How long a worker waits at most before it looks again, should nobody ring."""

_ELSEWHERE_SECONDS = 0.1
"""What is due is just being taken by another worker."""

Clock = Callable[[], datetime]


class Work(Protocol):
    """One kind of work. ``step`` does one piece of it that is due and says whether there was one."""

    def step(self) -> bool: ...

    def next_due(self) -> str | None: ...


@dataclass(slots=True)
class Together:
    """Several kinds of work by one worker, a piece at a time. Each kind has its turn, however much another has to do,
    and also when that one fails."""

    kinds: tuple[Work, ...]
    _turn: int = field(default=0, init=False)

    def step(self) -> bool:
        for _ in self.kinds:
            work = self.kinds[self._turn]
            self._turn = (self._turn + 1) % len(self.kinds)
            if work.step():
                return True
        return False

    def next_due(self) -> str | None:
        return min((due for work in self.kinds if (due := work.next_due()) is not None), default=None)


def delay(attempts: int, chance: float) -> float:
    """Seconds until the next try after ``attempts`` that failed: doubled each time, from 1 to 900, with jitter.

    ``chance`` in [0, 1) chooses between half of the doubled time and all of it, so that many that failed together do
    not come back together (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(attempts - 1, 30))
    return max(FIRST_SECONDS, longest * (0.5 + 0.5 * chance))


def now() -> datetime:
    return datetime.now(UTC)


def run(store: Store, work: Work, stopping: Event) -> None:
    """Until ``stopping`` is set; what is in hand then is finished first. A fault is logged, and then work goes on."""
    failures = 0
    while not stopping.is_set():
        try:
            with listening(store, stopping) as wait:
                while not stopping.is_set():
                    _work_and_wait(work, wait)
                    failures = 0
        except Exception as problem:
            failures += 1
            event = "worker_without_database" if isinstance(problem, UNAVAILABLE) else "worker_failed"
            metrics.work_failed(event)
            log.error("%s kind=%s at=%s", event, type(problem).__name__, where(problem))
            stopping.wait(min(LOOK_SECONDS, delay(failures, 1.0)))


def _work_and_wait(work: Work, wait: Bell) -> None:
    due = work.next_due()
    left = (datetime.fromisoformat(due) - now()).total_seconds() if due else LOOK_SECONDS
    if left > 0:
        wait(min(left, LOOK_SECONDS))
    elif not work.step():
        wait(_ELSEWHERE_SECONDS)


class _WithMainThread(Event):
    """Set by itself once the main thread has ended, for a thread that the interpreter waits for."""

    def is_set(self) -> bool:
        return super().is_set() or not main_thread().is_alive()


def start_thread(store: Store, work: Work) -> Thread:
    """One worker beside the threads that serve; when the process ends it finishes what it has in hand, and stops."""
    thread = Thread(target=run, args=(store, work, _WithMainThread()), name="worker")
    thread.start()
    return thread
