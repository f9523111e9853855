"""People: added by the command line or by an OpenID provider, signed in, locked out, signed out."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from referral_service.access import passwords
from referral_service.access.callers import BY_HAND, Caller, Kind
from referral_service.referral import Queue
from referral_service.store import people as stored
from referral_service.store.engine import Connection, Store, instant
from referral_service.store.people import Row
from referral_service.worklist import Actor, Role

IDLE = timedelta(minutes=15)
"""A session ends after this long without anything done in it,"""
LONGEST = timedelta(hours=12)
"""and after this long whatever is done in it."""

ROLES = (Role.LEAD, Role.COORDINATOR, Role.INTEGRATOR, Role.AUDITOR)
_FREE_FAILURES = 5
_MOST_MINUTES = 15
_SERVICE = ("referral", "service", "dystonia", "coordinator", "queue")
"""What comes to mind at a password for this service."""
_USER_NAME = re.compile(r"[a-z0-9][a-z0-9._@+\-]{1,63}")
_LONGEST_NAME = 128


class PersonError(ValueError):
    """Somebody who cannot be added or signed in; the message says why, in words for that person.

    ``known`` is the row of somebody who is here already.
    """

    def __init__(self, words: str, known: Row | None = None) -> None:
        super().__init__(words)
        self.known = known


@dataclass(frozen=True, slots=True)
class Entitled:
    """What somebody is to be called, and may do: a role, and for a coordinator the queues given."""

    name: str
    role: Role
    queues: frozenset[Queue]


def caller_of(row: Row) -> Caller:
    """Whoever is signed in, as a caller. Whoever leads has every queue; whoever only looks has none."""
    role = Role(row["role"])
    given = frozenset(Queue(name) for name in row["queues"].split(",") if name)
    queues = frozenset(Queue) if role is Role.LEAD else given
    return Caller(Kind.PERSON, Actor(row["id"], row["shown_name"], frozenset({role}), queues), BY_HAND)


def user_name_of(typed: str) -> str:
    return typed.strip().lower()


def add(connection: Connection, user_name: str, entitled: Entitled, password: str, at: datetime) -> None:
    """Adds somebody who signs in with a password; one who was disabled comes back with what is given now.

    Raises :class:`PersonError`.
    """
    name = user_name_of(user_name)
    if not _USER_NAME.fullmatch(name):
        raise PersonError("A user name has 2 to 64 letters, digits or . _ @ + -")
    stored.take_turn(connection)
    before = stored.by_user_name(connection, name)
    if before is not None and before["disabled_at"] is None:
        raise PersonError("There is somebody of this user name; disable them first to give them a new password or role")
    if not passwords.is_fit(password):
        raise PersonError(f"A password has {passwords.SHORTEST} to {passwords.LONGEST} characters")
    if passwords.is_guessed(password, (name, entitled.name, *_SERVICE)):
        raise PersonError("This password is among the first that are guessed; take some words that do not go together")
    values = _values(connection, entitled, before["id"] if before else "")
    values |= {"password_hash": passwords.hashed(password), "failures": 0, "locked_until": None, "disabled_at": None}
    if before is None:
        stored.add(connection, {"id": str(uuid4()), "user_name": name, "added_at": instant(at), **values})
    else:
        stored.change(connection, before["id"], **values)


def _values(connection: Connection, entitled: Entitled, but_of: str) -> dict[str, str | int | None]:
    name = entitled.name.strip()
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise PersonError(f"The name to be shown has 1 to {_LONGEST_NAME} characters")
    if stored.is_name_taken(connection, name, but_of):
        raise PersonError("Somebody else is shown under this name; who has what in hand could not be told apart")
    if (entitled.role is Role.COORDINATOR) != bool(entitled.queues):
        raise PersonError("A coordinator is given at least one queue, and nobody else is given any")
    queues = ",".join(queue.value for queue in Queue if queue in entitled.queues)
    return {"shown_name": name, "role": entitled.role.value, "queues": queues}


def disable(connection: Connection, user_name: str, at: datetime) -> None:
    """By user name, or by id for those whom an OpenID provider knows. Every session ends. Raises PersonError."""
    for row in stored.everybody(connection):
        if row["disabled_at"] is None and user_name_of(user_name) in (row["user_name"], row["id"]):
            stored.change(connection, row["id"], disabled_at=instant(at))
            stored.end_sessions(connection, row["id"])
            return
    raise PersonError("There is nobody of this user name who could sign in")


def lines(connection: Connection, at: datetime) -> Iterator[str]:
    """Everybody with what they may do, how they sign in and whether they can now; a line a person."""
    for row in stored.everybody(connection):
        known_as = row["user_name"] or f"{row['id']} at {row['issuer']}"
        state = "disabled" if row["disabled_at"] else "locked" if _is_locked(row, at) else "active"
        yield "  ".join(part for part in (known_as, row["shown_name"], row["role"], row["queues"], state) if part)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A password given for a name that somebody has and that is not locked; ``locks`` when it now is."""

    row: Row
    is_right: bool
    locks: bool


