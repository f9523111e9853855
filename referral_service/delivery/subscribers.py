"""Subscriptions are told: of events, of their own beginning (the handshake), and that all is well (the heartbeat)."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from referral_service.delivery.events import about_of, event_of
from referral_service.delivery.ground import (
    FHIR_JSON,
    HELD_SECONDS,
    Ground,
    Letter,
    Never,
    NotNow,
    Row,
    client_of,
    later,
)
from referral_service.delivery.posting import Verdict, post, tried
from referral_service.fhir.parse import dump
from referral_service.fhir.subscription import header_of
from referral_service.fhir.writer.notification import About, Event, notification
from referral_service.intake.site import new_id
from referral_service.store import deliveries, subscriptions
from referral_service.store.deliveries import SUBSCRIPTION
from referral_service.store.engine import Connection, instant
from referral_service.worker import delay

log = logging.getLogger("referral_service")

HANDSHAKES = 3
"""So often an endpoint is asked in vain before its Subscription is in error."""

MOST_HANDSHAKES = 300
"""So often before it is left alone until its client asks again: with the pauses between, some 72 hours."""

NOT_VERIFIED_SECONDS = 60.0
ALIVE_SECONDS = 5.0
"""What a receiver may take for a handshake or a heartbeat, which bring nothing to be worked on."""


def prepare(connection: Connection, row: Row, ground: Ground) -> Letter | NotNow | Never:
    """The notification of one event. What its client may not see any more is not named in it."""
    found = subscriptions.by_id(connection, row["receiver"])
    if found is None or found["status"] == "off":
        return Never()
    if ground.actor(client_of(found), found["client"]) is None:
        return Never()
    at = ground.clock()
    if not found["verified"]:
        return NotNow(later(at, NOT_VERIFIED_SECONDS))
    client = client_of(found)
    actor = ground.actor(client, found["client"]) if ground.may_read(client, row["type"]) else None
    about = about_of(connection, found, ground.base)
    return letter(found, "event-notification", about, at, ground, event_of(connection, row, found["payload"], actor))


def letter(found: Row, kind: str, about: About, at: datetime, ground: Ground, *events: Event) -> Letter:
    body = notification(about, kind, instant(at), (new_id(), new_id()), events)
    return Letter(
        method="POST",
        address=found["endpoint"],
        body=dump(body),
        registered=ground.registered(client_of(found)),
        seconds=float(found["timeout"]),
        headers={**_headers(found), "Content-Type": FHIR_JSON},
    )


def _headers(found: Row) -> Mapping[str, str]:
    return dict(header_of(line) for line in json.loads(found["headers"]))


@dataclass(frozen=True, slots=True)
class Keeper:
    """Whoever shakes hands with new Subscriptions, sends heartbeats and ends what is over."""

    ground: Ground

    def step(self) -> bool:
        ground, at = self.ground, self.ground.clock()
        with ground.store.writing() as connection:
            found = subscriptions.claim(connection, at)
        if found is None:
            return False
        verdict = tried(lambda: self._sent(found, at))
        if verdict is not None:
            self._note(found, verdict)
        return True

    def next_due(self) -> str | None:
        with self.ground.store.reading() as connection:
            return subscriptions.next_due(connection)

    def _sent(self, found: Row, at: datetime) -> Verdict | None:
        with self.ground.store.writing() as connection:
            sent = self._letter(connection, found, at)
        return post(sent, self.ground) if sent is not None else None

    def _letter(self, connection: Connection, found: Row, at: datetime) -> Letter | None:
        """What is to be sent now, if anything; otherwise the row is settled here."""
        ground = self.ground
        is_over = found["ends"] is not None and found["ends"] <= instant(at)
        if is_over or ground.actor(client_of(found), found["client"]) is None:
            self._end(connection, found, at)
            return None
        about = about_of(connection, found, ground.base)
        if not found["verified"] and found["status"] in ("requested", "error"):
            return _brief(letter(found, "handshake", about, at, ground))
        beat = _next_beat(found, at)
        if found["verified"] and beat is not None and beat <= at:
            return _brief(letter(found, "heartbeat", about, at, ground))
        subscriptions.settle(connection, found, _soonest(found, beat if found["verified"] else None), at)
        return None

    def _end(self, connection: Connection, found: Row, at: datetime) -> None:
        subscriptions.settle(connection, found, None, at, status="off", counts=0, verified=0)
        deliveries.drop(connection, SUBSCRIPTION, found["id"], at)
        log.info("subscription_ended subscription=%s", found["id"])

    def _note(self, found: Row, verdict: Verdict) -> None:
        at = self.ground.clock()
        is_handshake = not found["verified"]
        with self.ground.store.writing() as connection:
            if is_handshake:
                self._shaken(connection, found, verdict, at)
            else:
                self._beaten(connection, found, verdict, at)
        what = "handshake" if is_handshake else "heartbeat"
        log.info("subscription_%s subscription=%s fault=%s", what, found["id"], verdict.fault or "none")

    def _shaken(self, connection: Connection, found: Row, verdict: Verdict, at: datetime) -> None:
        if verdict.fault is None:
            until = _soonest(found, _next_beat({**found, "heard_at": instant(at)}, at))
            known = {"status": "active", "verified": 1, "failures": 0, "fault": None}
            if subscriptions.settle(connection, found, until, at, **known, heard_at=instant(at)):
                deliveries.release(connection, SUBSCRIPTION, found["id"], at)
            return
        failures = found["failures"] + 1
        counted = {"failures": failures, "fault": verdict.fault}
        if failures >= HANDSHAKES or verdict.is_final:
            counted["status"] = "error"
        if failures < MOST_HANDSHAKES:
            until = max(later(at, delay(failures, self.ground.chance())), verdict.after or at)
            subscriptions.settle(connection, found, _soonest(found, until), at, **counted)
            self._leave_alone(connection, found, verdict, at, until)
        elif subscriptions.settle(connection, found, None, at, **counted, counts=0):
            deliveries.drop(connection, SUBSCRIPTION, found["id"], at)

    def _leave_alone(self, connection: Connection, found: Row, verdict: Verdict, at: datetime, until: datetime) -> None:
        if verdict.is_silent:
            subscriptions.leave_alone(connection, found["client"], min(until, later(at, HELD_SECONDS)))

    def _beaten(self, connection: Connection, found: Row, verdict: Verdict, at: datetime) -> None:
        pause = float(found["heartbeat"])
        if verdict.fault is not None:
            pause = max(pause, delay(found["failures"] + 1, self.ground.chance()))
        beat = max(later(at, pause), verdict.after or at)
        if subscriptions.settle(connection, found, _soonest(found, beat), at):
            if verdict.fault is None:
                subscriptions.heard(connection, found["id"], at)
            else:
                subscriptions.not_heard(connection, found["id"], at, verdict.fault)
                self._leave_alone(connection, found, verdict, at, beat)


def _brief(sent: Letter) -> Letter:
    return replace(sent, seconds=min(sent.seconds, ALIVE_SECONDS))


def _next_beat(found: Row, at: datetime) -> datetime | None:
    if not found["heartbeat"]:
        return None
    heard = datetime.fromisoformat(found["heard_at"]) if found["heard_at"] else at
    return heard + timedelta(seconds=found["heartbeat"])


def _soonest(found: Row, beat: datetime | None) -> datetime | None:
    ends = datetime.fromisoformat(found["ends"]) if found["ends"] else None
    return min((one for one in (beat, ends) if one is not None), default=None)
