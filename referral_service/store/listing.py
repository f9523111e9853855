"""The coordinators' list: any filter in any order, a page at a time, and whether anything has changed since.

A page without filters is the head of an index that is in order already. All queues at once are the heads of each
one merged. With filters one index that holds all they ask for is read through, so that no row is opened which is not
shown. Pages are cut by key, never by offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    func,
    intersect,
    literal,
    not_,
    or_,
    select,
    tuple_,
    union,
    union_all,
)

from referral_service.fhir.names import number, words
from referral_service.referral import Queue
from referral_service.store import tables
from referral_service.store.engine import instant
from referral_service.store.nottaken import NOT_TAKEN
from referral_service.store.worklist import Count, Row, rows_of, with_task

Condition = ColumnElement[bool]
ORDERS: Mapping[str, tuple[str, ...]] = tables.LIST_ORDERS
URGENCY = "urgency"
_PRIVATE = {"age": ("born",)}
"""Keys of an order that say something of a patient; a place leaves them out, and they are looked up again by the id."""
_TASK = tables.task
_LAST_SIGN = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Band:
    """Birth dates, both ends included, of those who are of some ages on a day."""

    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands in an order: the values of its keys, empty where these are a patient's, and its id."""

    values: tuple[str, ...]
    id: str


@dataclass(frozen=True, slots=True)
class Filters:
    """What is to be shown, None and empty where anything will do.

    ``due`` and ``received`` are the first and the last day or instant, ``unborn`` lets those pass whose age cannot be
    told, ``text`` is what somebody typed: the beginnings of words of a name, or an identifier.
    """

    status: str | None = None
    business_status: str | None = None
    lane: tuple[int, ...] | None = None
    flag: str | None = None
    code: str | None = None
    uncoded: bool = False
    born: Band | None = None
    unborn: Band | None = None
    sender: str | None = None
    assignee: str | None = None
    unassigned: bool = False
    due: tuple[str | None, str | None] = (None, None)
    received: tuple[str | None, str | None] = (None, None)
    text: str = ""


ANY = Filters()


@dataclass(frozen=True, slots=True)
class Listing:
    """One list: which queues, open or closed referrals, through which filters, in which order."""

    queues: tuple[Queue, ...]
    closed: bool = False
    filters: Filters = ANY
    order: str = URGENCY
    falls: bool = False


def page(connection: Connection, listing: Listing, after: Place | None, limit: int) -> tuple[list[Row], int | None]:
    """Rows as :func:`worklist.with_task` gives them, each with its ``place``, and how many pass the filters.

    That number is None where no filter is set, and where the page is empty.
    """
    place = _completed(connection, listing, after) if after is not None else None
    is_filtered = listing.filters != ANY
    found = connection.execute((_filtered if is_filtered else _merged)(listing, place, limit)).all()
    ids = [row.id for row in found]
    rows = {row["task_id"]: row for row in rows_of(connection, with_task().where(_TASK.c.id.in_(ids)))}
    shown: list[Row] = [{**rows[one], "place": _place_of(listing, rows[one])} for one in ids if one in rows]
    return shown, found[0].number_of if found and is_filtered else None


def _merged(listing: Listing, place: tuple[Any, ...] | None, limit: int) -> Select[Any]:
    """The heads of each queue, each from an index that is in order, brought together."""
    heads = [_head(listing, queue, place, limit) for queue in listing.queues]
    if len(heads) == 1:
        return heads[0]
    rows = union_all(*(select(head.subquery()) for head in heads)).subquery()
    return _cut(select(rows), listing, rows.c, None, limit)


def _head(listing: Listing, queue: Queue, place: tuple[Any, ...] | None, limit: int) -> Select[Any]:
    query = select(*_keys(listing, _TASK.c)).where(_TASK.c.queue == queue, *_conditions(listing))
    query = query.with_hint(_TASK, f"INDEXED BY {tables.list_index(listing.order)}", "sqlite")
    return _cut(query, listing, _TASK.c, place, limit)


