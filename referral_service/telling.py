"""A duty contact is told of an alert: that there is one, of which kind, since when, where it stands and how to see it.

Nothing of the patient, the sender or the words of the referral goes along; whoever is told opens the link.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import random
from typing import Any

from referral_service import mail, metrics
from referral_service.addresses import origin
from referral_service.outbound import NotAllowed, Outbound, OutboundError
from referral_service.policy import Contact, Policy
from referral_service.referral import AlertKind, Queue
from referral_service.settings import Settings, SettingsError
from referral_service.store import alerts, leases, tables
from referral_service.store.engine import Store, instant
from referral_service.worker import Clock, delay

log = logging.getLogger("referral_service")
Row = Mapping[str, Any]

NO_CONTACT = "Nobody is told of alerts: the policy names no contact in [alerts]. They stand on the pages only."


@dataclass(frozen=True, slots=True)
class Told:
    """What a contact is told."""

    id: str
    step: int
    kind: AlertKind
    about: str
    identity: str
    queue: str
    raised: str
    link: str


@dataclass(frozen=True, slots=True)
class Teller:
    """Whoever tells the contacts of one site. ``chance`` gives the jitter of the pauses, in [0, 1)."""

    store: Store
    policy: Policy
    settings: Settings
    clock: Clock
    chance: Callable[[], float] = random

    def step(self) -> bool:
        """Takes one message in hand, if any is due, and says whether there was one."""
        with self.store.writing() as connection:
            notice = leases.claim(connection, tables.notice, self.clock())
            alert = alerts.one(connection, notice["alert_id"]) if notice else None
        if notice is None or alert is None:
            return False
        contacts = self.policy.alerts.contacts
        if notice["step"] < len(contacts):
            contact = contacts[notice["step"]]
            message = told(alert, notice["step"], self.policy, self.settings.public_url)
            self._note(notice, contact, self._tell(contact, message))
        else:
            self._drop(notice)
        return True

    def next_due(self) -> str | None:
        with self.store.reading() as connection:
            return leases.next_due(connection, tables.notice)

    def _tell(self, contact: Contact, message: Told) -> str | None:
        """Why the contact could not be told, in one word; None when it was."""
        try:
            if contact.email is not None:
                assert self.settings.mail is not None
                mail.send(self.settings.mail, letter(message, contact.email, self.policy, self.clock()))
            else:
                post(Outbound(self.settings.outbound), contact.webhook or "", message)
        except (mail.MailError, OutboundError) as problem:
            return problem.kind
        return None

    def _drop(self, notice: Row) -> None:
        """The policy names fewer contacts than it did when the alert was raised."""
        with self.store.writing() as connection:
            leases.finish(connection, tables.notice, notice)
        log.warning("alert_without_contact alert=%s step=%s", notice["alert_id"], notice["step"])

    def _note(self, notice: Row, contact: Contact, fault: str | None) -> None:
        at = self.clock()
        facts = f"alert={notice['alert_id']} step={notice['step']} attempt={notice['attempts']}"
        with self.store.writing() as connection:
            if fault is None:
                sent = {"contact": contact.name, "sent_at": instant(at)}
                leases.finish(connection, tables.notice, notice, fault=None, **sent)
            else:
                until = at + timedelta(seconds=delay(notice["attempts"], self.chance()))
                leases.postpone(connection, tables.notice, notice, until, fault=fault)
        metrics.message("told" if fault is None else "failed")
        if fault is None:
            log.info("alert_told %s", facts)
        else:
            log.warning("alert_not_told %s fault=%s", facts, fault)


def check_ways(policy: Policy, settings: Settings) -> None:
    """Raises :class:`SettingsError` when a contact of the policy cannot be reached by what the settings allow."""
    for number, contact in enumerate(policy.alerts.contacts):
        key = f"alerts.contacts[{number}] of the policy"
        if contact.email is not None and settings.mail is None:
            raise SettingsError(f"{key} is told by mail, but REFERRAL_SMTP_HOST is not set")
        if contact.webhook is not None:
            try:
                Outbound(settings.outbound).check(contact.webhook)
            except NotAllowed as problem:
                allowed = f"{origin(contact.webhook)} does not stand in REFERRAL_OUTBOUND"
                raise SettingsError(f"{key} is told at an address that may not be called: {allowed}") from problem


def told(alert: Row, step: int, policy: Policy, public_url: str) -> Told:
    is_taken = alert["referral_id"] is not None
    identity = alert["referral_id"] if is_taken else alert["received_id"]
    return Told(
        id=alert["id"],
        step=step,
        kind=AlertKind(alert["kind"]),
        about="referral" if is_taken else "not-taken",
        identity=identity,
        queue=policy.queues[Queue(alert["queue"])] if is_taken else "",
        raised=alert["at"],
        link=f"{public_url}/{'referrals' if is_taken else 'not-taken'}/{identity}",
    )


def letter(message: Told, to: str, policy: Policy, at: datetime) -> mail.Letter:
    kind = message.kind.words
    where = f"in {message.queue}" if message.queue else "in what was not taken"
    raised = datetime.fromisoformat(message.raised).astimezone(policy.zone)
    lines = [
        f"{kind}, {where}.",
        "",
        f"{'Referral' if message.about == 'referral' else 'Request'} {message.identity}",
        f"{'Raised' if message.kind.is_of_hold else 'Received'} {raised:%Y-%m-%d %H:%M} ({policy.zone.key})",
        message.link,
        "",
        _why_told(message, policy),
        policy.notice,
    ]
    title = f"{kind}: {message.about.replace('-', ' ')} {message.identity}"
    return mail.Letter(f"{message.id}.{message.step}", to, title, "\n".join(lines), at.astimezone(UTC))


def _why_told(message: Told, policy: Policy) -> str:
    minutes = policy.alerts.escalate_minutes
    first = "You are told first." if message.step == 0 else "Nobody told before you has acknowledged this."
    is_last = message.step + 1 >= len(policy.alerts.contacts)
    then = "Nobody is told after you." if is_last else f"The next contact is told after {minutes} minutes."
    return f"{first} Acknowledge it on that page. {then}"


def post(outbound: Outbound, address: str, message: Told) -> None:
    """Any answer but 2xx is a failure, a redirect among them."""
    body = {
        "alert": message.id,
        "step": message.step,
        "kind": message.kind.value,
        "about": message.about,
        "id": message.identity,
        "queue": message.queue or None,
        "raised": message.raised,
        "link": message.link,
    }
    headers = {"Content-Type": "application/json", "Idempotency-Key": f"{message.id}.{message.step}"}
    reply = outbound.post(address, json.dumps(body).encode(), headers)
    if not 200 <= reply.status < 300:
        raise OutboundError(f"http-{reply.status}")
