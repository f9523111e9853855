"""What must hold of a database after every fault, whatever was killed, full, away or told too late.

Read from the tables alone, on either engine, without the code that wrote them: only the chain of the audit trail is
gone through by the service's own `audit verify`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
from sqlalchemy import text

from referral_service.sealing import verify
from referral_service.store.engine import Connection, Store, instant

BUNDLES = "urn:example:faults:bundle"
"""The system of an identifier that every entry of one transaction of the harness carries."""
IN_A_BUNDLE = 3
REVIEW = "intake-review"
QUEUES = {REVIEW, "adult-movement-disorders", "pediatric-neuromotor"}
FINAL = {"rejected", "cancelled", "completed", "failed", "entered-in-error"}
LONGEST_PAUSE = timedelta(minutes=20)
"""No work is put off further than this: a lease is a minute, a pause between tries 15 minutes."""

Row = Mapping[str, Any]
Key = tuple[str, str]
"""Type and id of a resource."""


class Violation(NamedTuple):
    """``invariant`` is the name of the rule that is broken, ``what`` says by what."""

    invariant: str
    what: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One resource of an answer 2xx: at which version it was said to be, under which request.

    ``content`` is the resource when it was answered; ``key`` what makes the same referral sent twice one referral.
    """

    type: str
    id: str
    version: int
    request_id: str
    content: Mapping[str, Any] | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class NotTaken:
    """An answer 4xx that is counted: the state in which its row of the ledger stands."""

    request_id: str
    state: str


@dataclass
class Stored:
    """The database as it is read: rows by table, and every version of every resource."""

    requests: list[Row] = field(default_factory=list)
    tasks: list[Row] = field(default_factory=list)
    ledger: list[Row] = field(default_factory=list)
    received: list[Row] = field(default_factory=list)
    history: list[Row] = field(default_factory=list)
    changes: list[Row] = field(default_factory=list)
    outbox: list[Row] = field(default_factory=list)
    deliveries: list[Row] = field(default_factory=list)
    subscriptions: list[Row] = field(default_factory=list)
    notices: list[Row] = field(default_factory=list)
    keys: list[Row] = field(default_factory=list)
    tokens: list[Row] = field(default_factory=list)
    events: set[tuple[str, str]] = field(default_factory=set)
    current: dict[Key, int] = field(default_factory=dict)
    versions: dict[Key, dict[int, dict[str, Any]]] = field(default_factory=dict)


_READ = {
    "requests": "SELECT id, version, status, disposition, received_id, content FROM service_request",
    "tasks": "SELECT id, version, status, queue, closed, referral_id, content FROM task",
    "ledger": "SELECT received_id, position, client, state, referral_id, placer FROM ledger",
    "received": "SELECT id, request_id, door, result, answers FROM received",
    "history": "SELECT id, version, type, content FROM history",
    "changes": "SELECT DISTINCT task_id, version FROM status_change",
    "outbox": "SELECT type, resource_id, version FROM outbox",
    "deliveries": "SELECT kind, receiver, number, type, resource_id, version, state, due FROM delivery",
    "subscriptions": "SELECT id, type, filters FROM subscription WHERE counts = 1",
    "notices": "SELECT alert_id, step, sent_at, due FROM notice",
    "keys": "SELECT kind, value, referral_id FROM request_key",
    "tokens": "SELECT DISTINCT owner FROM token",
}


def read(connection: Connection) -> Stored:
    rows = {name: [dict(row) for row in connection.execute(text(sql)).mappings()] for name, sql in _READ.items()}
    found = Stored(**rows)
    resources = connection.execute(text("SELECT id, type, version, content FROM resource")).mappings()
    of_types = {"ServiceRequest": found.requests, "Task": found.tasks}
    now = [(row["type"], row) for row in resources]
    now += [(kind, row) for kind, listed in of_types.items() for row in listed]
    for kind, row in now:
        found.current[kind, row["id"]] = row["version"]
    for kind, row in [*now, *((row["type"], row) for row in found.history)]:
        found.versions.setdefault((kind, row["id"]), {})[row["version"]] = orjson.loads(row["content"])
    told = "SELECT e.request_id, n.reference FROM audit_event e JOIN audit_entity n ON n.event_id = e.id"
    found.events = {(row[0], row[1]) for row in connection.execute(text(told + " WHERE e.outcome = '0'"))}
    return found


def check_invariants(
    store: Store,
    acknowledged: Sequence[Acknowledged],
    not_taken: Sequence[NotTaken] = (),
    told: Set[tuple[str, int]] | None = None,
) -> list[Violation]:
    """Everything that is not as it must be; ``told`` are the events (Subscription, number) that a receiver got."""
    with store.at_one_moment() as connection:
        stored = read(connection)
    found = [Violation(name, what) for name, rule in RULES.items() for what in rule(stored, acknowledged)]
    found += [Violation("ledger", what) for what in _refusals(stored, not_taken)]
    found += [Violation("delivered", what) for what in _told(stored, told)] if told is not None else []
    fault = verify(store).fault
    return found + ([Violation("audit", fault)] if fault else [])


