"""The worklist with 100,000 referrals: the first page of each list, order and filter, the poll of an open page, and
the overview over 13 and over 52 weeks.

Run: python -m tests.benchmarks.worklist [--referrals 100000] [--rounds 9]

The rows are written straight into the store; the pages are asked for over real HTTP from a server of its own. What the
database finds for every page is kept until something changes, so some pages are also asked for just after a change.

The machine is shared with the client and with others. So two fixed pieces of work are done in turn with each page, one
in Python and one in SQL, and every figure is also given as a multiple of each: compare these between runs.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import requests

from referral_service.referral import Priority, Queue
from referral_service.store import tables
from referral_service.store.engine import Store, instant, open_store
from referral_service.store.migrations import upgrade
from referral_service.store.writes import Rows, insert_all
from referral_service.web.worklist.asked import code_of
from tests.conftest import own_postgres
from tests.serving import Server

AIM_PAGE, AIM_POLL, AIM_OVERVIEW = 150, 20, 500
CODES = {"G24.3": 40, "G24.5": 20, "G24.8": 12, "G24.02": 8, "G24.9": 10, "G24.1": 5, None: 5}
STATUSES = {"completed": 40, "rejected": 8, "cancelled": 6, "failed": 1, "requested": 25, "accepted": 12, "on-hold": 8}
FAMILIES = ("Vellum", "Sparrow", "Makebelieve", "Quillfeather", "Immaginario", "Öztürk", "Ng", "Featherstub")
GIVEN = ("Ada", "Zuri", "Noor", "Fulano", "Asha", "Casimir", "Kirra", "Ji-woo", "Wilhelmina")
DECISIONS = {"accepted": "accept", "completed": "accept", "rejected": "reject", "failed": "accept"}
"""The move by which a person decided on a Task of a status."""
LEFT_OUT = ("placer-identifier", "onset", "medicines", "family-history", "contact", "requester", "telephone")
SENDERS = tuple(f"Dr Invented {number}" for number in range(400))
BATCH = 2_000


def main() -> None:
    options = _options()
    print(f"{options.referrals} referrals; median of {options.rounds} rounds, at the server\n")
    print(f"{'engine':12}{'asked for':34}{'ms':>8}{'Python':>10}{'SQL':>10}  aim")
    with own_postgres() as url:
        for engine, address in (("SQLite", None), ("PostgreSQL", url)):
            with tempfile.TemporaryDirectory() as folder:
                database = address or f"sqlite:///{folder}/bench.db"
                store = open_store(database)
                upgrade(store)
                fill(store, options.referrals, datetime.now(UTC))
                _measure(engine, Server(database, Path(folder)), store, options.rounds)
                store.close()


def fill(store: Store, number_of: int, now: datetime, first: int = 0) -> None:
    """Referrals of the last two years up to ``number_of``; those before ``first`` are there already."""
    chance = random.Random(7 + first)
    for begin in range(first, number_of, BATCH):
        rows: Rows = {}
        for number in range(begin, min(begin + BATCH, number_of)):
            _add(rows, number, chance, now)
        with store.writing() as connection:
            insert_all(connection, rows)
    if store.engine.dialect.name == "postgresql":
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")  # as its autovacuum would within a minute


def _add(rows: Rows, number: int, chance: random.Random, now: datetime) -> None:
    received = now - timedelta(seconds=chance.randrange(2 * 365 * 86400))
    at = received.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    identity, client = f"{number:08d}", f"ehr-{number % 5}"
    family, given = chance.choice(FAMILIES), chance.choice(GIVEN)
    born = (date(1930, 1, 1) + timedelta(days=chance.randrange(95 * 365))).isoformat()
    _add_patient(rows, identity, client, at, family, given, born)
    shared = {"client": client, "version": 1, "last_updated": at}
    received_row = {"id": f"in-{identity}", "client": client, "request_id": identity, "door": "create"}
    rows.setdefault(tables.received, []).append({**received_row, "result": "decided", "at": at, "body": b"{}"})
    sender = chance.choice(SENDERS)
    request = {"resourceType": "ServiceRequest", "id": identity, "requester": {"display": sender}}
    request |= {"reasonCode": [{"text": "Cervical dystonia"}], "note": [{"text": "invented " * 80}]}
    fixed = {"path": "", "content_hash": "", "disposition": "routed", "decision": "{}", "decision_input": "{}"}
    described = {"status": "active", "intent": "order", "priority": "routine", "input_hash": "", "received_on": at[:10]}
    links = {"patient_id": f"p-{identity}", "received_id": f"in-{identity}", "requester": None}
    row = {**shared, "id": identity, "content": json.dumps(request), **fixed, **described, **links}
    rows.setdefault(tables.service_request, []).append(row)
    _add_task(rows, identity, shared, at, born, sender, chance)
    _add_to_ledger(rows, identity, client, at, chance)
    _add_token(rows, identity, "ServiceRequest", client, "_number", f"order{number}")


def _add_to_ledger(rows: Rows, identity: str, client: str, at: str, chance: random.Random) -> None:
    left_out = [f"missing-{one}" for one in LEFT_OUT if chance.random() < 0.4]
    why = ["held-for-review", "indication-undetermined"] if chance.random() < 0.15 else ["routed"]
    row = {"received_id": f"in-{identity}", "position": 0, "client": client, "at": at, "referral_id": identity}
    row |= {"state": "review" if len(why) > 1 else "routed", "red_flag": 0, "outcome": json.dumps("x" * 2_000)}
    rows.setdefault(tables.ledger, []).append({**row, "rules": f",{','.join([*left_out, 'completeness', *why])},"})


def _add_patient(rows: Rows, identity: str, client: str, at: str, family: str, given: str, born: str) -> None:
    owner = f"p-{identity}"
    patient: dict[str, Any] = {"resourceType": "Patient", "id": owner, "birthDate": born}
    patient["name"] = [{"family": family, "given": [given]}]
    row = {"id": owner, "client": client, "type": "Patient", "version": 1, "last_updated": at, "content_hash": ""}
    rows.setdefault(tables.resource, []).append({**row, "content": json.dumps(patient), "birth_date": born})
    for word in (family.lower(), given.lower()):
        _add_token(rows, owner, "Patient", client, "_word", word)
    _add_token(rows, owner, "Patient", client, "_number", f"9{identity}")


def _add_token(rows: Rows, owner: str, kind: str, client: str, param: str, value: str) -> None:
    row = {"owner": owner, "type": kind, "client": client, "param": param, "system": "", "value": value}
    rows.setdefault(tables.token, []).append(row)


def _add_task(
    rows: Rows, identity: str, shared: dict[str, Any], at: str, born: str, sender: str, chance: random.Random
) -> None:
    code = chance.choices(list(CODES), list(CODES.values()))[0]
    coding = [{"code": code, "display": "Dystonia"}] if code else []
    task = {"resourceType": "Task", "id": f"t-{identity}", "reasonCode": {"coding": coding}, "description": "x" * 1200}
    flags = [flag for flag in ("red-flag", "age-undetermined", "code-contestable") if chance.random() < 0.04]
    place = {
        "queue": chance.choices(list(Queue), [60, 25, 15])[0].value,
        "status": chance.choices(list(STATUSES), list(STATUSES.values()))[0],
        "priority_rank": chance.choices(range(len(Priority)), [80, 14, 5, 1])[0],
        "red_flag": int("red-flag" in flags),
        "flags": f",{','.join(flags)},",
        "due": (date.fromisoformat(at[:10]) + timedelta(days=7)).isoformat(),
        "assignee": f"Coordinator {chance.randrange(12)}" if chance.random() < 0.5 else None,
        "by_hand": 0,
        "code": code,
        "born": born,
        "masked": 0,
        "sender": sender,
        "sender_code": code_of(sender),
    }
    links = {"id": f"t-{identity}", "referral_id": identity, "patient_id": f"p-{identity}", "authored_on": at}
    rows.setdefault(tables.task, []).append({**shared, **links, **place, "content": json.dumps(task)})
    _add_changes(rows, identity, shared["client"], at, place, chance)


def _add_changes(rows: Rows, identity: str, client: str, at: str, place: dict[str, Any], chance: random.Random) -> None:
    """How each Task came, a person's decision where its status tells of one, and now and then another code."""
    who = {"task_id": f"t-{identity}", "client": client, "actor": "somebody", "actor_name": "Somebody"}
    changes = rows.setdefault(tables.status_change, [])
    changes.append(
        {**who, "version": 1, "step": 1, "at": at, "action": "create", "status": "requested", "queue": place["queue"]}
    )
    later = datetime.fromisoformat(at) + timedelta(hours=chance.randrange(1, 600))
    moved = {**who, "at": instant(later), "queue": place["queue"]}
    if place["status"] in DECISIONS:
        status = "rejected" if place["status"] == "rejected" else "accepted"
        changes.append({**moved, "version": 2, "step": 1, "action": DECISIONS[place["status"]], "status": status})
    if chance.random() < 0.05:
        row = {**who, "version": 3, "kind": "code", "referral_id": identity, "at": instant(later), "reason": "Seen."}
        rows.setdefault(tables.correction, []).append({**row, "before": place["code"], "value": "G24.1"})