def _filtered(listing: Listing, place: tuple[Any, ...] | None, limit: int) -> Select[Any]:
    """Reads the index of the filters once, for the page and for the number.

    It is materialized lest PostgreSQL walk along an order in hope of a page soon full, and open every row.
    """
    query = select(*_keys(listing, _TASK.c)).where(_TASK.c.queue.in_(listing.queues), *_conditions(listing))
    found = _by_filters(query).cte("found").prefix_with("MATERIALIZED")
    number_of = select(func.count()).select_from(found).scalar_subquery()
    return _cut(select(found, number_of.label("number_of")), listing, found.c, place, limit)


def _by_filters(query: Select[Any]) -> Select[Any]:
    """Reads the one index that holds all the filters; SQLite would open every row for want of statistics."""
    return query.with_hint(_TASK, f"INDEXED BY {tables.LIST_FILTERS}", "sqlite")


def _cut(query: Select[Any], listing: Listing, columns: Any, place: tuple[Any, ...] | None, limit: int) -> Select[Any]:
    """What follows a place, in order."""
    keys = _keys(listing, columns)
    if place is not None:
        here, there = tuple_(*keys), tuple_(*(literal(value) for value in place))
        query = query.where(here < there if listing.falls else here > there)
    return query.order_by(*(_directed(key, listing) for key in keys)).limit(limit)


def _keys(listing: Listing, columns: Any) -> list[ColumnElement[Any]]:
    return [columns[name] for name in (*ORDERS[listing.order], "id")]


def _directed(key: ColumnElement[Any], listing: Listing) -> ColumnElement[Any]:
    return key.desc() if listing.falls else key.asc()


def _place_of(listing: Listing, row: Row) -> Place:
    private = _PRIVATE.get(listing.order, ())
    values = tuple("" if name in private else str(row[name]) for name in ORDERS[listing.order])
    return Place(values, row["task_id"])


def _completed(connection: Connection, listing: Listing, after: Place) -> tuple[Any, ...]:
    """A place with what it leaves out looked up again; the beginning when there is no such row."""
    values: list[Any] = []
    for name, value in zip(ORDERS[listing.order], after.values, strict=True):
        if name in _PRIVATE.get(listing.order, ()):
            found = connection.execute(select(_TASK.c[name]).where(_TASK.c.id == after.id)).scalar()
            values.append(found if found is not None else ("~" if listing.falls else ""))
        else:
            values.append(int(value) if name == "lane" else value)
    return (*values, after.id)


def _conditions(listing: Listing) -> list[Condition]:
    wanted, task = listing.filters, _TASK.c
    equal = {
        "status": wanted.status,
        "business_status": wanted.business_status,
        "code": wanted.code,
        "sender_code": wanted.sender,
        "assignee": wanted.assignee,
    }
    found: list[Condition] = [task.closed == int(listing.closed)]
    found += [task[name] == value for name, value in equal.items() if value is not None]
    if wanted.lane is not None:
        found.append(task.lane.in_(wanted.lane))
    if wanted.flag:
        found.append(task.flags.contains(f",{wanted.flag},", autoescape=True))
    if wanted.uncoded:
        found.append(task.code.is_(None))
    if wanted.unassigned:
        found.append(task.assignee.is_(None))
    if wanted.born is not None:
        found += [task.born != "", _not_later(wanted.born.last), _not_earlier(wanted.born.first)]
    if wanted.unborn is not None:
        found.append(not_(and_(task.born != "", _not_later(wanted.unborn.last), _not_earlier(wanted.unborn.first))))
    found += _between(task.due, wanted.due) + _between(task.authored_on, wanted.received)
    return [*found, *_text_conditions(wanted.text)]


def _between(column: ColumnElement[str], ends: tuple[str | None, str | None]) -> list[Condition]:
    first, last = ends
    found = [column >= first] if first is not None else []
    return [*found, column <= last] if last is not None else found


def _not_later(day: str) -> Condition:
    """Births that can have been by a day; a year or a month sorts before each of its own days."""
    return _TASK.c.born <= day


