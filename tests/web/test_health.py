"""Whether a process is ready is proved by writing and reading; each check that fails is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, select, update
from werkzeug.test import TestResponse

from referral_service import watching
from referral_service.intake import Site
from referral_service.store import proofs, tables
from referral_service.store.engine import Store, instant
from referral_service.watching import Watch
from referral_service.worker import now
from tests.shapes import Caller, referral


def watch_of(app: Flask) -> Watch:
    found: Watch = app.extensions["watch"]
    found._proof.keeps = 0
    return found


def ready(app: Flask) -> TestResponse:
    return app.test_client().get("/health/ready")


def checks(answer: TestResponse) -> dict[str, str]:
    body: Any = answer.json
    return {"status": body["status"], **{name: one["status"] for name, one in body["checks"].items()}}


PASSED = dict.fromkeys(("database", "schema", "deliveries", "audit", "requests"), "pass")


def test_a_process_that_can_serve_says_so_and_what_was_looked_at(app: Flask, store: Store) -> None:
    answer = ready(app)
    assert (answer.status_code, answer.mimetype, checks(answer)) == (
        200,
        "application/json",
        {"status": "ready"} | PASSED,
    )
    body: Any = answer.json
    assert body["checks"]["database"]["milliseconds"] > 0
    assert body["checks"]["deliveries"] == {"status": "pass", "oldest_seconds": 0.0}
    with store.reading() as connection:
        assert len(connection.execute(select(tables.proof)).all()) == 1


def test_a_proof_is_a_row_written_anew_and_read_again(store: Store) -> None:
    at, rows = now(), select(tables.proof.c.process, tables.proof.c.at, tables.proof.c.word)
    proofs.prove(store, "a:1", at - timedelta(days=2))
    proofs.prove(store, "a:2", at)
    with store.reading() as connection:
        first = connection.execute(rows).one()
    proofs.prove(store, "a:2", at + timedelta(seconds=5))
    with store.reading() as connection:
        second = connection.execute(rows).one()
    assert [first[:2], second[:2]] == [("a:2", instant(at)), ("a:2", instant(at + timedelta(seconds=5)))]
    assert first[2] != second[2]


def test_what_is_not_there_when_it_is_read_proves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Store.reading

    @contextmanager
    def emptied(self: Store) -> Iterator[Any]:
        with self.writing() as connection:
            connection.execute(delete(tables.proof))
        with reading(self) as connection:
            yield connection

    monkeypatch.setattr(Store, "reading", emptied)
    with pytest.raises(proofs.NotProved):
        proofs.prove(store, "a:1", now())


def test_many_probes_write_once(app: Flask, store: Store) -> None:
    words = []
    for _ in range(3):
        assert ready(app).status_code == 200
        with store.reading() as connection:
            words.append(connection.execute(select(tables.proof.c.word)).scalar_one())
    assert len(set(words)) == 1


def test_a_schema_of_another_program_is_named(app: Flask, store: Store) -> None:
    watch_of(app)
    with store.writing() as connection:
        before = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    try:
        answer = ready(app)
    finally:
        with store.writing() as connection:
            connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{before}'")
    body: Any = answer.json
    assert (answer.status_code, answer.headers["Retry-After"], body["status"]) == (503, "5", "unavailable")
    assert body["checks"]["schema"]["status"] == "fail"
    assert "9999" in body["checks"]["schema"]["output"]
    assert ready(app).status_code == 200


def test_a_database_that_does_not_answer_is_not_awaited(app: Flask) -> None:
    watch, hangs = watch_of(app), Event()
    watch._proof.ask, watch._proof.waits = lambda: hangs.wait() and None, 0.05  # type: ignore[assignment, return-value]
    answer = ready(app)
    hangs.set()
    body: Any = answer.json
    assert (answer.status_code, body["checks"]["database"]) == (
        503,
        {"status": "fail", "output": "no answer within 2 seconds"},
    )
    assert app.test_client().get("/health/live").json == {"status": "alive"}


def test_a_fault_of_the_database_is_named_by_its_kind_alone(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = watch_of(app)

    def refuse(*_: object) -> None:
        raise ConnectionError("postgresql://user:secret@host")

    monkeypatch.setattr(watching, "prove", refuse)
    assert watch._proof.get().answer is None
    answer = ready(app)
    body: Any = answer.json
    assert (answer.status_code, body["checks"]["database"]) == (503, {"status": "fail", "output": "ConnectionError"})


def test_a_trail_that_cannot_be_written_any_more_takes_the_process_out(app: Flask) -> None:
    recorder = watch_of(app).recorder
    recorder.most, before = 0, recorder.most
    answer = ready(app)
    recorder.most = before
    assert (answer.status_code, checks(answer)) == (503, {"status": "unavailable"} | PASSED | {"audit": "fail"})


def test_a_process_whose_threads_are_all_stuck_is_not_ready(app: Flask) -> None:
    watch = watch_of(app)
    watch.threads = 2
    watch._begun = {1: -1e9}
    assert checks(ready(app)) == {"status": "ready"} | PASSED
    watch._begun |= {2: -1e9}
    answer = ready(app)
    assert (answer.status_code, checks(answer)) == (503, {"status": "unavailable"} | PASSED | {"requests": "fail"})


def test_a_change_that_is_not_delivered_for_long_is_told_of_and_takes_nobody_out(
    app: Flask, caller: Caller, site: Site
) -> None:
    watch_of(app)
    caller.create(referral())
    with site.store.writing() as connection:
        connection.execute(update(tables.outbox).values(at=instant(now() - timedelta(hours=2))))
    answer = ready(app)
    body: Any = answer.json
    assert (answer.status_code, checks(answer)) == (200, {"status": "degraded"} | PASSED | {"deliveries": "warn"})
    assert 7200 <= body["checks"]["deliveries"]["oldest_seconds"] < 7300
