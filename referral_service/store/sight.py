"""Whose records somebody sees: a sender its own, whoever works on queues what stands in them and what that refers to.

A record hangs on a referral when it refers to it, whoever sent it; a referral refers to what its references lead to.
Both are ``token`` rows named ``_refers``, from the id of what refers to the id of what is referred to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Table, exists, false, literal, or_, select, true

from referral_service.referral import Queue
from referral_service.store import tables
from referral_service.store.lookups import our_id, table_of
from referral_service.worklist import Actor, Role

Condition = ColumnElement[bool]
REFERS = "_refers"
ABOUT = "_about"
SURROUNDINGS = frozenset({"Practitioner", "PractitionerRole", "Organization", "Location", "Binary"})
"""Types that are about nobody's health: those are seen with whatever refers to them, the others only with a patient."""


@dataclass(frozen=True, slots=True)
class Sight:
    """``client`` is the sender whose records are one's own and who gave them names, ``queues`` those that one works on.

    ``everything`` sees all records; the names are still those of ``client``.
    """

    client: str | None = None
    queues: frozenset[Queue] = frozenset()
    everything: bool = False

    @property
    def is_own_alone(self) -> bool:
        """Whether the client of a row says it all, which is what the indexes are made for."""
        return not (self.everything or self.queues)


def sight_of(actor: Actor) -> Sight:
    """Leads see all, coordinators and fillers their queues, and every system what it sent itself."""
    if Role.LEAD in actor.roles:
        return Sight(actor.client, everything=True)
    works = actor.roles & {Role.FILLER, Role.COORDINATOR}
    return Sight(actor.client, actor.queues if works else frozenset())


def in_sight(table: Table, sight: Sight, *, by_index: bool = True) -> Condition:
    """Which rows of Tasks, ServiceRequests or Patients are seen.

    ``by_index=False`` says the same so that no index on the client serves. SQLite, which takes every client for a small
    one, would else walk all of its rows in order where a few ids are known already
    (https://www.sqlite.org/optoverview.html#disqualifying_where_clause_terms_using_unary_).
    """
    if sight.everything:
        return true()
    by_index = by_index and sight.is_own_alone
    own = table.c.client == sight.client if by_index else table.c.client.concat("") == sight.client
    ways = [own] if sight.client is not None else []
    if sight.queues:
        ways.append(_stands_in(table, sight))
    return or_(false(), *ways)


def _stands_in(table: Table, sight: Sight) -> Condition:
    if table is tables.task:
        return _stands(table, sight)
    task = tables.task.alias()
    link = task.c.referral_id if table is tables.service_request else task.c.patient_id
    return exists().where(link == table.c.id, _stands(task, sight)).correlate(table)


def seen(connection: Connection, sight: Sight, kind: str, identity: str) -> Mapping[str, Any] | None:
    """The current row of a resource by our id or by one's own name for it; None when there is none to be seen."""
    ours = our_id(connection, sight.client, kind, identity) if sight.client is not None else None
    table = table_of(kind)
    query = select(table).where(table.c.id == (ours or identity))
    if table is tables.resource:
        query = query.where(table.c.type == kind)
    row = connection.execute(query).mappings().one_or_none()
    return dict(row) if row is not None and _is_seen(connection, sight, kind, row) else None


def sees_whole_request(connection: Connection, sight: Sight, received_id: str) -> bool:
    """Whether every referral and every patient of a request is in sight, so that its text may be.

    What was refused or rejected is its sender's alone.
    """
    received, ledger = tables.received, tables.ledger
    request = connection.execute(
        select(received.c.client, received.c.answers).where(received.c.id == received_id)
    ).one()
    if sight.everything or request.client == sight.client:
        return True
    counted = connection.execute(select(ledger.c.referral_id).where(ledger.c.received_id == received_id)).scalars()
    ids = [("ServiceRequest", one) for one in counted]
    answers = [one.partition("/") for one in orjson.loads(request.answers or "[]") if isinstance(one, str)]
    ids += [(kind, identity) for kind, _, identity in answers if kind in ("Patient", "ServiceRequest")]
    return all(one and seen(connection, sight, kind, one) is not None for kind, one in ids)


