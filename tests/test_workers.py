"""Alerts told by real processes: a worker that is killed loses nothing, one that is stopped finishes first."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests
from sqlalchemy import select

from referral_service.app import WORKER_APART, remark_on_alerts, site_of
from referral_service.intake import Incoming, receive
from referral_service.intake.moves import act
from referral_service.policy import load_policy
from referral_service.settings import from_environment
from referral_service.store import tables
from referral_service.store.audit import seals
from referral_service.store.engine import Store, open_store
from referral_service.store.leases import LEASE
from referral_service.store.migrations import upgrade
from referral_service.telling import NO_CONTACT, Teller
from referral_service.worker import now
from referral_service.worklist import everyone
from tests.receivers import Receiver
from tests.scraped import Samples, samples, value
from tests.serving import Server
from tests.shapes import referral

RED = referral("A-1", "Acute dystonic reaction after metoclopramide")
SHIPPED = Path(__file__).parent.parent / "referral_service" / "policy.toml"
SECONDS = 30


def policy_that_tells(folder: Path, address: str) -> Path:
    contact = f'\n[[alerts.contacts]]\nname = "Pager"\nwebhook = "{address}/alerts"\n'
    written = folder / "policy.toml"
    written.write_text(SHIPPED.read_text("utf-8").replace("\n[contestable]", f"{contact}\n[contestable]"), "utf-8")
    return written


@pytest.fixture
def pager() -> Iterator[Receiver]:
    receiver = Receiver()
    with receiver.open():
        yield receiver


class Workers:
    """Processes of `referral-service worker` on one database."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        others = {name: value for name, value in os.environ.items() if not name.startswith("REFERRAL_")}
        self.environment = others | environment
        self.log = folder / "worker.log"
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "referral_service.cli", "worker"]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        self.started.append(process)
        return process

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait(SECONDS)


@pytest.fixture
def database(postgres_url: str, tmp_path: Path, pager: Receiver) -> Iterator[tuple[Server, Workers, dict[str, str]]]:
    environment = {
        "REFERRAL_DATABASE_URL": postgres_url,
        "REFERRAL_POLICY": str(policy_that_tells(tmp_path, pager.origin)),
        "REFERRAL_OUTBOUND": pager.origin,
    }
    server, workers = Server(postgres_url, tmp_path, environment), Workers(environment, tmp_path)
    with ExitStack() as stack:
        stack.callback(server.stop)
        stack.callback(workers.end)
        server.start()
        yield server, workers, environment


def test_what_a_killed_worker_had_in_hand_is_told_by_another_when_the_lease_ends(
    database: tuple[Server, Workers, dict[str, str]], pager: Receiver
) -> None:
    server, workers, environment = database
    pager.hold = Event()
    first = workers.start()
    identity = server.post("/fhir/ServiceRequest", RED).json()["id"]
    assert pager.called.wait(SECONDS)
    first.send_signal(signal.SIGKILL)
    assert first.wait(SECONDS) == -signal.SIGKILL
    pager.hold.set()
    assert notices(environment) == [(None, 1)]
    began = now()

    def tell(seconds: float) -> bool:
        settings = from_environment(environment, serves=False)
        with opened(environment) as store:
            later = began + timedelta(seconds=seconds)
            return Teller(store, load_policy(settings.policy), settings, lambda: later).step()

    assert (tell(0), tell(LEASE.total_seconds())) == (False, True)
    assert [call.body["id"] for call in pager.calls] == [identity] * 2
    assert notices(environment) == [("Pager", 2)]


def test_of_two_workers_one_is_killed_and_the_other_goes_on(
    database: tuple[Server, Workers, dict[str, str]], pager: Receiver
) -> None:
    server, workers, environment = database
    pager.hold = Event()
    first = workers.start()
    server.post("/fhir/ServiceRequest", RED)
    assert pager.called.wait(SECONDS)
    workers.start()
    first.kill()
    first.wait(SECONDS)
    pager.hold.set()
    with opened(environment) as store, store.writing() as connection:
        # A minute passes, as far as the database knows; the worker that is left looks again by itself.
        past = {"due": "2026-01-01T00:00:00.000Z"}
        connection.execute(tables.notice.update().values(past))
    assert until(lambda: notices(environment) == [("Pager", 2)]), workers.log.read_text("utf-8")
    assert len(pager.calls) == 2


def test_a_worker_that_is_stopped_finishes_what_it_has_in_hand(
    database: tuple[Server, Workers, dict[str, str]], pager: Receiver
) -> None:
    server, workers, environment = database
    pager.hold = Event()
    process = workers.start()
    server.post("/fhir/ServiceRequest", RED)
    assert pager.called.wait(SECONDS)
    process.terminate()
    pager.hold.set()
    assert (process.wait(SECONDS), notices(environment)) == (0, [("Pager", 1)])
    assert "Traceback" not in workers.log.read_text("utf-8")


