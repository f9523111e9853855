"""What is already here, as a request needs to know it: one query for all of its keys, addresses and identifiers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    String,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    tuple_,
    union_all,
)

from referral_service.store import tables
from referral_service.store.direct import Question
from referral_service.store.writes import bounded, overtaking
from referral_service.worklist import FINAL

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class KnownKey:
    content_hash: str
    received_id: str
    referral_id: str | None


@dataclass(slots=True)
class Known:
    """What one client has sent before, as far as this request speaks of it.

    ``addresses`` maps the sender's names and our own relative references to ours (``Patient/…``); ``absolute`` maps
    ours to the absolute names among them; ``patients`` maps an identifier to the stored Patients that carry it, newest
    first; ``with_open_referral`` are those of them whose Task is not final.
    """

    keys: dict[Pair, KnownKey] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    absolute: dict[str, set[str]] = field(default_factory=dict)
    patients: dict[Pair, list[str]] = field(default_factory=dict)
    with_open_referral: set[str] = field(default_factory=set)

    def reference(self, names: Sequence[str]) -> str | None:
        """Our reference for what goes by any of ``names``, the surest first.

        A relative name says nothing of what is known to live at another base than the absolute name beside it: the
        ``Patient/1`` of one server is not that of another.
        """
        absolute = next((name for name in names if "://" in name), None)
        for name in names:
            found = self.addresses.get(name)
            elsewhere = self.absolute.get(found, set()) if found and absolute else set()
            if found and (name in (absolute, found) or not elsewhere or absolute in elsewhere):
                return found
        return None

    def name(self, name: str, reference: str) -> None:
        """From now on ``name`` leads to ``reference``."""
        self.addresses[name] = reference
        if "://" in name:
            self.absolute.setdefault(reference, set()).add(name)


def known(
    connection: Connection,
    client: str,
    *,
    keys: Sequence[Pair] = (),
    addresses: Iterable[str] = (),
    identifiers: Iterable[Pair] = (),
) -> Known:
    """One round trip, whatever is asked. Names and identifiers come back as they were asked for."""
    names = {bounded(name): name for name in addresses}
    asked = {(kind, bounded(value)): (kind, value) for kind, value in keys}
    wanted = {(bounded(system), bounded(value)): (system, value) for system, value in identifiers}
    found = Known()
    has_absolute = any("://" in name for name in names)
    lists: dict[str, list[Any]] = {"keys": list(asked), "names": list(names), "identifiers": list(wanted)}
    lists["ids"] = [name.rpartition("/")[2] for name in names if "/" in name and "://" not in name]
    values = {name: listed for name, listed in lists.items() if listed}
    question = _question(frozenset(values), has_absolute)
    if question is None:
        return found
    with overtaking(connection):
        rows = question.rows(connection, {"client": client, **values})
    for what, first, second, one, two, three in rows:
        if what == "key":
            found.keys[asked[first, second]] = KnownKey(one, two, three)
        elif what == "address":
            found.addresses.setdefault(names[first], f"{second}/{one}")
        elif what == "absolute":
            found.absolute.setdefault(f"{second}/{one}", set()).add(first)
        else:
            found.patients.setdefault(wanted[first, second], []).append(one)
            if two:
                found.with_open_referral.add(one)
    return found


_CLIENT: BindParameter[str] = bindparam("client", type_=String)
_KEYS: BindParameter[Any] = bindparam("keys", expanding=True)
_NAMES: BindParameter[Any] = bindparam("names", expanding=True)
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_IDENTIFIERS: BindParameter[Any] = bindparam("identifiers", expanding=True)


@cache
def _question(lists: frozenset[str], absolute: bool) -> Question | None:
    """The one query for what is asked, put together once: composing it costs more than running it."""
    parts: list[Any] = []
    if "keys" in lists:
        parts.append(_keys())
    if "names" in lists:
        parts.append(_addresses())
    if "ids" in lists:
        parts += _own()
    if absolute:
        parts.append(_absolute())
    if "identifiers" in lists:
        parts.append(_patients())
    return Question(union_all(*parts)) if parts else None


def _keys() -> Any:
    key = tables.request_key
    return select(
        literal("key"), key.c.kind, key.c.value, key.c.content_hash, key.c.received_id, key.c.referral_id
    ).where(key.c.client == _CLIENT, tuple_(key.c.kind, key.c.value).in_(_KEYS))


def _addresses() -> Any:
    address = tables.address
    return select(literal("address"), address.c.name, address.c.type, address.c.owner, null(), null()).where(
        address.c.client == _CLIENT, address.c.name.in_(_NAMES)
    )


def _absolute() -> Any:
    """The absolute names of whatever goes by one of the names asked for."""
    address, other = tables.address, tables.address.alias()
    return (
        select(literal("absolute"), other.c.name, other.c.type, other.c.owner, null(), null())
        .distinct()
        .join_from(address, other, other.c.owner == address.c.owner)
        .where(address.c.client == _CLIENT, address.c.name.in_(_NAMES), other.c.name.contains("://"))
    )


def _own() -> list[Any]:
    """References that already speak of our ids.

    Whose they are is said so that no index on the client serves: a database that does not know yet how much it holds
    would walk all that the client ever sent.
    """
    own, sent = tables.resource, tables.service_request
    relative = own.c.type + "/" + own.c.id
    request = "ServiceRequest/" + sent.c.id
    return [
        select(literal("address"), relative, own.c.type, own.c.id, null(), null()).where(
            own.c.client.concat("") == _CLIENT, own.c.id.in_(_IDS), relative.in_(_NAMES)
        ),
        select(literal("address"), request, literal("ServiceRequest"), sent.c.id, null(), null()).where(
            sent.c.client.concat("") == _CLIENT, sent.c.id.in_(_IDS), request.in_(_NAMES)
        ),
    ]


def _patients() -> Any:
    token, task, patient = tables.token, tables.task, tables.resource
    is_open = exists().where(task.c.patient_id == token.c.owner, task.c.status.not_in(FINAL)).correlate(token)
    newest_first = (
        select(
            literal("patient").label("what"),
            token.c.system,
            token.c.value,
            token.c.owner,
            case((is_open, literal("1"))).label("is_open"),
            null(),
        )
        .join(patient, patient.c.id == token.c.owner)
        .where(
            token.c.client == _CLIENT,
            token.c.type == "Patient",
            token.c.param == "identifier",
            tuple_(token.c.system, token.c.value).in_(_IDENTIFIERS),
        )
        .order_by(patient.c.last_updated.desc(), patient.c.id)
    )
    return select(newest_first.subquery())


def stored_rows(connection: Connection, references: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Current rows of supporting resources by our id, for references such as ``Patient/…``."""
    table = tables.resource
    ids = [reference.partition("/")[2] for reference in references]
    if not ids:
        return {}
    rows = connection.execute(select(table).where(table.c.id.in_(ids))).mappings()
    return {row["id"]: dict(row) for row in rows}


