"""How one process does: what it works on, whether its database takes what is written, and what it tells Prometheus."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Event, Thread, get_ident
from typing import Any

from referral_service import metrics
from referral_service.ehr.reading import Ehrs
from referral_service.latest import Asked, Latest
from referral_service.metrics import CHANNELS, Readings
from referral_service.policy import Policy
from referral_service.recording import Recorder
from referral_service.store import gauges
from referral_service.store.engine import Store, file_of
from referral_service.store.migrations import SchemaError, check
from referral_service.store.proofs import prove

PROOF_SECONDS, PROOF_WAITS = 5.0, 2.0
"""How long a proof holds, and how long anybody waits for one."""
GAUGES_SECONDS, GAUGES_WAIT = 10.0, 3.0
IN_ALL_SECONDS, IN_ALL_WAIT = 60.0, 3.0
STUCK_SECONDS = 30.0
"""Longer than any statement may take that a request waits for."""
LATE_SECONDS = 3600.0
"""A change that is not delivered for so long is told of; it is no fault of the process that is asked."""
_NOTE_SECONDS = 2.0

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Proof:
    """The database took a word and gave it back; ``oldest`` is when the oldest change not delivered was made."""

    milliseconds: float
    oldest: str | None


@dataclass(slots=True)
class Watch:
    """``threads`` is how many requests can be worked on at once, as the server says."""

    store: Store
    policy: Policy
    version: str
    recorder: Recorder
    ehrs: Ehrs | None
    clock: Clock
    threads: int = 1
    _begun: dict[int, float] = field(default_factory=dict)
    _proof: Latest[Proof] = field(init=False)
    _gauges: Latest[Readings] = field(init=False)
    _in_all: Latest[Readings] = field(init=False)

    def __post_init__(self) -> None:
        self._proof = Latest(self._prove, PROOF_SECONDS, PROOF_WAITS)
        self._gauges = Latest(self._read, GAUGES_SECONDS, GAUGES_WAIT)
        self._in_all = Latest(self._count, IN_ALL_SECONDS, IN_ALL_WAIT)

    def begin(self) -> None:
        """This thread begins to work on a request."""
        self._begun[get_ident()] = time.monotonic()

    def end(self) -> None:
        self._begun.pop(get_ident(), None)

    def note(self) -> None:
        """Tells the counters how this process does just now."""
        in_use, most = self.store.connections()
        metrics.note(
            {
                "in_flight": len(self._begun),
                "stuck": self._stuck(),
                "threads": self.threads,
                "connections": in_use,
                "connections_most": most,
                "audit_held": self.recorder.held,
                "resting": self.ehrs.resting() if self.ehrs is not None else 0,
            }
        )

    def note_for_ever(self) -> None:
        """So that whichever process is asked knows of this one too."""
        pause = Event()

        def note() -> None:
            while not pause.wait(_NOTE_SECONDS):
                self.note()

        Thread(target=note, name="note", daemon=True).start()

    def exposition(self) -> bytes:
        """Everything for Prometheus; what the database knows is left out while it does not answer."""
        self.note()
        now = self._gauges.get().answer
        ever = self._in_all.get().answer if now is not None else None
        known = {**(now or {}), **(ever or {}), **self._disks()}
        return metrics.exposition(self.version, self.policy.label, known, is_up=now is not None)

    def report(self) -> tuple[bool, dict[str, Any]]:
        """Whether this process can serve, and each check that says so.

        What is not delivered is told of and fails nothing: a receiver that is away must not take every process out of
        service.
        """
        checks = {**self._of_database(self._proof.get()), "audit": self._of_audit(), "requests": self._of_requests()}
        results = {one["status"] for one in checks.values()}
        is_ready = "fail" not in results
        status = ("degraded" if "warn" in results else "ready") if is_ready else "unavailable"
        return is_ready, {"status": status, "checks": checks}

    def _prove(self) -> Proof:
        check(self.store)
        begun = time.monotonic()
        prove(self.store, f"{socket.gethostname()}:{os.getpid()}"[:128], self.clock())
        took = 1000 * (time.monotonic() - begun)
        with self.store.reading() as connection:
            return Proof(round(took, 1), gauges.oldest_undelivered(connection))

    def _read(self) -> Readings:
        at = self.clock()
        with self.store.reading() as connection:
            return gauges.now_and_then(connection, at, at.astimezone(self.policy.zone).date(), CHANNELS)

    def _count(self) -> Readings:
        with self.store.at_one_moment() as connection:
            return gauges.in_all(connection)

    def _disks(self) -> Readings:
        folders = {"temporary": Path(tempfile.gettempdir())}
        file = file_of(self.store)
        if file is not None:
            folders["database"] = file.parent
        return {"disk_free_bytes": {(name,): float(shutil.disk_usage(one).free) for name, one in folders.items()}}

    def _stuck(self) -> int:
        before = time.monotonic() - STUCK_SECONDS
        return sum(begun < before for begun in list(self._begun.values()))

    def _of_database(self, asked: Asked[Proof]) -> dict[str, dict[str, Any]]:
        proof, problem = asked.answer, asked.problem
        if isinstance(problem, SchemaError):
            return {"database": {"status": "pass"}, "schema": {"status": "fail", "output": str(problem)}}
        if proof is None:
            words = f"no answer within {PROOF_WAITS:g} seconds" if problem is None else type(problem).__name__
            return {"database": {"status": "fail", "output": words}}
        age = (self.clock() - datetime.fromisoformat(proof.oldest)).total_seconds() if proof.oldest else 0.0
        late = {"status": "warn" if age > LATE_SECONDS else "pass", "oldest_seconds": round(max(0.0, age), 1)}
        database = {"status": "pass", "milliseconds": proof.milliseconds}
        return {"database": database, "schema": {"status": "pass"}, "deliveries": late}

    def _of_audit(self) -> dict[str, Any]:
        held, most = self.recorder.held, self.recorder.most
        return {"status": "pass" if held < most else "fail", "held": held}

    def _of_requests(self) -> dict[str, Any]:
        stuck = self._stuck()
        return {"status": "pass" if stuck < self.threads else "fail", "stuck": stuck}
