"""Reads are audited in groups: many events, one transaction, and nobody who reads waits for a disk of their own.

A read hands its event over and waits at most :data:`LONGEST_WAIT` for its group to be committed; then it is answered
all the same. So what can be lost is what was handed over and is not committed yet when the process is killed or the
machine fails: events of reads alone, of the last moments, and never more than :data:`MOST_WAITING`. A process that ends
in order writes what it holds first. While the database cannot be written to, events are held and tried again; once
:data:`MOST_WAITING` are held, nothing more is given out (:class:`TrailFull`).
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition, Event, Thread

from referral_service import metrics
from referral_service.fhir.audit import Event as AuditEvent
from referral_service.store import audit
from referral_service.store.engine import Store

log = logging.getLogger("referral_service")

LONGEST_WAIT = 0.005
MOST_WAITING = 10_000
GROUP = 200
_IDLE_SECONDS = 0.5
_RETRY_SECONDS = 0.5
_LAST_TRIES = 6
"""How often a group is tried again once the process is about to end."""


class TrailFull(RuntimeError):
    """So many events wait to be written that no more may happen unrecorded."""


@dataclass(slots=True)
class _Waiting:
    event: AuditEvent
    written: Event = field(default_factory=Event)


@dataclass(slots=True)
class Recorder:
    """Writes events of one process. Its thread lives while there is something to write, and a moment longer.

    The interpreter waits for that thread, so what was handed over is written when a process ends in order.
    """

    store: Store
    is_ending: Callable[[], bool]
    most: int = MOST_WAITING
    _waiting: deque[_Waiting] = field(default_factory=deque)
    _held: int = 0
    _bell: Condition = field(default_factory=Condition)
    _thread: Thread | None = None

    def record(self, event: AuditEvent) -> bool:
        """Whether the event was durable before the wait was over. Raises :class:`TrailFull`."""
        one = _Waiting(event)
        with self._bell:
            if self._held >= self.most:
                raise TrailFull
            self._held += 1
            self._waiting.append(one)
            if self._thread is None:
                self._thread = Thread(target=self._write_all, name="audit")
                self._thread.start()
            else:
                self._bell.notify()
        return one.written.wait(LONGEST_WAIT)

    @property
    def held(self) -> int:
        """How many events are in memory and not written yet."""
        return self._held

    def settle(self) -> None:
        """Returns once everything that was handed over is written."""
        with self._bell:
            self._bell.wait_for(lambda: self._held == 0)

    def _write_all(self) -> None:
        while group := self._next_group():
            self._write(group)
            with self._bell:
                self._held -= len(group)
                self._bell.notify_all()

    def _next_group(self) -> list[_Waiting]:
        """What waits by now; empty, and the thread with it at its end, when nothing has come for a moment."""
        with self._bell:
            if not self._waiting and not self.is_ending():
                self._bell.wait_for(lambda: self._waiting, _IDLE_SECONDS)
            group = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
            if not group:
                self._thread = None
            return group

    def _write(self, group: list[_Waiting]) -> None:
        failures = 0
        while True:
            try:
                with self.store.writing() as connection:
                    events = [one.event for one in group]
                    # What a commit whose answer was lost has written stands there already.
                    new = audit.missing(connection, events) if failures else events
                    audit.add(connection, new, is_all=not failures)
                break
            except Exception as problem:
                failures += 1
                metrics.audit_not_written()
                log.error("audit_not_written events=%s kind=%s", len(group), type(problem).__name__)
                if self.is_ending() and failures >= _LAST_TRIES:
                    return
                time.sleep(_RETRY_SECONDS)
        for one in group:
            one.written.set()