def _is_seen(connection: Connection, sight: Sight, kind: str, row: Mapping[Any, Any]) -> bool:
    if sight.everything or row["client"] == sight.client:
        return True
    table = table_of(kind)
    if table is tables.resource and kind != "Patient":
        return bool(connection.execute(select(_belongs(sight, kind, row))).scalar())
    if sight.is_own_alone:
        return False
    return bool(connection.execute(select(exists().where(table.c.id == row["id"], _stands_in(table, sight)))).scalar())


def _belongs(sight: Sight, kind: str, row: Mapping[Any, Any]) -> Condition:
    """Whether a record belongs to a referral in sight: hangs on it, is referred to by it, or tells of its patient."""
    ways = [_hangs(sight, row["id"]), _is_referred_to(sight, row["id"])]
    if sight.queues:
        ways.append(_tells(sight, row))
        if kind in SURROUNDINGS:
            ways += _surrounds(sight, row["id"])
    return or_(*ways)


def _hangs(sight: Sight, identity: str) -> Condition:
    task, refers = tables.task.alias(), tables.token.alias()
    return exists().where(
        refers.c.owner == identity,
        refers.c.param == REFERS,
        or_(task.c.referral_id == refers.c.value, task.c.id == refers.c.value),
        _in_hand(sight, task),
    )


def _is_referred_to(sight: Sight, identity: str) -> Condition:
    task, refers = tables.task.alias(), tables.token.alias()
    return exists().where(
        *_refers_to(refers, identity),
        or_(task.c.referral_id == refers.c.owner, task.c.id == refers.c.owner),
        _in_hand(sight, task),
    )


def _tells(sight: Sight, row: Mapping[Any, Any]) -> Condition:
    """What its sender said of the patient in the request that brought the referral; all else is another story."""
    task, about = tables.task.alias(), tables.token.alias()
    return exists().where(
        about.c.owner == row["id"],
        about.c.param == ABOUT,
        task.c.patient_id == about.c.value,
        task.c.client == row["client"],
        _came_with(task, literal(f"{row['type']}/{row['id']}")),
        _stands(task, sight),
    )


def _came_with(task: Any, reference: ColumnElement[str]) -> Condition:
    """Whether a record is among what the request became that a Task's referral came in, or its newest version."""
    request, row, received = tables.service_request.alias(), tables.ledger.alias(), tables.received.alias()
    return exists().where(
        request.c.id == task.c.referral_id,
        row.c.referral_id == request.c.id,
        received.c.id.in_([request.c.received_id, row.c.received_id]),
        received.c.answers.contains(literal('"').concat(reference).concat('"')),
    )


def _surrounds(sight: Sight, identity: str) -> list[Condition]:
    """Whether the patient, what the referral refers to, or what tells of the patient refers to a record."""
    task, refers = tables.task.alias(), tables.token.alias()
    between, record = tables.token.alias(), tables.resource.alias()
    leads = (*_refers_to(refers, identity), _stands(task, sight))
    return [
        exists().where(*leads, task.c.patient_id == refers.c.owner),
        exists().where(*leads, *_refers_to(between, refers.c.owner), task.c.referral_id == between.c.owner),
        exists().where(
            *leads,
            between.c.owner == refers.c.owner,
            between.c.param == ABOUT,
            task.c.patient_id == between.c.value,
            record.c.id == refers.c.owner,
            record.c.client == task.c.client,
            _came_with(task, record.c.type.concat("/").concat(record.c.id)),
        ),
    ]


def _refers_to(refers: Any, identity: Any) -> tuple[Condition, Condition]:
    return refers.c.param == REFERS, refers.c.value == identity


def _in_hand(sight: Sight, task: Any) -> Condition:
    return or_(task.c.client == sight.client, _stands(task, sight))


def _stands(task: Any, sight: Sight) -> Condition:
    return task.c.queue.in_(sorted(sight.queues)) if sight.queues else false()


def referred(connection: Connection, owner: str) -> set[str]:
    """Ids of what a resource is known to refer to."""
    token = tables.token
    query = select(token.c.value).where(token.c.owner == owner, token.c.param == REFERS)
    return set(connection.execute(query).scalars())
