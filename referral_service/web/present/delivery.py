"""Deliveries as they are shown: who is told, of what, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from referral_service.store.deliveries import DEAD, DELIVERED, DROPPED, SUBSCRIPTION, SUPERSEDED, WAITING
from referral_service.web.present import words
from referral_service.web.present.words import Moment, Now

Row = Mapping[str, Any]
_WAYS = {
    SUBSCRIPTION: "by a Subscription",
    "task": "as a Task at its server",
    "bser": "by a message of BSeR",
    "bars": "by a message of BaRS",
}
_FAULTS = {
    "timeout": "it did not answer in time",
    "connection": "it could not be reached",
    "tls": "its certificate is not trusted",
    "not-allowed": "its address is not registered any more",
    "not-active": "its Subscription did not become active",
    "too-large": "its answer was too large",
    "transient-error": "it answered that it cannot take the message now",
    "fatal-error": "it answered that it cannot take the message",
}
_LOGIN_FAULTS = {
    "failed": "it was refused",
    "no-key": "this service has no key for that",
    "server-error": "the server for that has failed",
    "throttled": "it asked to be left alone for a while",
    "timeout": "there was no answer in time",
    "connection": "the server for that could not be reached",
    "tls": "the certificate there is not trusted",
    "not-allowed": "the address for that may not be called from here",
    "too-large": "the answer was too large",
}


@dataclass(frozen=True, slots=True)
class Shown:
    kind: str
    receiver: str
    number: int
    who: str
    way: str
    what: str
    referral_id: str
    changed: Moment
    age: str
    state: str
    said: str
    next: Moment | None
    can_be_sent: bool


def shown(row: Row, now: Now) -> Shown:
    """One delivery in words. ``state`` is waiting, failed or given up, or what became of it in the end."""
    state = _state(row)
    what = "Referral" if row["type"] == "ServiceRequest" else "Task"
    return Shown(
        kind=row["kind"],
        receiver=row["receiver"],
        number=row["number"],
        who=row["client_name"] or row["client"],
        way=_WAYS.get(row["kind"], str(row["kind"])),
        what=f"{what}, version {row['version']}",
        referral_id=row["referral_id"],
        changed=now.moment(row["at"]),
        age=now.waited(row["at"]),
        state=state,
        said=_said(row, state),
        next=now.moment(row["due"]) if row["due"] and row["fault"] else None,
        can_be_sent=row["state"] == DEAD or (row["state"] == WAITING and row["fault"] is not None),
    )


_ENDED = {DELIVERED: "delivered", DEAD: "given up", SUPERSEDED: "superseded", DROPPED: "dropped"}


def _state(row: Row) -> str:
    return _ENDED.get(row["state"]) or ("failed" if row["fault"] else "waiting")


def _said(row: Row, state: str) -> str:
    if state == "failed":
        return f"{words.number(row['failures'], 'attempt')} failed: {_fault(row)}"
    if state == "given up":
        return f"Given up: {_fault(row)}"
    return {"superseded": "A later change was delivered", "dropped": "Nobody is to be told any more"}.get(state, "")


def _fault(row: Row) -> str:
    fault = str(row["fault"])
    if fault.startswith("login-"):
        why = fault.removeprefix("login-")
        return f"this service could not log in there: {_LOGIN_FAULTS.get(why, why)}"
    return _FAULTS.get(fault, f"it answered {fault.removeprefix('http-')}" if fault.startswith("http-") else fault)


def summary(counts: Mapping[str, int]) -> str:
    waiting, dead = counts.get(WAITING, 0), counts.get(DEAD, 0)
    return f"{words.number(waiting, 'change')} on the way, {dead} given up."


@dataclass(frozen=True, slots=True)
class Receiver:
    """What one receiver was told of a referral: the newest that it took, and what it did not take yet."""

    who: str
    way: str
    is_sender: bool
    last: Moment | None
    open: list[Shown]


def of_referral(rows: Sequence[Row], sender: str, now: Now) -> list[Receiver]:
    """By receiver, the sender first; ``rows`` are the newest first."""
    by_receiver: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_receiver.setdefault((row["kind"], row["receiver"]), []).append(row)
    found = [_receiver(listed, sender, now) for listed in by_receiver.values()]
    return sorted(found, key=lambda one: not one.is_sender)


def _receiver(rows: Sequence[Row], sender: str, now: Now) -> Receiver:
    told = next((row for row in rows if row["state"] == DELIVERED), None)
    first = shown(rows[0], now)
    return Receiver(
        who=first.who,
        way=first.way,
        is_sender=rows[0]["client"] == sender,
        last=now.moment(told["ended_at"]) if told else None,
        open=[shown(row, now) for row in rows if row["state"] in (WAITING, DEAD)],
    )
