"""How a referral stands: its clock, its appointment, what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from referral_service.fhir.writer import moves as written
from referral_service.intake.applying import pauses as pauses_of
from referral_service.policy import Policy
from referral_service.referral import AlertKind, Priority
from referral_service.web.present import people, words
from referral_service.web.present.acting import moment_words
from referral_service.web.present.people import Line
from referral_service.web.present.words import Now
from referral_service.worklist import FINAL
from referral_service.worklist.clock import escalation_on, outer_bound, reminder_on
from referral_service.worklist.holds import hold_of

Row = Mapping[str, Any]
Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """``outputs`` are what came of it, each by what it is."""

    appointment: str
    clock: list[Line]
    outputs: list[Line]


def standing(row: Row, changes: Sequence[Row], now: Now, policy: Policy) -> Standing:
    task = orjson.loads(row["task"])
    return Standing(
        moment_words(row["appointment"], now) if row["appointment"] else "",
        [] if row["status"] in FINAL else _clock(row, task, changes, now, policy),
        [Line(people.concept(one.get("type")) or "Output", _value(one)) for one in task.get("output", [])],
    )


def _clock(row: Row, task: Resource, changes: Sequence[Row], now: Now, policy: Policy) -> list[Line]:
    pauses = pauses_of(dict(task))
    priority = Priority(task["priority"])
    received = datetime.fromisoformat(row["authored_on"]).astimezone(now.zone).date()
    bound = outer_bound(received, priority, policy, pauses)
    told = [Line("triage by", words.due(row["due"], now.today).date)]
    told += [Line("seen by", words.day(bound))] if bound else []
    for pause in pauses:
        since = words.day(pause.start)
        told.append(Line("stood still", f"{since} to {words.day(pause.end)}") if pause.end else Line("paused", since))
    return told + _returned(task, changes, now, policy)


def _returned(task: Resource, changes: Sequence[Row], now: Now, policy: Policy) -> list[Line]:
    """When a sender who was asked for more is to be reminded, and when a lead is to decide: as far as alerts say so."""
    hold = hold_of(changes)
    if hold is None or not written.is_returned(dict(task)):
        return []
    on = datetime.fromisoformat(hold.since).astimezone(now.zone).date()
    kinds = policy.alerts.kinds
    told = [Line("asked on", words.day(on))]
    told += [Line("remind on", words.day(reminder_on(on, policy)))] if AlertKind.REMINDER in kinds else []
    return told + (
        [Line("to a lead on", words.day(escalation_on(on, policy)))] if AlertKind.ESCALATION in kinds else []
    )


def _value(output: Resource) -> str:
    value = next((value for name, value in output.items() if name.startswith("value")), "")
    if isinstance(value, Mapping):
        return str(value.get("display") or value.get("reference") or people.concept(value))
    return str(value)