def contents(connection: Connection, kind: str, ids: Iterable[str]) -> dict[str, str]:
    """Stored texts of supporting resources by id."""
    table = tables.resource
    rows = connection.execute(
        select(table.c.id, table.c.content).where(table.c.type == kind, table.c.id.in_(list(ids)))
    )
    return {row.id: row.content for row in rows}


def current(
    connection: Connection, client: str, kind: str, identity: str, *, held: bool = False
) -> Mapping[str, Any] | None:
    """The current row of one resource of a client, whichever table its type lives in.

    ``held`` keeps others from changing it until this transaction ends, so that what is then said of its version stays
    true (SQLite has one writer at a time anyway).
    """
    table = table_of(kind)
    query = select(table).where(table.c.id == identity, table.c.client == client)
    if table is tables.resource:
        query = query.where(table.c.type == kind)
    if held:
        query = query.with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    return dict(row) if row is not None else None


def take_turns(connection: Connection, name: str) -> None:
    """Until this transaction ends, others who ask for the same turn wait, so that what each finds absent stays so.

    SQLite has one writer at a time anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def with_identifier(connection: Connection, client: str, kind: str, system: str, value: str) -> list[str]:
    """Ids of a client's resources of one type that carry an identifier."""
    token = tables.token
    query = select(token.c.owner).where(
        token.c.client == client,
        token.c.type == kind,
        token.c.param == "identifier",
        token.c.system == bounded(system),
        token.c.value == bounded(value),
    )
    return list(connection.execute(query).scalars())