def test_an_idle_worker_stops_when_told(database: tuple[Server, Workers, dict[str, str]]) -> None:
    _, workers, environment = database
    process = workers.start()
    assert until(lambda: _listens(environment)), workers.log.read_text("utf-8")
    process.terminate()
    assert (process.wait(SECONDS), workers.log.read_text("utf-8")) == (0, "")


def test_a_worker_whose_connection_is_cut_connects_again(
    database: tuple[Server, Workers, dict[str, str]], pager: Receiver
) -> None:
    server, workers, environment = database
    workers.start()
    assert until(lambda: _listens(environment)), workers.log.read_text("utf-8")
    with opened(environment) as store, store.reading() as connection:
        others = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%%'"
        connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) {others}").all()
    assert until(
        lambda: '"event":"worker_without_database","kind":"OperationalError"' in workers.log.read_text("utf-8")
    )
    server.post("/fhir/ServiceRequest", RED)
    assert pager.called.wait(SECONDS), workers.log.read_text("utf-8")


def _listens(environment: dict[str, str]) -> bool:
    """Whether any session of the database has said LISTEN last."""
    with opened(environment) as store, store.reading() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%' AND datname = current_database()"
        return bool(connection.exec_driver_sql(query).scalar_one())


def test_on_sqlite_the_serving_process_tells_and_stops_gracefully(tmp_path: Path, pager: Receiver) -> None:
    url = f"sqlite:///{tmp_path / 'alerts.db'}"
    environment = {
        "REFERRAL_DATABASE_URL": url,
        "REFERRAL_POLICY": str(policy_that_tells(tmp_path, pager.origin)),
        "REFERRAL_OUTBOUND": pager.origin,
    }
    server = Server(url, tmp_path, environment)
    server.start()
    pager.hold = Event()
    identity = server.post("/fhir/ServiceRequest", RED).json()["id"]
    assert pager.called.wait(SECONDS)
    assert server.process is not None
    server.process.terminate()
    pager.hold.set()
    assert server.process.wait(SECONDS) == 0
    assert [call.body["link"] for call in pager.calls] == [f"{server.base}/referrals/{identity}"]
    assert notices(environment) == [("Pager", 1)]
    log = server.log.read_text("utf-8")
    assert [words for words in ("Traceback", "refused to gracefully stop") if words in log] == []


def test_on_sqlite_the_serving_process_tells_of_a_question_that_is_not_answered(
    tmp_path: Path, pager: Receiver
) -> None:
    url = f"sqlite:///{tmp_path / 'alerts.db'}"
    environment = {
        "REFERRAL_DATABASE_URL": url,
        "REFERRAL_POLICY": str(policy_that_tells(tmp_path, pager.origin)),
        "REFERRAL_OUTBOUND": pager.origin,
    }
    with opened(environment) as store:
        upgrade(store)
        identity = asked_long_ago(store)
    server = Server(url, tmp_path, environment)
    server.start()
    assert until(lambda: len(pager.calls) == 2), server.log.read_text("utf-8")
    server.stop()
    assert sorted(call.body["kind"] for call in pager.calls) == ["escalation", "reminder"]
    assert {call.body["id"] for call in pager.calls} == {identity}


def test_a_worker_tells_of_a_question_that_is_not_answered(
    database: tuple[Server, Workers, dict[str, str]], pager: Receiver
) -> None:
    _, workers, environment = database
    with opened(environment) as store:
        asked_long_ago(store)
    for _ in range(2):
        workers.start()
    assert until(lambda: len(pager.calls) == 2), workers.log.read_text("utf-8")
    assert sorted(call.body["kind"] for call in pager.calls) == ["escalation", "reminder"]


def asked_long_ago(store: Store) -> str:
    """The referral's id; its sender was asked for more 60 days ago."""
    site, at = site_of(store, load_policy(), "http://localhost"), now() - timedelta(days=60)
    received = receive(site, Incoming("local", "create", "r-1", json.dumps(referral()).encode(), at), "ServiceRequest")
    with store.reading() as connection:
        task_id = connection.execute(select(tables.task.c.id)).scalar_one()
    asked = {"reason": "more-information-needed", "comment": "Since when?"}
    answer = act(site, everyone("local"), task_id, None, "return-for-information", asked, at, "r-2")
    assert answer.fault is None, answer.issues
    return received.answers[0].id or ""


def test_what_cannot_be_told_stops_serve_at_once(tmp_path: Path) -> None:
    assert said_at_start("serve", unlisted(tmp_path, f"sqlite:///{tmp_path / 'none.db'}")) == (1, UNLISTED)