def _asked() -> Iterator[tuple[str, str, str | None]]:
    """What is measured: its name, its address, and what is typed."""
    yield "all queues by urgency", "/?queue=all", None
    for queue in Queue:
        yield f"queue {queue.value}", f"/?queue={queue.value}", None
    yield "closed", "/?queue=closed", None
    for order in tables.LIST_ORDERS:
        for sort in (order, f"-{order}"):
            yield f"sorted by {sort}", f"/?queue=all&sort={sort}", None
    for words in ("status=on-hold", "priority=stat", "flag=red-flag", "flag=deceased", "code=G24.1", "age=6-12"):
        yield words, f"/?queue=all&{words}", None
    yield "age=unknown (nobody)", "/?queue=all&age=unknown", None
    yield "one sender", f"/?queue=all&sender={code_of(SENDERS[3])}", None
    yield "one assignee", f"/?queue=all&assignee={code_of('Coordinator 3')}", None
    for words in ("assignee=nobody", "assignee=mine", "due=overdue", "due=soon", "business-status=seen"):
        yield words, f"/?queue=all&{words}", None
    yield "received in one week", "/?queue=all&received-from=2026-01-05&received-to=2026-01-11", None
    yield "closed, code and age", "/?queue=closed&code=G24.3&age=30-59", None
    many = "status=accepted&priority=urgent&code=G24.3&age=60-&due=overdue&sort=age"
    yield "many filters at once", f"/?queue=all&{many}", None
    yield "a common name", "/?queue=all", "vellum"
    yield "two words of a name", "/?queue=all", "fea zu"
    yield "an identifier", "/?queue=all", "9 0000 0042"
    yield "a name that nobody has", "/?queue=closed", "zzzz"