def attempted(store: Store, user_name: str, password: str, at: datetime) -> Attempt | None:
    """Whether somebody may come in; None for names that nobody has, or that are locked, of which nothing is written.

    The same work is done whatever it was. The attempt is counted before the password is looked at, so that many at
    once are no more than one after another.
    """
    until = None
    with store.writing() as connection:
        row = stored.by_user_name(connection, user_name_of(user_name))
        is_open = row is not None and row["disabled_at"] is None and not _is_locked(row, at)
        if row is not None and is_open:
            failures = row["failures"] + 1
            until = _locked_until(failures, at)
            stored.change(connection, row["id"], failures=failures, locked_until=until)
    is_right = passwords.is_right(password, row["password_hash"] if row is not None else None)
    if row is None or not is_open:
        return None
    if not is_right:
        return Attempt(row, is_right=False, locks=until is not None)
    again = {"password_hash": passwords.hashed(password)} if passwords.is_outdated(row["password_hash"]) else {}
    with store.writing() as connection:
        stored.change(connection, row["id"], failures=0, locked_until=None, **again)
    return Attempt(row, is_right=True, locks=False)


def _is_locked(row: Row, at: datetime) -> bool:
    return row["locked_until"] is not None and row["locked_until"] > instant(at)


def _locked_until(failures: int, at: datetime) -> str | None:
    if failures < _FREE_FAILURES:
        return None
    minutes = min(_MOST_MINUTES, 2 ** min(failures - _FREE_FAILURES, _MOST_MINUTES))
    return instant(at + timedelta(minutes=minutes))


def known_by_provider(
    connection: Connection, issuer: str, subject: str, name: str, values: Iterable[str], at: datetime
) -> Row:
    """Whoever an OpenID provider says has signed in; made the first time, and each time given the role that it says.

    ``values`` are those of the claim that names the role: one of :data:`ROLES`, and for a coordinator queues too.
    Raises :class:`PersonError` when they name none, or when this person was disabled here.
    """
    stored.take_turn(connection)
    before = stored.by_subject(connection, issuer, subject)
    if before is not None and before["disabled_at"] is not None:
        raise PersonError("You may no longer sign in here.", before)
    given = frozenset(values)
    role = next((role for role in ROLES if role.value in given), None)
    if role is None:
        raise PersonError("Your sign-in names no role in this service. Ask whoever looks after it.", before)
    queues = frozenset(queue for queue in Queue if queue.value in given and role is Role.COORDINATOR)
    if role is Role.COORDINATOR and not queues:
        words = "Your sign-in names no queue that you coordinate. Ask whoever looks after this service."
        raise PersonError(words, before)
    own_id = before["id"] if before else ""
    shown = _free_name(connection, name.strip()[: _LONGEST_NAME - 8] or "No name", own_id)
    written = _values(connection, Entitled(shown, role, queues), own_id)
    if before is not None:
        stored.change(connection, own_id, **written)
        return {**before, **written}
    row = {"id": str(uuid4()), "issuer": issuer, "subject": subject, "added_at": instant(at), "failures": 0, **written}
    stored.add(connection, row)
    return row


def end_sessions_of_subject(connection: Connection, issuer: str, subject: str) -> None:
    """Whoever an OpenID provider gives no role any more loses the one that an earlier session still has."""
    known = stored.by_subject(connection, issuer, subject)
    if known is not None:
        stored.end_sessions(connection, known["id"])


def _free_name(connection: Connection, name: str, but_of: str) -> str:
    """Two people of one name are told apart by a number."""
    shown, number = name, 1
    while stored.is_name_taken(connection, shown, but_of):
        number += 1
        shown = f"{name} ({number})"
    return shown


def begin_session(connection: Connection, person_id: str, at: datetime) -> str:
    """A new session; its id is not to be guessed, and goes into a signed cookie only."""
    session_id = secrets.token_urlsafe(32)
    stored.begin_session(connection, session_id, person_id, at, at + LONGEST)
    return session_id
