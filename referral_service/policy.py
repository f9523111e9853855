"""What a site may decide for itself, read once from its policy file: typed, named and versioned.

What the specification fixes (FHIR, ICD-10) does not stand here; ``tests/test_policy.py`` holds the two together.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime, time
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from referral_service.addresses import is_mail_address, origin
from referral_service.referral import AlertKind, Priority, Queue

T = TypeVar("T")
READABLE = frozenset({"en"})
"""Languages with terms, triggers and a panel of their own."""
SPELLINGS = ("british", "american")


class PolicyError(ValueError):
    """The policy file cannot be used; the message names the key."""


@dataclass(frozen=True, slots=True)
class Transition:
    """Ages from ``from_age`` up to, not including, ``to_age`` (whole years) that one queue takes, whatever the side."""

    from_age: int
    to_age: int
    queue: Queue


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody on duty, reached by mail or by a webhook; exactly one of the two is given."""

    name: str
    email: str | None = None
    webhook: str | None = None


@dataclass(frozen=True, slots=True)
class Alerts:
    """Which alerts there are, and who is told: the first contact at once, the next ones ``escalate_minutes`` apart."""

    kinds: frozenset[AlertKind]
    escalate_minutes: int
    contacts: tuple[Contact, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """Calls a second: of one client or person, and of one network address when nobody is known by them.

    ``attempts`` to sign in with a password are those of one network address in a minute.
    """

    known: int
    unknown: int
    attempts: int = 30


@dataclass(frozen=True, slots=True)
class Retention:
    """Days after which something is removed, 0 for what is kept for ever.

    Counted from: the receipt of texts that were refused or rejected; the end of a referral, for what newer versions of
    it replaced; the sealing of audit events; the end of a delivery; the receipt under a key of a request.
    """

    rejected_text_days: int = 0
    history_days: int = 0
    audit_days: int = 0
    delivery_days: int = 0
    request_key_days: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """One site's choices.

    ``due`` is in business days from first receipt, by assessed priority; ``outer_weeks`` the bound until the patient
    is seen, for the priorities that have one. ``due_soon_days``, ``remind_days`` and ``escalate_days`` are business
    days; ``opens`` is when on the last of them somebody is told; ``holidays`` are days that are none.
    """

    name: str
    version: str
    zone: ZoneInfo
    adult_from: int
    transition: Transition | None
    queues: Mapping[Queue, str]
    admit_draft: bool
    languages: frozenset[str]
    retention: Retention
    attachment_types: frozenset[str]
    attachment_megabytes: int
    due: Mapping[Priority, int]
    outer_weeks: Mapping[Priority, int]
    due_soon_days: int
    remind_days: int
    escalate_days: int
    opens: time
    holidays: frozenset[date]
    spelling: str
    notice: str
    red_flag_lanes: Mapping[str, Priority]
    contestable: Mapping[str, str]
    alerts: Alerts
    limits: Limits

    @property
    def label(self) -> str:
        """As it stands in every decision: ``name|version``."""
        return f"{self.name}|{self.version}"


_KEYS = {
    *("name", "version", "zone", "spelling", "adult_from", "transition", "queues", "admit_draft", "languages"),
    *("retention", "attachments", "due", "clock", "red_flags", "contestable", "alerts", "limits"),
}


def load_policy(path: Path | None = None) -> Policy:
    """The policy at ``path``, or the one shipped. Raises :class:`PolicyError` naming the first key that is wrong."""
    try:
        source = path or files("referral_service").joinpath("policy.toml")
        text = source.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise PolicyError("the file cannot be read") from problem
    try:
        return _policy(tomllib.loads(text))
    except tomllib.TOMLDecodeError as problem:
        raise PolicyError(f"not TOML: {problem}") from problem
    except KeyError as problem:
        raise PolicyError(f"missing: {problem.args[0]}") from problem


def _policy(table: Mapping[str, Any]) -> Policy:
    unknown = set(table) - _KEYS
    if unknown:
        raise PolicyError(f"unknown: {', '.join(sorted(unknown))}")
    lanes = dict(table["red_flags"])
    notice = lanes.pop("notice")
    return Policy(
        name=_of(str, table["name"], "name"),
        version=_of(str, table["version"], "version"),
        zone=_zone(table["zone"]),
        spelling=_spelling(table["spelling"]),
        adult_from=_of(int, table["adult_from"], "adult_from"),
        transition=_transition(table.get("transition")),
        queues={queue: _of(str, table["queues"][queue], f"queues.{queue}") for queue in Queue},
        admit_draft=_of(bool, table["admit_draft"], "admit_draft"),
        languages=_languages(table["languages"]),
        retention=_retention(table.get("retention", {})),
        attachment_types=_attachment_types(table["attachments"]["types"]),
        attachment_megabytes=_of(int, table["attachments"]["megabytes"], "attachments.megabytes"),
        due={p: _days(table["due"][p]["business_days"], f"due.{p}.business_days") for p in Priority},
        outer_weeks={
            p: _days(table["due"][p]["outer_weeks"], f"due.{p}.outer_weeks")
            for p in Priority
            if "outer_weeks" in table["due"][p]
        },
        due_soon_days=_days(table["clock"]["due_soon"], "clock.due_soon"),
        remind_days=_days(table["clock"]["remind_returned"], "clock.remind_returned"),
        escalate_days=_days(table["clock"]["escalate_returned"], "clock.escalate_returned"),
        opens=_of(time, table["clock"]["opens"], "clock.opens"),
        holidays=_holidays(table["clock"]["holidays"]),
        notice=_of(str, notice, "red_flags.notice"),
        red_flag_lanes={rule: _priority(value, f"red_flags.{rule}") for rule, value in lanes.items()},
        contestable={rule: _of(str, code, f"contestable.{rule}") for rule, code in table["contestable"].items()},
        alerts=_alerts(table["alerts"]),
        limits=_limits(table["limits"]),
    )


ATTACHMENT_TYPES = frozenset(
    {"application/pdf", "image/gif", "image/jpeg", "image/png", "text/plain", "video/mp4"},
)
"""What can be told by its content, so that nothing else comes in under one of these names."""


def _attachment_types(value: Any) -> frozenset[str]:
    chosen = frozenset(_of(list, value, "attachments.types"))
    if not chosen <= ATTACHMENT_TYPES:
        raise PolicyError(f"attachments.types: expected some of {', '.join(sorted(ATTACHMENT_TYPES))}")
    return chosen


def _alerts(table: Mapping[str, Any]) -> Alerts:
    _only(table, {"kinds", "escalate_minutes", "contacts"}, "alerts")
    minutes = _of(int, table["escalate_minutes"], "alerts.escalate_minutes")
    if minutes < 1:
        raise PolicyError("alerts.escalate_minutes: expected 1 or more")
    kinds = _of(list, table["kinds"], "alerts.kinds")
    unknown = [kind for kind in kinds if kind not in list(AlertKind)]
    if unknown:
        raise PolicyError(f"alerts.kinds: expected one of {', '.join(AlertKind)}")
    contacts = _of(list, table.get("contacts", []), "alerts.contacts")
    return Alerts(frozenset(map(AlertKind, kinds)), minutes, tuple(_contact(n, one) for n, one in enumerate(contacts)))


def _limits(table: Mapping[str, Any]) -> Limits:
    names = ("calls_per_second", "unknown_per_second", "sign_ins_per_minute")
    _only(table, set(names), "limits")
    found = [_of(int, table[name], f"limits.{name}") for name in names]
    if min(found) < 1:
        raise PolicyError("limits: expected 1 or more")
    return Limits(*found)


def _retention(table: Mapping[str, Any]) -> Retention:
    _only(table, {one.name for one in fields(Retention)}, "retention")
    return Retention(**{name: _days(days, f"retention.{name}") for name, days in table.items()})


def _contact(number: int, table: Any) -> Contact:
    key = f"alerts.contacts[{number}]"
    _only(_of(dict, table, key), {"name", "email", "webhook"}, key)
    if ("email" in table) == ("webhook" in table):
        raise PolicyError(f"{key}: expected email or webhook, and not both")
    name = _of(str, table.get("name"), f"{key}.name")
    if not 0 < len(name) <= 128:
        raise PolicyError(f"{key}.name: expected 1 to 128 characters")
    if "email" in table:
        if not is_mail_address(_of(str, table["email"], f"{key}.email")):
            raise PolicyError(f"{key}.email: expected a mail address")
        return Contact(name, email=table["email"])
    try:
        origin(_of(str, table["webhook"], f"{key}.webhook"))
    except ValueError as problem:
        raise PolicyError(f"{key}.webhook: expected an http or https address") from problem
    return Contact(name, webhook=table["webhook"])


def _only(table: Mapping[str, Any], known: set[str], key: str) -> None:
    unknown = set(table) - known
    if unknown:
        raise PolicyError(f"unknown: {', '.join(f'{key}.{name}' for name in sorted(unknown))}")


def _languages(value: Any) -> frozenset[str]:
    chosen = frozenset(_of(list, value, "languages"))
    if not chosen <= READABLE:
        raise PolicyError(f"languages: expected some of {', '.join(sorted(READABLE))}")
    return chosen


def _of(kind: type[T], value: Any, key: str) -> T:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise PolicyError(f"{key}: expected {kind.__name__}")
    return value


def _days(value: Any, key: str) -> int:
    if _of(int, value, key) < 0:
        raise PolicyError(f"{key}: expected no negative number")
    return int(value)


def _holidays(value: Any) -> frozenset[date]:
    days = _of(list, value, "clock.holidays")
    if any(not isinstance(day, date) or isinstance(day, datetime) for day in days):
        raise PolicyError("clock.holidays: expected days, such as 2026-12-25")
    return frozenset(days)


def _priority(value: Any, key: str) -> Priority:
    try:
        return Priority(value)
    except ValueError as problem:
        raise PolicyError(f"{key}: expected one of {', '.join(Priority)}") from problem


def _transition(table: Mapping[str, Any] | None) -> Transition | None:
    if table is None:
        return None
    queue = Queue(table["queue"])
    return Transition(_of(int, table["from"], "transition.from"), _of(int, table["to"], "transition.to"), queue)


def _spelling(value: Any) -> str:
    if value not in SPELLINGS:
        raise PolicyError(f"spelling: expected one of {', '.join(SPELLINGS)}")
    return str(value)


def _zone(value: Any) -> ZoneInfo:
    try:
        return ZoneInfo(_of(str, value, "zone"))
    except (ZoneInfoNotFoundError, ValueError) as problem:
        raise PolicyError("zone: expected an IANA time zone") from problem