def our_id(connection: Connection, client: str, kind: str, identity: str) -> str | None:
    """Our id of a client's resource, asked for by our id or by the sender's own."""
    found = known(connection, client, addresses=[f"{kind}/{identity}"]).addresses
    if found:
        return next(iter(found.values())).rpartition("/")[2]
    return identity if kind == "Task" else None


def table_of(kind: str) -> Any:
    return {"ServiceRequest": tables.service_request, "Task": tables.task}.get(kind, tables.resource)


def referral_with_task(connection: Connection, referral_id: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The rows of a referral and of its Task."""
    request, task = tables.service_request, tables.task
    first = connection.execute(select(request).where(request.c.id == referral_id)).mappings().one()
    second = connection.execute(select(task).where(task.c.referral_id == referral_id)).mappings().one()
    return dict(first), dict(second)


_IS_AWAITED = and_(tables.token.c.type == "ServiceRequest", tables.token.c.param == "_awaits")


_AWAITING = Question(
    select(tables.token.c.owner)
    .distinct()
    .where(tables.token.c.client == _CLIENT, _IS_AWAITED)
    .where(tables.token.c.value.in_(_NAMES))
    .order_by(tables.token.c.owner)
)


def awaiting(connection: Connection, client: str, names: Iterable[str]) -> list[str]:
    """Ids of referrals that wait for a Patient or a record which goes by one of ``names``."""
    values = {"client": client, "names": [bounded(name) for name in names]}
    with overtaking(connection):
        return [row[0] for row in _AWAITING.rows(connection, values)]


def all_awaiting(connection: Connection) -> list[tuple[str, str]]:
    """Every (client, referral id) that waits for its subject or for a record."""
    token = tables.token
    query = select(token.c.client, token.c.owner).distinct().where(_IS_AWAITED).order_by(token.c.owner)
    return [(row.client, row.owner) for row in connection.execute(query)]


def awaited_by(connection: Connection, referral_id: str) -> set[str]:
    """The names that one referral waits for."""
    token = tables.token
    query = select(token.c.value).where(token.c.owner == referral_id, token.c.param == "_awaits")
    return set(connection.execute(query).scalars())


def decided(connection: Connection) -> Iterator[Mapping[str, Any]]:
    """Every referral with the machine's own decision and what it was made from; ``by_hand`` when a human has decided.

    Streamed, so that any number fits.
    """
    request, task = tables.service_request, tables.task
    own = func.coalesce(request.c.machine_decision, request.c.decision).label("decision")
    by_hand = or_(request.c.machine_decision.is_not(None), task.c.by_hand == 1).label("by_hand")
    query = select(request.c.id, own, request.c.decision_input, by_hand).join(task, task.c.referral_id == request.c.id)
    rows = connection.execute(query.order_by(request.c.id).execution_options(yield_per=500)).mappings()
    yield from (dict(row) for row in rows)


def received_text(connection: Connection, received_id: str) -> bytes:
    table = tables.received
    body = connection.execute(select(table.c.body).where(table.c.id == received_id)).scalar_one()
    return bytes(body or b"")


def received_answers(connection: Connection, received_id: str) -> str | None:
    """What the entries of a request became, as JSON."""
    table = tables.received
    answers: str | None = connection.execute(select(table.c.answers).where(table.c.id == received_id)).scalar_one()
    return answers


def versions(connection: Connection, client: str, identity: str) -> list[Mapping[str, Any]]:
    """What newer versions of a resource replaced, newest first."""
    table = tables.history
    query = select(table).where(table.c.id == identity, table.c.client == client).order_by(table.c.version.desc())
    return [dict(row) for row in connection.execute(query).mappings()]