def nothing_lost(stored: Stored, acknowledged: Sequence[Acknowledged]) -> Iterator[str]:
    for one in acknowledged:
        content = stored.versions.get((one.type, one.id), {}).get(one.version)
        if content is None:
            yield f"{one.type}/{one.id} was acknowledged at version {one.version} and is not there"
        elif one.content is not None and content != one.content:
            yield f"{one.type}/{one.id} at version {one.version} is not as it was answered"


def one_referral_a_key(stored: Stored, acknowledged: Sequence[Acknowledged]) -> Iterator[str]:
    closed = {row["referral_id"]: row["closed"] for row in stored.tasks}
    rows = (row for row in stored.ledger if row["placer"] and row["referral_id"] and not closed.get(row["referral_id"]))
    counted = Counter((row["client"], row["placer"]) for row in rows)
    yield from (
        f"{number} open referrals have the placer identifier {key[1]}" for key, number in counted.items() if number > 1
    )
    answered: dict[str, set[str]] = {}
    for one in acknowledged:
        if one.key is not None:
            answered.setdefault(one.key, set()).add(one.id)
    yield from (f"{key} was answered with {len(ids)} referrals" for key, ids in answered.items() if len(ids) > 1)
    known = {row["id"] for row in stored.requests}
    for row in stored.keys:
        if row["referral_id"] is not None and row["referral_id"] not in known:
            yield f"a key of kind {row['kind']} leads to a referral that is not there"


def one_task_in_one_queue(stored: Stored, _: Sequence[Acknowledged]) -> Iterator[str]:
    of_referral = Counter(row["referral_id"] for row in stored.tasks)
    tags = {row["id"]: _queue_tags(orjson.loads(row["content"])) for row in stored.requests}
    for identity in tags:
        if of_referral[identity] != 1:
            yield f"ServiceRequest/{identity} has {of_referral[identity]} Tasks"
    for row in stored.tasks:
        content, where = orjson.loads(row["content"]), f"Task/{row['id']}"
        if row["queue"] not in QUEUES or content["owner"]["reference"] != f"HealthcareService/{row['queue']}":
            yield f"{where} stands in {row['queue']} and says {content['owner']}"
        if tags.get(row["referral_id"]) != [row["queue"]]:
            yield f"{where} stands in {row['queue']}, its referral is tagged {tags.get(row['referral_id'])}"
        if content["status"] != row["status"] or bool(row["closed"]) != (row["status"] in FINAL):
            yield f"{where} is {row['status']}, says {content['status']} and counts as closed: {row['closed']}"


def _queue_tags(resource: Mapping[str, Any]) -> list[str]:
    return [one["code"] for one in resource["meta"].get("tag", []) if one["system"].endswith("CodeSystem/queue")]


def whole_bundles(stored: Stored, _: Sequence[Acknowledged]) -> Iterator[str]:
    """Of a transaction all entries are there or none, and nothing that only some of them would have left."""
    entries = Counter(mark for versions in stored.versions.values() for mark in _marks(versions[max(versions)]))
    for mark, number in entries.items():
        if number != IN_A_BUNDLE:
            yield f"of Bundle {mark} {number} of {IN_A_BUNDLE} entries are there"
    ids = {identity for _, identity in stored.current}
    yield from (
        f"{row['owner']} can be searched for and is not there" for row in stored.tokens if row["owner"] not in ids
    )
    known = {f"{kind}/{identity}" for kind, identity in stored.current}
    for row in stored.received:
        gone = [one for one in orjson.loads(row["answers"] or "[]") if isinstance(one, str) and one not in known]
        if gone:
            yield f"request {row['id']} was answered with {', '.join(gone)}, which is not there"
    requests = {row["id"] for row in stored.received}
    yield from (
        f"ServiceRequest/{row['id']} came in no request"
        for row in stored.requests
        if row["received_id"] not in requests
    )


def _marks(resource: Mapping[str, Any]) -> list[str]:
    listed = resource.get("identifier", [])
    return [one["value"] for one in listed if isinstance(one, dict) and one.get("system") == BUNDLES]


def history_without_gaps(stored: Stored, _: Sequence[Acknowledged]) -> Iterator[str]:
    changes: dict[str, set[int]] = {}
    for row in stored.changes:
        changes.setdefault(row["task_id"], set()).add(row["version"])
    for key, versions in stored.versions.items():
        where, newest = "/".join(key), stored.current.get(key)
        if newest is None:
            yield f"{where} has a history and is not there"
        elif sorted(versions) != list(range(1, newest + 1)):
            yield f"{where} is at version {newest}, there are {sorted(versions)}"
        if key[0] == "Task" and changes.get(key[1]) != set(versions):
            yield f"the changes of {where} are of versions {sorted(changes.get(key[1], ()))}"
        for version, content in versions.items():
            if content.get("meta", {}).get("versionId") != str(version):
                yield f"version {version} of {where} says that it is {content.get('meta', {}).get('versionId')}"


