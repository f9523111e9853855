"""Questions to senders that are not answered: on the days of the policy an alert is raised, once a hold and kind."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from referral_service.fhir.writer.moves import is_returned
from referral_service.intake.alerts import rows_of_alert
from referral_service.intake.applying import read_resource
from referral_service.policy import Policy
from referral_service.referral import AlertKind
from referral_service.store import alerts, holds, tables
from referral_service.store.engine import Connection, Store, instant
from referral_service.store.writes import insert_all
from referral_service.worker import Clock
from referral_service.worklist import MORE_INFORMATION
from referral_service.worklist.clock import escalation_on, reminder_on
from referral_service.worklist.holds import Hold, hold_of

log = logging.getLogger("referral_service")
EVERY = timedelta(minutes=1)


@dataclass(slots=True)
class Reminder:
    """Whoever watches the questions of one site. Several may: the Task is held while one of them raises an alert.

    ``again`` is when to look next; None before the first look.
    """

    store: Store
    policy: Policy
    clock: Clock
    again: datetime | None = field(default=None, init=False)

    def step(self) -> bool:
        """Looks through all that is on hold, when it is time to, and says whether it was."""
        at = self.clock()
        if self.again is not None and at < self.again:
            return False
        self.again = at + EVERY  # also after a fault, so that other work has its turn
        for task_id, hold in self._ripe(at):
            with self.store.writing() as connection:
                self._raise(connection, task_id, hold, at)
        return True

    def next_due(self) -> str | None:
        return instant(self.again or self.clock())

    def _ripe(self, at: datetime) -> list[tuple[str, Hold]]:
        """Tasks whose day has come and of whose hold not all was raised, as far as their changes tell."""
        with self.store.reading() as connection:
            found, raised = holds.on_hold(connection), holds.raised(connection)
        ripe = [(task_id, hold) for task_id, changes in found.items() if (hold := hold_of(changes)) is not None]
        return [
            (task_id, hold)
            for task_id, hold in ripe
            if hold.reason in (MORE_INFORMATION, None)
            and any((task_id, hold.version, kind) not in raised for kind in self._due(hold, at))
        ]

    def _due(self, hold: Hold, at: datetime) -> list[AlertKind]:
        here = at.astimezone(self.policy.zone)
        latest = here.date() if here.time() >= self.policy.opens else here.date() - timedelta(days=1)
        asked = datetime.fromisoformat(hold.since).astimezone(self.policy.zone).date()
        days: dict[AlertKind, date] = {
            AlertKind.REMINDER: reminder_on(asked, self.policy),
            AlertKind.ESCALATION: escalation_on(asked, self.policy),
        }
        return [kind for kind, day in days.items() if day <= latest and kind in self.policy.alerts.kinds]

    def _raise(self, connection: Connection, task_id: str, hold: Hold, at: datetime) -> None:
        """Judged anew, for somebody may have moved the Task, or another worker raised the alert."""
        row = holds.held(connection, task_id)
        changes = holds.on_hold(connection, task_id).get(task_id, [])
        if row is None or hold_of(changes) != hold or not is_returned(read_resource(row["content"])):
            return
        before = alerts.kinds_of_hold(connection, row["referral_id"], hold.version)
        about = {name: row[name] for name in ("client", "received_id", "referral_id")}
        for kind in self._due(hold, at):
            if kind not in before:
                alert, notices = rows_of_alert(self.policy.alerts, at, kind=kind, hold=hold.version, **about)
                owned = [{**notice, "client": row["client"]} for notice in notices]
                insert_all(connection, {tables.alert: [alert], tables.notice: owned})
                log.info("alert_raised alert=%s kind=%s", alert["id"], kind.value)
