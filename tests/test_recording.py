"""Reads are audited in groups: nobody waits long, what ends in order loses nothing, and a full trail shows nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select

from referral_service.fhir.audit import Access, Event, Who
from referral_service.intake import Site
from referral_service.intake.site import new_id
from referral_service.recording import Recorder, TrailFull
from referral_service.sealing import verify
from referral_service.store import tables
from referral_service.store.engine import Store, open_store
from tests.serving import Server
from tests.shapes import referral

WHO = Who("p-1", "Sam Porter", "person", "local")


def event() -> Event:
    access = Access(WHO, "r-1", "R", "read", "referral.example")
    return Event(new_id(), "2026-03-16T12:00:00.000Z", access, "R", [], [])


def written(store: Store) -> int:
    with store.reading() as connection:
        return connection.execute(select(func.count()).select_from(tables.audit_event)).scalar_one()


def test_every_event_of_many_that_read_at_once_is_written(store: Store) -> None:
    recorder = Recorder(store, lambda: False)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: recorder.record(event()), range(200)))
    recorder.settle()
    assert written(store) == 200


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)  # on PostgreSQL no writer holds up another
def test_a_read_does_not_wait_for_a_writer_that_holds_the_database(store: Store) -> None:
    recorder = Recorder(store, lambda: False)
    with store.writing():
        assert recorder.record(event()) is False
    recorder.settle()
    assert written(store) == 1


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_when_too_many_wait_nothing_more_is_recorded_and_nothing_more_is_shown(store: Store, site: Site) -> None:
    from referral_service.app import application

    app = application(site)
    recorder = Recorder(store, lambda: False, most=1)
    app.extensions["recorder"] = recorder
    with store.writing():
        recorder.record(event())
        with pytest.raises(TrailFull):
            recorder.record(event())
        answer = app.test_client().get("/fhir/Task")
        page = app.test_client().get("/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json["issue"][0]["details"]["coding"][0]["code"] == "audit-unavailable"
    assert (page.status_code, page.mimetype) == (503, "text/plain")
    recorder.settle()
    assert app.test_client().get("/fhir/Task").status_code == 200
    recorder.settle()


def test_what_was_handed_over_is_written_before_a_process_ends(tmp_path: Path) -> None:
    """The main thread returns while a writer holds the database, and the events wait behind it."""
    url = f"sqlite:///{tmp_path / 'ending.db'}"
    program = f"""
import threading
from referral_service.recording import Recorder
from referral_service.store.engine import open_store
from referral_service.store.migrations import upgrade
from tests.test_recording import event
store = open_store({url!r})
upgrade(store)
recorder = Recorder(store, lambda: not threading.main_thread().is_alive())
with store.writing():
    print([recorder.record(event()) for _ in range(20)].count(True))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "0"
    store = open_store(url)
    assert written(store) == 20
    store.close()


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_killed_server_has_lost_no_event_of_a_write(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'killed.db'}" if engine == "sqlite" else request.getfixturevalue("postgres_url")
    server = Server(url, tmp_path)
    server.start()
    made = [server.post("/fhir/ServiceRequest", referral(f"K-{number}")).json()["id"] for number in range(12)]
    for identity in made:
        assert server.get(f"/fhir/ServiceRequest/{identity}").status_code == 200
    server.kill()
    store = open_store(url)
    entity, of_events = tables.audit_entity, tables.audit_event
    with store.reading() as connection:
        query = select(entity.c.reference, of_events.c.action).join(of_events, of_events.c.id == entity.c.event_id)
        found = {(row.reference, row.action) for row in connection.execute(query)}
    assert {(f"ServiceRequest/{identity}", "C") for identity in made} - found == set()
    # Of the reads only those of the last moments can be missing, and what came later is never kept before them.
    kept = [(f"ServiceRequest/{identity}", "R") in found for identity in made]
    assert kept == sorted(kept, reverse=True)
    assert verify(store).fault is None
    store.close()


def test_a_server_seals_its_trail_and_the_command_line_verifies_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sealed.db'}"
    server = Server(url, tmp_path)
    server.start()
    server.post("/fhir/ServiceRequest", referral())
    store = open_store(url)
    deadline = time.monotonic() + 60
    while verify(store).sealed == 0 and time.monotonic() < deadline:
        time.sleep(0.2)
    server.stop()
    found = verify(store)
    assert found.last is not None
    told = _verify(url)
    seal = f"{found.last['batch']}:{found.last['hash']}"
    lines = map(json.loads, server.log.read_text("utf-8").splitlines())
    sealed = [(line["level"], line["seal"], line["events"]) for line in lines if line["event"] == "audit_sealed"]
    assert sealed[-1] == ("info", seal, str(found.sealed))
    assert (told.returncode, f"seal {seal}" in told.stdout) == (0, True)
    assert _verify(url, "--seal", seal).returncode == 0
    wrong = _verify(url, "--seal", f"{found.last['batch']}:{'0' * 64}")
    assert (wrong.returncode, "is not the one whose hash was noted" in wrong.stderr) == (1, True)
    with store.writing() as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_event_changed")
        connection.exec_driver_sql("UPDATE audit_event SET network = '192.0.2.1' WHERE sequence = 1")
    broken = _verify(url)
    assert (broken.returncode, "batch 1, event 1" in broken.stderr) == (1, True)
    store.close()


def _verify(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "referral_service.cli", "audit", "verify", *options]
    return subprocess.run(
        command, env={"REFERRAL_DATABASE_URL": url}, capture_output=True, text=True, check=False, timeout=60
    )


def test_an_event_is_a_few_kilobytes_at_most() -> None:
    from referral_service.fhir.audit import audit_event

    assert len(json.dumps(audit_event(event()))) < 2048


def test_a_lock_on_the_database_stops_neither_health_nor_more_than_the_writes_that_wait(
    postgres_url: str, tmp_path: Path
) -> None:
    server = Server(postgres_url, tmp_path)
    server.start()
    server.post("/fhir/ServiceRequest", referral("L-first"))
    store, threads = open_store(postgres_url), 2 * (os.cpu_count() or 1) + 1
    with store.writing() as connection, ThreadPoolExecutor(threads) as pool:
        connection.exec_driver_sql("LOCK TABLE audit_event IN EXCLUSIVE MODE")
        writes = [pool.submit(server.post, "/fhir/ServiceRequest", referral(f"L-{n}")) for n in range(threads)]
        while _waiting(store) < threads and not any(one.done() for one in writes):
            time.sleep(0.05)
        health = [server.get(f"/health/{name}").status_code for name in ("live", "ready")]
        assert (health, [one.done() for one in writes]) == ([200, 200], [False] * threads)
        answers = [one.result() for one in writes]
    told = [(one.status_code, one.headers.get("Retry-After"), one.json()["issue"][0]["code"]) for one in answers]
    assert told == [(503, "5", "transient")] * threads
    assert server.post("/fhir/ServiceRequest", referral("L-0")).status_code == 201
    store.close()
    server.stop()


def _waiting(store: Store) -> int:
    with store.reading() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar_one())
