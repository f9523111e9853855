"""People and their sessions as rows; what may be done with them is said in ``access``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from referral_service.store import tables
from referral_service.store.engine import instant

Row = Mapping[str, Any]
_PERSON = tables.person
_SESSION = tables.session
_TURN = 0x9E09
"""The key of the advisory lock that whoever adds somebody on PostgreSQL holds."""


def take_turn(connection: Connection) -> None:
    """Until the transaction ends nobody else adds anybody: nobody is added twice at once, and no name given twice.

    On SQLite whoever writes has the turn anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_TURN)))


def add(connection: Connection, row: Row) -> None:
    connection.execute(insert(_PERSON).values(row))


def change(connection: Connection, person_id: str, **values: Any) -> None:
    connection.execute(update(_PERSON).where(_PERSON.c.id == person_id).values(values))


def everybody(connection: Connection) -> list[Row]:
    """Everybody who was ever added, by name."""
    query = select(_PERSON).order_by(_PERSON.c.shown_name, _PERSON.c.id)
    return [dict(row) for row in connection.execute(query).mappings()]


def by_user_name(connection: Connection, user_name: str) -> Row | None:
    """The row, kept from others who would change it until the transaction ends."""
    return _one(connection, _PERSON.c.user_name == user_name)


def by_subject(connection: Connection, issuer: str, subject: str) -> Row | None:
    """The row, kept from others who would change it until the transaction ends."""
    return _one(connection, (_PERSON.c.issuer == issuer) & (_PERSON.c.subject == subject))


def _one(connection: Connection, condition: Any) -> Row | None:
    found = connection.execute(select(_PERSON).where(condition).with_for_update()).mappings().one_or_none()
    return dict(found) if found is not None else None


def is_name_taken(connection: Connection, shown_name: str, but_of: str = "") -> bool:
    """Whether somebody else is shown under this name, in whatever case (on SQLite only of the letters of ASCII)."""
    shown = _PERSON.c.shown_name
    same = or_(shown == shown_name, func.lower(shown) == shown_name.lower())
    others = select(_PERSON.c.id).where(same, _PERSON.c.id != but_of)
    return connection.execute(others.limit(1)).first() is not None


def begin_session(connection: Connection, session_id: str, person_id: str, at: datetime, ends: datetime) -> None:
    """Sessions whose end has passed are cleared away with it."""
    connection.execute(delete(_SESSION).where(_SESSION.c.ends_at <= instant(at)))
    values = {"id": session_id, "person_id": person_id, "ends_at": instant(ends)}
    connection.execute(insert(_SESSION).values(values))


def of_session(connection: Connection, session_id: str, at: datetime) -> Row | None:
    """Whose session it is; None when it has ended, or when its person may no longer sign in."""
    query = (
        select(_PERSON)
        .join(_SESSION, _SESSION.c.person_id == _PERSON.c.id)
        .where(_SESSION.c.id == session_id, _SESSION.c.ends_at > instant(at), _PERSON.c.disabled_at.is_(None))
    )
    found = connection.execute(query).mappings().one_or_none()
    return dict(found) if found is not None else None


def end_session(connection: Connection, session_id: str) -> None:
    connection.execute(delete(_SESSION).where(_SESSION.c.id == session_id))


def end_sessions(connection: Connection, person_id: str) -> None:
    """Every session of a person, wherever it was begun."""
    connection.execute(delete(_SESSION).where(_SESSION.c.person_id == person_id))
