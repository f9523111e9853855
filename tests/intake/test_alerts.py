"""Which alerts are raised, and that each is raised once."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import select

from referral_service.app import application
from referral_service.intake import Site
from referral_service.policy import Alerts, Contact
from referral_service.referral import AlertKind
from referral_service.store import leases, tables
from referral_service.store.engine import Store
from tests.shapes import Caller, bundle, entry, ledger_of, patient, referral

RED = "Acute dystonic reaction after metoclopramide"
FIRST, SECOND = Contact("First", email="first@duty.example"), Contact("Second", webhook="https://duty.example/")


@pytest.fixture
def site(site: Site) -> Site:
    alerts = replace(site.policy.alerts, escalate_minutes=10, contacts=(FIRST, SECOND))
    return replace(site, policy=replace(site.policy, alerts=alerts))


def raised(store: Store) -> list[tuple[str, str | None]]:
    """(kind, referral id) of every alert."""
    alert = tables.alert
    with store.reading() as connection:
        return [tuple(row) for row in connection.execute(select(alert.c.kind, alert.c.referral_id).order_by("kind"))]


def created(caller: Caller, *arguments: Any, **more: Any) -> str:
    answer = caller.create(referral(*arguments, **more))
    assert answer.status_code == 201
    return str(answer.json["id"])


def test_a_red_flag_raises_an_alert_with_a_message_for_each_contact_in_turn(caller: Caller, store: Store) -> None:
    identity = created(caller, "A-1", RED)
    assert raised(store) == [("red-flag", identity)]
    notice, alert = tables.notice, tables.alert
    with store.reading() as connection:
        at = connection.execute(select(alert.c.at)).scalar_one()
        rows = connection.execute(select(notice.c.step, notice.c.due, notice.c.attempts).order_by(notice.c.step)).all()
    minutes = [(row.step, _minutes(at, row.due), row.attempts) for row in rows]
    assert minutes == [(0, 0.0, 0), (1, 10.0, 0)]


def _minutes(first: str, second: str) -> float:
    return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds() / 60


def test_stat_of_the_sender_raises_one_and_both_raise_both(caller: Caller, store: Store) -> None:
    stat = created(caller, "A-1", priority="stat")
    both = created(caller, "A-2", RED, priority="stat")
    assert sorted(raised(store)) == sorted([("red-flag", both), ("stat", both), ("stat", stat)])


def test_an_ordinary_referral_raises_none(caller: Caller, store: Store) -> None:
    created(caller, priority="asap")
    assert raised(store) == []


def test_the_same_again_raises_nothing_again(caller: Caller, store: Store) -> None:
    identity = created(caller, "A-1", RED)
    assert caller.create(referral("A-1", RED)).status_code == 200
    assert raised(store) == [("red-flag", identity)]


def test_an_update_raises_what_was_not_raised_before(caller: Caller, store: Store) -> None:
    identity = created(caller)
    changes: list[dict[str, Any]] = [{"reason": RED}, {"reason": RED, "priority": "stat"}, {"priority": "routine"}]
    seen = []
    for version, change in enumerate(changes, 1):
        sent = referral("A-1", **change, id=identity)
        assert caller.put(f"ServiceRequest/{identity}", sent, If_Match=f'W/"{version}"').status_code == 200
        seen.append([kind for kind, _ in raised(store)])
    assert seen == [["red-flag"], ["red-flag", "stat"], ["red-flag", "stat"]]


def test_a_red_flag_that_shows_when_the_patient_arrives_raises_one(caller: Caller, store: Store) -> None:
    identity = created(caller, "A-1", "Sudden onset of dystonia overnight", subject={"reference": "Patient/p1"})
    before = raised(store)
    assert caller.put("Patient/p1", patient("2020-01-01", id="p1")).status_code == 201
    assert (before, raised(store)) == ([], [("red-flag", identity)])


def test_refused_and_rejected_words_raise_one_a_request(caller: Caller, store: Store) -> None:
    assert caller.post("ServiceRequest", b'{"note": "status dystonicus').status_code == 400
    assert caller.create(referral("A-2", RED, status="draft")).status_code == 422
    broken = referral("A-3", RED, intent=None)
    assert caller.post("", bundle(entry(broken), entry(broken), kind="batch")).status_code == 200
    assert (raised(store), caller.sums()) == ([("red-flag", None)] * 3, ledger_of(refused=3, rejected=1))


def test_a_transaction_that_fails_raises_one_for_the_red_flag_in_it(caller: Caller, store: Store) -> None:
    sent = bundle(entry(referral("A-1", RED)), entry(referral("A-2", status="draft")))
    assert caller.post("", sent).status_code == 422
    assert (raised(store), caller.sums()) == ([("red-flag", None)], ledger_of(refused=1, rejected=1))


def test_refused_words_without_a_red_flag_raise_none(caller: Caller, store: Store) -> None:
    assert caller.post("ServiceRequest", b"{").status_code == 400
    assert raised(store) == []


def test_only_the_kinds_of_the_policy_are_raised(site: Site, store: Store) -> None:
    alerts = Alerts(frozenset({AlertKind.STAT}), 10, ())
    only_stat = replace(site, policy=replace(site.policy, alerts=alerts))
    caller = Caller(application(only_stat).test_client(), only_stat)
    identity = created(caller, "A-1", RED, priority="stat")
    assert raised(store) == [("stat", identity)]


def test_an_alert_holds_nothing_of_the_patient(caller: Caller, store: Store) -> None:
    who = patient(id="p", name=[{"family": "Vellum", "given": ["Ada"]}])
    created(caller, "SECRET-7", RED, subject={"reference": "#p"}, contained=[who])
    with store.reading() as connection:
        rows = [dict(row) for name in ("alert", "notice") for row in _rows(connection, name)]
    kept = json.dumps(rows)
    assert [word for word in ("Vellum", "Ada", "1970", "SECRET-7", "metoclopramide", "Invented") if word in kept] == []


def _rows(connection: Any, name: str) -> Any:
    return connection.execute(select(tables.metadata.tables[name])).mappings()


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_waiting_workers_are_woken_by_what_is_to_be_told_and_by_nothing_else(caller: Caller, store: Store) -> None:
    woken = Event()
    with leases.listening(store, Event()) as hear:

        def listen() -> None:
            hear(30)
            woken.set()

        Thread(target=listen).start()
        refused = caller.create(referral("W-1", status="completed")).status_code
        quiet = refused == 422 and not woken.wait(0.2)
        created(caller, "W-2")
        assert (quiet, woken.wait(10)) == (True, True)