def _measure(engine: str, server: Server, store: Store, rounds: int) -> None:
    server.start()
    session = requests.Session()
    try:
        _tell(
            engine,
            "the very first page",
            _rounds(store, 1, lambda: _once(session, server.base + "/?queue=all")),
            AIM_PAGE,
        )
        for name, path, typed in _asked():
            taken = _rounds(store, rounds, partial(_once, session, server.base + path, typed))
            _tell(engine, name, taken, AIM_PAGE)
        for words in ("queue=all", "queue=closed", "queue=all&due=overdue"):
            taken = _rounds(store, rounds, partial(_once, session, f"{server.base}/?{words}"), lambda: _change(store))
            _tell(engine, f"{words}, just changed", taken, AIM_PAGE)
        for weeks in (13, 52):
            taken = _rounds(store, rounds, partial(_once, session, f"{server.base}/overview?weeks={weeks}"))
            _tell(engine, f"overview, {weeks} weeks", taken, AIM_OVERVIEW)
        refresh = f"{server.base}/refresh?queue=all"
        etag = session.get(refresh, timeout=30).headers["ETag"]
        _tell(
            engine,
            "poll, nothing changed",
            _rounds(store, rounds * 3, partial(_poll, session, refresh, etag)),
            AIM_POLL,
        )
    finally:
        server.stop()


def _rounds(
    store: Store, rounds: int, work: Callable[[], None], before: Callable[[], None] = lambda: None
) -> tuple[float, float, float]:
    """Milliseconds of the work, of the piece of Python and of the piece of SQL, each the median of all rounds."""
    taken: list[tuple[float, float, float]] = []
    for _ in range(rounds):
        before()
        taken.append((_milliseconds(work), _milliseconds(_some_python), _milliseconds(partial(_some_sql, store))))
    work_taken, python, sql = (statistics.median(column) for column in zip(*taken, strict=True))
    return work_taken, python, sql


def _milliseconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1e3


def _some_python() -> int:
    return sum(number * number for number in range(200_000))


def _some_sql(store: Store) -> Any:
    counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) SELECT sum(i) FROM n"
    with store.reading() as connection:
        return connection.exec_driver_sql(counting).scalar()


def _change(store: Store) -> None:
    """One Task gets another version, as with any move."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    with store.writing() as connection:
        change = "UPDATE task SET version = version + 1, last_updated = '{}' WHERE id = 't-00000000'"
        connection.exec_driver_sql(change.format(at))


def _once(session: requests.Session, url: str, typed: str | None = None) -> None:
    answer = session.post(url, data={"text": typed}, timeout=60) if typed else session.get(url, timeout=60)
    assert answer.status_code == 200, answer.status_code


def _poll(session: requests.Session, url: str, etag: str) -> None:
    answer = session.get(url, headers={"If-None-Match": etag}, timeout=60)
    assert answer.status_code == 304, answer.status_code


def _tell(engine: str, name: str, taken: tuple[float, float, float], aim: int) -> None:
    page, python, sql = taken
    missed = "" if page < aim else "  MISSED"
    ratios = f"{page / python:10.2f}{page / sql:10.2f}"
    print(f"{engine:12}{name:34}{page:8.1f}{ratios}  <{aim}{missed}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--referrals", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=9)
    return parser.parse_args()


if __name__ == "__main__":
    main()
