"""Deliveries are carried out one by one, each until it is taken, refused for good, or given up."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from referral_service import metrics
from referral_service.delivery.ground import HELD_SECONDS, Ground, Letter, Never, Row, later
from referral_service.delivery.posting import Verdict, post, tried
from referral_service.delivery.ways import PREPARE
from referral_service.store import deliveries, subscriptions
from referral_service.store.deliveries import DEAD, DELIVERED, DROPPED, SUBSCRIPTION, SUPERSEDED
from referral_service.store.engine import Connection
from referral_service.worker import delay

log = logging.getLogger("referral_service")


@dataclass(frozen=True, slots=True)
class Carrier:
    """Whoever sends: as many as wanted, each with one delivery in hand."""

    ground: Ground

    def step(self) -> bool:
        """Takes one delivery in hand, if any is due, and says whether there was one."""
        at = self.ground.clock()
        with self.ground.store.writing() as connection:
            row = deliveries.claim(connection, at)
        if row is None:
            return False
        verdict = tried(lambda: self._carried(row, at))
        if verdict is not None:
            self._note(row, verdict)
        return True

    def next_due(self) -> str | None:
        with self.ground.store.reading() as connection:
            return deliveries.next_due(connection)

    def _carried(self, row: Row, at: datetime) -> Verdict | None:
        with self.ground.store.writing() as connection:
            sent = self._prepared(connection, row, at)
        return post(sent, self.ground) if sent is not None else None

    def _prepared(self, connection: Connection, row: Row, at: datetime) -> Letter | None:
        """What is to be sent; when nothing is, the delivery is settled here."""
        if deliveries.is_overtaken(connection, row):
            deliveries.end(connection, row, SUPERSEDED, at)
            return None
        found = PREPARE[row["kind"]](connection, row, self.ground)
        if isinstance(found, Letter):
            return found
        if isinstance(found, Never):
            deliveries.end(connection, row, DROPPED, at)
        elif at >= datetime.fromisoformat(row["give_up"]):
            deliveries.end(connection, row, DEAD, at, "not-active")
            metrics.delivery(row["kind"], DEAD)
        else:
            deliveries.put_off(connection, row, found.until)
        return None

    def _note(self, row: Row, verdict: Verdict) -> None:
        at = self.ground.clock()
        facts = f"kind={row['kind']} receiver={row['receiver']} number={row['number']} attempt={row['attempts']}"
        outcome = DELIVERED
        with self.ground.store.writing() as connection:
            if verdict.fault is None:
                if deliveries.end(connection, row, DELIVERED, at):
                    self._heard(connection, row, at)
            else:
                outcome = self._failed(connection, row, verdict, at)
        metrics.delivery(row["kind"], outcome)
        if verdict.fault is None:
            log.info("delivered %s", facts)
        else:
            log.warning("not_delivered %s fault=%s final=%s", facts, verdict.fault, verdict.is_final)

    def _heard(self, connection: Connection, row: Row, at: datetime) -> None:
        if row["kind"] == SUBSCRIPTION:
            subscriptions.heard(connection, row["receiver"], at)

    def _failed(self, connection: Connection, row: Row, verdict: Verdict, at: datetime) -> str:
        """Whether it is given up or tried again, in one word."""
        failures, fault = row["failures"] + 1, verdict.fault or ""
        pause = later(at, delay(failures, self.ground.chance()))
        last = datetime.fromisoformat(row["give_up"])
        until = min(last, max(pause, verdict.after) if verdict.after is not None else pause)
        is_over = verdict.is_final or at >= last
        if is_over:
            is_held = deliveries.end(connection, row, DEAD, at, fault)
        else:
            is_held = deliveries.put_off(connection, row, until, failures=failures, fault=fault)
        outcome = DEAD if is_over else "failed"
        if not is_held:
            return outcome
        if row["kind"] == SUBSCRIPTION:
            subscriptions.not_heard(connection, row["receiver"], at, fault, is_final=is_over)
        if verdict.after is not None:
            deliveries.hold(connection, row, until)
        elif verdict.is_silent:
            subscriptions.leave_alone(connection, row["client"], min(until, later(at, HELD_SECONDS)))
        return outcome
