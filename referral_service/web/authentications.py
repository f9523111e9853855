"""Who was let in, who went and who was refused, as events of the audit trail: User Authentication of DICOM.

Whoever is let in or goes leaves the event in the transaction that lets them. A refusal leaves one only when it names
somebody who is known, and at most as often as no stranger can fill the trail with: for a password as long as the name
is not locked, for all else once a minute for each caller and reason.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from threading import Lock

from flask import Flask, current_app, g

from referral_service.access.callers import Caller
from referral_service.fhir.audit import DENIED, LOGIN, LOGOUT, Event
from referral_service.intake.site import new_id
from referral_service.store import audit
from referral_service.store.engine import Connection, instant, when_durable
from referral_service.web.auditing import access_by
from referral_service.web.http import now, site

GAP = timedelta(minutes=1)


class Seldom:
    """What happens again within :data:`GAP` is passed over. It remembers as many as there are that are known."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last: dict[tuple[str, str], datetime] = {}

    def is_due(self, caller: str, reason: str, at: datetime) -> bool:
        with self._lock:
            last = self._last.get((caller, reason))
            if last is not None and at - last < GAP:
                return False
            self._last[caller, reason] = at
            return True


def register(app: Flask) -> None:
    app.extensions["seldom"] = Seldom()


def let_in(connection: Connection, caller: Caller) -> None:
    """A session or a token is given, in this transaction."""
    _add(connection, caller, LOGIN)


def gone(connection: Connection, caller: Caller) -> None:
    """A session is ended by whoever began it, in this transaction."""
    _add(connection, caller, LOGOUT)


def refused(caller: Caller, reason: str) -> None:
    """``reason`` is one word of ours, nothing that was sent."""
    event = Event(new_id(), instant(now()), access_by(caller, "E", LOGIN), "E", [], [], DENIED, reason)
    with site().store.writing() as connection:
        audit.add(connection, [event])


def refused_seldom(caller: Caller, reason: str) -> None:
    """The same, where strangers could bring it about as often as they like."""
    seldom: Seldom = current_app.extensions["seldom"]
    if seldom.is_due(caller.actor.id, reason, now()):
        refused(caller, reason)


def _add(connection: Connection, caller: Caller, what: str) -> None:
    found = access_by(caller, "E", what)
    audit.add(connection, [Event(new_id(), instant(now()), found, "E", [], [])])
    g.access = found
    when_durable(connection, found.has_become_durable)
