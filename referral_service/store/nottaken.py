"""What was refused or rejected: listed red flags first, searched by codes and by words, and one request's rows.

Words are looked for in the texts received as they are read in batches: neither engine can look into bytes that may be
no UTF-8, and what is not taken is little beside what is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Select, or_, select

from referral_service.referral import Disposition
from referral_service.store import tables
from referral_service.store.worklist import follows

Row = Mapping[str, Any]
NOT_TAKEN = (Disposition.REFUSED, Disposition.REJECTED)
TAKEN_IN = "taken-in"
"""Asked for like a state: what was refused or rejected once and has been taken in since."""

Matches = Callable[[Connection, Row], bool]
"""Whether a row with the text of its request, ``body``, fits."""

_BATCH = 50


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands in the list: red flag first, then newest."""

    red_flag: int
    at: str
    received_id: str
    position: int


@dataclass(frozen=True, slots=True)
class Filters:
    """What is asked for; None is anything. ``since`` is an instant, ``rule`` one of our issue codes."""

    state: str | None = None
    rule: str | None = None
    client: str | None = None
    red_flag: bool = False
    since: str | None = None


@dataclass(frozen=True, slots=True)
class Choices:
    """What the rows not taken can be told apart by."""

    clients: list[str]
    rules: list[str]


def page(
    connection: Connection,
    filters: Filters,
    after: Place | None,
    limit: int,
    matches: Matches | None = None,
) -> list[Row]:
    """Rows in order, a row a referral (a row a request when none could be read); with ``matches`` only those whose
    text is still kept and fits."""
    if matches is None:
        ordered = _in_order(_rows().where(*_conditions(filters)), after)
        return [dict(row) for row in connection.execute(ordered.limit(limit)).mappings()]
    found: list[Row] = []
    for row in _rows_with_text(connection, filters, after):
        if row["body"] is not None and matches(connection, row):
            found.append(row)
        if len(found) == limit:
            break
    return found


def _rows_with_text(connection: Connection, filters: Filters, after: Place | None) -> Iterator[Row]:
    """The order is worked out once, on keys alone; the texts follow in batches."""
    row = tables.ledger
    ordered = _in_order(select(row.c.received_id, row.c.position).where(*_conditions(filters)), after)
    keys = [tuple(key) for key in connection.execute(ordered)]
    for start in range(0, len(keys), _BATCH):
        batch = keys[start : start + _BATCH]
        query = _rows().add_columns(tables.received.c.body)
        query = query.where(row.c.received_id.in_({received_id for received_id, _ in batch}))
        found = {(one["received_id"], one["position"]): one for one in connection.execute(query).mappings()}
        yield from (dict(found[key]) for key in batch if key in found)


def place_of(row: Row) -> Place:
    return Place(row["red_flag"], row["at"], row["received_id"], row["position"])


def _in_order(query: Select[Any], after: Place | None) -> Select[Any]:
    row = tables.ledger
    if after is not None:
        query = query.where(
            follows(
                (row.c.red_flag, after.red_flag, True),
                (row.c.at, after.at, True),
                (row.c.received_id, after.received_id, False),
                (row.c.position, after.position, False),
            )
        )
    return query.order_by(row.c.red_flag.desc(), row.c.at.desc(), row.c.received_id, row.c.position)


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    row = tables.ledger
    asked: list[tuple[object, ColumnElement[bool]]] = [
        (filters.client, row.c.client == filters.client),
        (filters.rule, row.c.rules.contains(f",{filters.rule},", autoescape=True)),
        (filters.red_flag, row.c.red_flag == 1),
        (filters.since, row.c.at >= (filters.since or "")),
    ]
    return [_state(filters.state), *(condition for wanted, condition in asked if wanted)]


def _state(wanted: str | None) -> ColumnElement[bool]:
    row = tables.ledger
    if wanted == TAKEN_IN:
        return row.c.taken_from.is_not(None)
    return row.c.state == wanted if wanted else row.c.state.in_(NOT_TAKEN)


def choices(connection: Connection) -> Choices:
    row = tables.ledger
    query = select(row.c.client, row.c.rules).where(row.c.state.in_(NOT_TAKEN)).distinct()
    found = connection.execute(query).all()
    rules = {rule for one in found for rule in one.rules.split(",") if rule}
    return Choices(sorted({one.client for one in found}), sorted(rules))


def of_request(connection: Connection, received_id: str) -> tuple[list[Row], bytes | None]:
    """All that was not taken of one request, in order, also when taken in since, and its text; None when the text is
    no longer kept."""
    row, received = tables.ledger, tables.received
    was_not_taken = or_(row.c.state.in_(NOT_TAKEN), row.c.taken_from.is_not(None))
    query = _rows().where(row.c.received_id == received_id, was_not_taken).order_by(row.c.position)
    found: list[Row] = [dict(one) for one in connection.execute(query).mappings()]
    body = connection.execute(select(received.c.body).where(received.c.id == received_id)).scalar()
    return found, bytes(body) if body is not None else None


@dataclass(frozen=True, slots=True)
class Request:
    """What became of a whole request, as references (``Type/id``).

    ``not_taken`` are the rows of the ledger that were not taken, by position, each with the referral that it was taken
    in as since; ``answers`` what its entries became, by place; ``taken`` all of these and the referrals taken at once.
    """

    client: str
    not_taken: Mapping[int, str | None]
    answers: Mapping[int, str]
    taken: frozenset[str]


def request(connection: Connection, received_id: str) -> Request:
    """The request that is here under this id."""
    row, received = tables.ledger, tables.received
    came = connection.execute(select(received.c.client, received.c.answers).where(received.c.id == received_id)).one()
    query = select(row.c.position, row.c.state, row.c.taken_from, row.c.referral_id)
    rows = connection.execute(query.where(row.c.received_id == received_id).order_by(row.c.position)).all()
    referrals = {one.position: f"ServiceRequest/{one.referral_id}" if one.referral_id else None for one in rows}
    not_taken = [one.position for one in rows if one.taken_from or one.state in NOT_TAKEN]
    became = enumerate(orjson.loads(came.answers or "[]"))
    answers = {place: one for place, one in became if isinstance(one, str)}
    taken = frozenset((*filter(None, referrals.values()), *answers.values()))
    return Request(came.client, {one: referrals[one] for one in not_taken}, answers, taken)


def received_under(connection: Connection, client: str, request_id: str) -> str | None:
    """The request of a client under a request id of which something was not taken, also when taken in since."""
    row, received = tables.ledger, tables.received
    was_not_taken = or_(row.c.state.in_(NOT_TAKEN), row.c.taken_from.is_not(None))
    query = (
        select(received.c.id)
        .join(row, row.c.received_id == received.c.id)
        .where(received.c.client == client, received.c.request_id == request_id, was_not_taken)
        .limit(1)
    )
    found: str | None = connection.execute(query).scalar()
    return found


def _rows() -> Select[Any]:
    row, received = tables.ledger, tables.received
    names = ("received_id", "position", "client", "at", "state", "red_flag", "outcome", "placer")
    return (
        select(*(row.c[name] for name in names), row.c.taken_from, row.c.referral_id)
        .add_columns(received.c.request_id, received.c.door)
        .join(received, received.c.id == row.c.received_id)
    )