def test_what_cannot_be_told_stops_a_worker_at_once(tmp_path: Path, postgres_url: str) -> None:
    environment = unlisted(tmp_path, postgres_url)
    with opened(environment) as store:
        upgrade(store)
    assert said_at_start("worker", environment) == (1, UNLISTED)


UNLISTED = (
    "Error: alerts.contacts[0] of the policy is told at an address that may not be called: "
    "https://pager.example:8443 does not stand in REFERRAL_OUTBOUND\n"
)


def unlisted(folder: Path, url: str) -> dict[str, str]:
    return {
        "REFERRAL_AUTH": "none",
        "REFERRAL_DATABASE_URL": url,
        "REFERRAL_POLICY": str(policy_that_tells(folder, "https://pager.example:8443")),
        "REFERRAL_OUTBOUND": "https://pager.example",
    }


def test_a_site_without_contacts_is_told_that_it_needs_a_worker_all_the_same(postgres_url: str) -> None:
    settings = from_environment({"REFERRAL_DATABASE_URL": postgres_url, "REFERRAL_AUTH": "none"})
    assert remark_on_alerts(settings) == f"{NO_CONTACT} {WORKER_APART}"


def test_a_site_without_contacts_is_told_so_once_at_start(tmp_path: Path) -> None:
    server = Server(f"sqlite:///{tmp_path / 'alone.db'}", tmp_path)
    server.start()
    server.stop()
    assert server.log.read_text("utf-8").count(NO_CONTACT) == 1


def test_a_worker_on_sqlite_says_that_there_is_none(tmp_path: Path) -> None:
    environment = {"REFERRAL_DATABASE_URL": f"sqlite:///{tmp_path / 'none.db'}"}
    words = "Error: REFERRAL_DATABASE_URL names an SQLite file, on which serve itself does a worker's work\n"
    assert said_at_start("worker", environment) == (1, words)


def said_at_start(command: str, environment: dict[str, str]) -> tuple[int, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("REFERRAL_")}
    line = [sys.executable, "-m", "referral_service.cli", command]
    done = subprocess.run(line, env=others | environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


@contextmanager
def opened(environment: dict[str, str]) -> Iterator[Store]:
    store = open_store(environment["REFERRAL_DATABASE_URL"])
    yield store
    store.close()


def notices(environment: dict[str, str]) -> list[tuple[Any, ...]]:
    """(who was told, how often it was taken in hand) of every message."""
    with opened(environment) as store, store.reading() as connection:
        found = connection.execute(select(tables.notice.c.contact, tables.notice.c.attempts)).all()
    return [tuple(row) for row in found]


def until(holds: Any) -> bool:
    """Whether it comes true before long."""
    pause = Event()
    return any(holds() or pause.wait(0.1) for _ in range(10 * SECONDS)) and holds()


def test_a_worker_tells_each_seal_in_its_log(database: tuple[Server, Workers, dict[str, str]]) -> None:
    server, workers, environment = database
    server.post("/fhir/ServiceRequest", RED)
    workers.start()
    assert until(lambda: '"event":"audit_sealed","seal":"1:' in workers.log.read_text("utf-8")), "no seal was told"
    with opened(environment) as store, store.reading() as connection:
        assert f'"seal":"1:{seals(connection)[0]["hash"]}"' in workers.log.read_text("utf-8")


def test_a_worker_tells_its_metrics_where_it_is_told_to(
    database: tuple[Server, Workers, dict[str, str]], pager: Receiver
) -> None:
    server, workers, _ = database
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    workers.environment["REFERRAL_METRICS_PORT"] = port
    process = workers.start()
    server.post("/fhir/ServiceRequest", RED)
    assert pager.called.wait(SECONDS)

    def told() -> Samples:
        return samples(requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text)

    assert until(lambda: value(told(), "alert_messages_total", outcome="told") == 1), workers.log.read_text("utf-8")
    found = told()
    assert value(found, "build_info", version=version("referral-service"), policy="default|2026.1") == 1
    assert found["process_resident_memory_bytes", ()] > 0
    assert "referral_tasks_open" not in {name for name, _ in found}
    process.terminate()
    assert process.wait(SECONDS) == 0


def test_a_port_for_metrics_that_another_has_stops_a_worker_at_once(postgres_url: str) -> None:
    environment = {"REFERRAL_DATABASE_URL": postgres_url}
    with opened(environment) as store:
        upgrade(store)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment["REFERRAL_METRICS_PORT"] = str(taken.getsockname()[1])
        code, said = said_at_start("worker", environment)
    assert (code, said.splitlines()[-1]) == (1, "Error: REFERRAL_METRICS_PORT cannot be listened on")