def _not_earlier(day: str) -> Condition:
    """Births that can have been from a day on: of a partial date also those in the day's own year or month."""
    return or_(_TASK.c.born >= day, _TASK.c.born.in_((day[:4], day[:7])))


def _text_conditions(text: str) -> list[Condition]:
    """Every word begins a word of the patient's name, or the whole is the beginning of an identifier."""
    bare = number(text)
    if not bare:
        return []
    named = intersect(*(_owners("_word", word) for word in words(text))).subquery()
    owners = select(union(select(named), _owners("_number", bare)).cte())
    return [_TASK.c.masked == 0, or_(_TASK.c.patient_id.in_(owners), _TASK.c.referral_id.in_(owners))]


def _owners(param: str, begins: str) -> Select[str]:
    """Patients and referrals with a token that begins like this."""
    token = tables.token.c
    return select(token.owner).where(token.param == param, token.value >= begins, token.value < begins + _LAST_SIGN)


def senders(connection: Connection, closed: bool, queues: tuple[Queue, ...]) -> list[tuple[str, str]]:
    """Code and name of everybody who has referrals among the open or the closed ones of these queues."""
    query = select(_TASK.c.sender_code, _TASK.c.sender).distinct()
    query = query.where(_TASK.c.closed == int(closed), *_within(queues))
    found = connection.execute(query)
    return sorted(((code, name) for code, name in found), key=lambda one: one[1].casefold())


def sender_name(connection: Connection, code: str) -> str | None:
    query = select(_TASK.c.sender).where(_TASK.c.closed.in_((0, 1)), _TASK.c.sender_code == code).limit(1)
    name: str | None = connection.execute(query).scalar()
    return name


def assignees(connection: Connection, queues: tuple[Queue, ...]) -> list[str]:
    """Everybody to whom an open referral of these queues is assigned."""
    is_assigned = (_TASK.c.closed == 0, _TASK.c.assignee.is_not(None))
    query = select(_TASK.c.assignee).distinct().where(*is_assigned, *_within(queues))
    query = query.with_hint(_TASK, f"INDEXED BY {tables.LIST_ASSIGNEES}", "sqlite")
    return sorted(str(name) for name in connection.execute(query).scalars())


def _within(queues: tuple[Queue, ...]) -> list[Condition]:
    """Nothing is asked of the rows where it is all queues: an index without the queue then tells it alone."""
    return [] if set(queues) == set(Queue) else [_TASK.c.queue.in_(queues)]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What stays the same for as long as no Task has changed, and nothing further has come that was not taken.

    Beside the latest change (empty when there is none) it counts those from ``since`` on, and with them any of a
    transaction that was slower to commit than one which began later.
    """

    since: str
    last: str
    changes: int
    versions: int
    not_taken: int


def stamp(connection: Connection, since: datetime) -> Stamp:
    begin, row = instant(since), tables.ledger.c
    # every red_flag is named, for the index has it before the time
    refused = (row.state.in_(NOT_TAKEN), row.red_flag.in_((0, 1)), row.at >= begin)
    query = select(
        select(func.max(_TASK.c.last_updated)).scalar_subquery(),
        func.count(),
        func.coalesce(func.sum(_TASK.c.version), 0),
        select(func.count()).select_from(tables.ledger).where(*refused).scalar_subquery(),
    )
    last, changes, versions, not_taken = connection.execute(query.where(_TASK.c.last_updated >= begin)).one()
    return Stamp(begin, last or "", changes, int(versions), not_taken)


def arrivals(connection: Connection, since: str) -> dict[str, Count]:
    """Open referrals that were first received after an instant, by queue."""
    new = (_TASK.c.last_updated > since, _TASK.c.authored_on > since, _TASK.c.closed == 0)
    query = select(_TASK.c.queue, func.count(), func.sum(_TASK.c.red_flag)).where(*new).group_by(_TASK.c.queue)
    return {queue: Count(number_of, int(red_flags)) for queue, number_of, red_flags in connection.execute(query)}
