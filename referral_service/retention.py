"""What the policy keeps for some days only is removed: a little at a time, by one worker, told in the log by counts.

Never removed are the ledger's rows, the current version of anything, the text in which a referral was received, the
timeline of a Task and what humans have decided. Of patients' records and of the audit trail an event tells what was
removed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from referral_service.fhir.audit import Access, Event, Who
from referral_service.policy import Policy
from referral_service.sealing import removal
from referral_service.store import audit, leases, retention, systems, tables
from referral_service.store.engine import Connection, Store, instant
from referral_service.store.retention import DELIVERIES, KEYS, LIMIT, SESSIONS, TEXTS, VERSIONS, Kind
from referral_service.store.writes import Overtaken
from referral_service.worker import Clock
from referral_service.worklist import machine

log = logging.getLogger("referral_service")

EVERY = timedelta(days=1)
"""How long it rests once nothing more is to be removed."""


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    kind: Kind
    days: int
    is_told: bool


@dataclass(slots=True)
class Remover:
    """Whoever removes what is over; as many as wanted, of whom one does at a time. ``host`` is what we are called."""

    store: Store
    policy: Policy
    host: str
    clock: Clock
    _after: dict[str, tuple[Any, ...]] = field(default_factory=dict, init=False)

    def step(self) -> bool:
        """One batch of each kind; whether it was time for that, and nobody else is at it."""
        at = self.clock()
        try:
            with self.store.writing() as connection:
                chore = retention.claim(connection, at)
        except Overtaken:
            return False
        if chore is None:
            return False
        # Every batch is a transaction of its own, so that nobody who writes waits for long.
        is_more = [batch(chore, at) for batch in self._batches()]
        with self.store.writing() as connection:
            leases.postpone(connection, tables.chore, chore, at if any(is_more) else at + EVERY)
        return True

    def next_due(self) -> str | None:
        with self.store.reading() as connection:
            return retention.next_due(connection) or instant(self.clock())

    def _batches(self) -> Iterator[Callable[[leases.Row, datetime], bool]]:
        """Each removes some of a kind, and says whether there may be more."""
        days = self.policy.retention
        yield from (
            self._by_rule(rule)
            for rule in (
                _Rule("rejected-texts", TEXTS, days.rejected_text_days, is_told=True),
                _Rule("history", VERSIONS, days.history_days, is_told=True),
                _Rule("deliveries", DELIVERIES, days.delivery_days, is_told=False),
                _Rule("keys", KEYS, days.request_key_days, is_told=False),
            )
            if rule.days
        )
        if days.audit_days:
            yield self._anchor
        yield self._before_anchor
        yield self._over

    def _by_rule(self, rule: _Rule) -> Callable[[leases.Row, datetime], bool]:
        def batch(chore: leases.Row, at: datetime) -> bool:
            until = instant(at - timedelta(days=rule.days))
            with self.store.reading() as connection:
                found = rule.kind.find(connection, until, self._after.pop(rule.name, None))
            if not found:
                return False
            with self.store.writing() as connection:
                if not leases.is_in_hand(connection, tables.chore, chore):
                    return False
                removed = rule.kind.remove(connection, found, until)
                if rule.is_told and removed:
                    self._tell(connection, f"removed by policy: {removed} of {rule.name} after {rule.days} days", at)
            _log(rule.name, removed)
            if len(found) == LIMIT:
                self._after[rule.name] = tuple(found[-1])
            return len(found) == LIMIT

        return batch

    def _anchor(self, chore: leases.Row, at: datetime) -> bool:
        """The trail is to begin later: whole batches before that may go."""
        until = instant(at - timedelta(days=self.policy.retention.audit_days))
        with self.store.reading() as connection:
            seal = retention.removable(connection, until)
        if seal is None:
            return False
        with self.store.writing() as connection:
            if leases.is_in_hand(connection, tables.chore, chore):
                retention.drop_anchor(connection, seal, self._tell(connection, removal(seal), at), at)
        return True

    def _before_anchor(self, chore: leases.Row, at: datetime) -> bool:  # noqa: ARG002
        with self.store.reading() as connection:
            if not retention.is_any_before_anchor(connection):
                return False
        with self.store.writing() as connection:
            if not leases.is_in_hand(connection, tables.chore, chore):
                return False
            removed = retention.remove_before_anchor(connection)
        _log("audit", removed)
        return True

    def _over(self, chore: leases.Row, at: datetime) -> bool:  # noqa: ARG002
        """Sessions, tokens and assertions that nobody can use any more."""
        with self.store.reading() as connection:
            found = SESSIONS.find(connection, instant(at))
        with self.store.writing() as connection:
            systems.sweep(connection, at)
            if found:
                _log("sessions", SESSIONS.remove(connection, found, instant(at)))
        return len(found) == LIMIT

    def _tell(self, connection: Connection, words: str, at: datetime) -> str:
        """The event of a removal, in its transaction; its id."""
        itself = machine()
        who = Who(itself.id, itself.name, "machine", itself.id)
        access = Access(who, f"retention-{uuid4()}", "D", "delete", self.host)
        event = Event(str(uuid4()), instant(at), access, "D", [], [], reason=words)
        audit.add(connection, [event])
        return event.id


def _log(kind: str, removed: int) -> None:
    if removed:
        log.info("retention_removed kind=%s rows=%s", kind, removed)