def every_change_noted(stored: Stored, _: Sequence[Acknowledged]) -> Iterator[str]:
    """Each version is in the outbox, or each Subscription that asks for it has its event, once and numbered."""
    waiting = {(row["resource_id"], row["version"]) for row in stored.outbox}
    for one in stored.subscriptions:
        events = [row for row in stored.deliveries if row["receiver"] == one["id"]]
        made = Counter((row["resource_id"], row["version"]) for row in events)
        asked = set(_asked(stored, one))
        missing = asked - made.keys() - waiting
        where = f"Subscription/{one['id']}"
        yield from (f"nobody tells {where} of {key[0]} at version {key[1]}" for key in sorted(missing))
        yield from (
            f"{where} has {number} events of {key[0]} at version {key[1]}" for key, number in made.items() if number > 1
        )
        if sorted(row["number"] for row in events) != list(range(1, len(events) + 1)):
            yield f"the events of {where} are not numbered from 1 to {len(events)}"


def _asked(stored: Stored, one: Row) -> Iterator[tuple[str, int]]:
    """The versions that fit a Subscription; the harness filters by status alone."""
    filters = dict(orjson.loads(one["filters"]))
    for (kind, identity), versions in stored.versions.items():
        if kind == one["type"]:
            for version, content in versions.items():
                if content["status"] in filters.get("status", [content["status"]]):
                    yield identity, version


def the_ledger_adds_up(stored: Stored, _: Sequence[Acknowledged]) -> Iterator[str]:
    """received = routed + review + rejected + refused, counted from what is there and not from the ledger itself."""
    queues = {row["referral_id"]: row["queue"] for row in stored.tasks}
    for row in stored.ledger:
        where = f"row {row['received_id']}:{row['position']}"
        wanted = None
        if row["referral_id"] is not None:
            wanted = "review" if queues.get(row["referral_id"]) == REVIEW else "routed"
        if wanted is not None and row["state"] != wanted:
            yield f"{where} is {row['state']}, its referral {wanted}"
        if wanted is None and row["state"] not in ("rejected", "refused"):
            yield f"{where} is {row['state']} and has no referral"
    counted = Counter(row["referral_id"] for row in stored.ledger if row["referral_id"])
    yield from (
        f"ServiceRequest/{row['id']} has {counted[row['id']]} rows"
        for row in stored.requests
        if counted[row["id"]] != 1
    )
    decided, with_rows = (
        {row["id"] for row in stored.received if row["result"] == "decided"},
        {row["received_id"] for row in stored.ledger},
    )
    yield from (f"request {one} was decided and has no row" for one in sorted(decided - with_rows))
    yield from (
        f"a row speaks of request {one}, which is not there"
        for one in sorted(with_rows - {row["id"] for row in stored.received})
    )


def _refusals(stored: Stored, not_taken: Sequence[NotTaken]) -> Iterator[str]:
    requests = {row["request_id"]: row["id"] for row in stored.received}
    states: dict[str, list[str]] = {}
    for row in stored.ledger:
        states.setdefault(row["received_id"], []).append(row["state"])
    for one in not_taken:
        found = states.get(requests.get(one.request_id, ""), [])
        if found != [one.state]:
            yield f"request {one.request_id} was answered as {one.state}, its rows are {found}"


def every_write_audited(stored: Stored, acknowledged: Sequence[Acknowledged]) -> Iterator[str]:
    for one in acknowledged:
        if (one.request_id, f"{one.type}/{one.id}") not in stored.events:
            yield f"no event of request {one.request_id} names {one.type}/{one.id}"


def work_comes_due(stored: Stored, _: Sequence[Acknowledged]) -> Iterator[str]:
    """What is still to be done will be taken in hand again before long, whoever had it."""
    latest = instant(datetime.now(UTC) + LONGEST_PAUSE)
    waiting = [
        (f"delivery {row['number']} to {row['receiver']}", row["due"])
        for row in stored.deliveries
        if row["state"] == "waiting"
    ]
    waiting += [
        (f"notice {row['step']} of alert {row['alert_id']}", row["due"])
        for row in stored.notices
        if row["sent_at"] is None
    ]
    yield from (f"{what} waits and is due {due or 'never'}" for what, due in waiting if due is None or due > latest)


def _told(stored: Stored, told: Set[tuple[str, int]]) -> Iterator[str]:
    for row in stored.deliveries:
        where = f"event {row['number']} of Subscription/{row['receiver']}"
        if row["state"] == "delivered" and (row["receiver"], row["number"]) not in told:
            yield f"{where} counts as delivered and never came"
        elif row["state"] != "delivered":
            yield f"{where} is {row['state']} after all came well again"
    if stored.outbox:
        yield f"{len(stored.outbox)} changes are still to be told after all came well again"


RULES: dict[str, Callable[[Stored, Sequence[Acknowledged]], Iterator[str]]] = {
    "acknowledged": nothing_lost,
    "once": one_referral_a_key,
    "task": one_task_in_one_queue,
    "bundle": whole_bundles,
    "history": history_without_gaps,
    "outbox": every_change_noted,
    "ledger": the_ledger_adds_up,
    "audited": every_write_audited,
    "due": work_comes_due,
}
"""By the names under which what breaks them is reported; beside them `audit` (the chain) and `delivered`."""
