"""The migrations give the schema that the code is written for, on either engine, and say when they are needed; killed
at any moment they have done nothing, and no program writes to a schema that it does not know."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, select, text
from sqlalchemy.exc import IntegrityError

from referral_service.app import site_of
from referral_service.demo import seed
from referral_service.policy import load_policy
from referral_service.store import migrations
from referral_service.store.engine import Store, open_store
from referral_service.store.migrations import SchemaError, check, head, hold, upgrade
from referral_service.store.tables import metadata
from referral_service.watching import PROOF_SECONDS
from tests.conftest import new_database
from tests.serving import Server
from tests.shapes import referral
from tests.store.killed import upgraded, version

Rows = Mapping[str, list[tuple[Any, ...]]]
NEXT = Path(__file__).parent / "next_version.py"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of its own, never migrated."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'own.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def own(url: str) -> Iterator[Store]:
    store = open_store(url)
    yield store
    store.close()


@pytest.fixture
def next_version(tmp_path: Path) -> str:
    """The migrations of a later program: ours and one more."""
    folder = tmp_path / "later"
    shutil.copytree(Path(migrations.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(NEXT, folder / "versions" / "0003_next.py")
    (folder / "__init__.py").unlink()
    return str(folder)


def contents(store: Store) -> Rows:
    """Every row of every table, of the columns that this program knows."""
    with store.reading() as connection:
        tables = {
            table.name: connection.execute(select(table).order_by(*table.primary_key)).all()
            for table in metadata.sorted_tables
        }
    return {name: [tuple(row) for row in rows] for name, rows in tables.items()}


def fill(store: Store) -> None:
    """Through the doors, as EHRs would."""
    upgrade(store)
    seed(site_of(store, load_policy(), "http://localhost"), datetime(2026, 3, 16, 12, 0, tzinfo=UTC))


def test_the_migrated_schema_is_the_one_of_the_tables(store: Store) -> None:
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_an_upgrade_of_what_is_up_to_date_changes_nothing(store: Store) -> None:
    upgrade(store)
    check(store)


def test_a_database_that_was_never_migrated_is_refused_with_the_way_on(own: Store) -> None:
    with pytest.raises(SchemaError, match=f"at version none, this program needs {head()}: run db upgrade"):
        check(own)


def test_the_checks_of_the_tables_hold_in_the_database(store: Store) -> None:
    with pytest.raises(IntegrityError), store.writing() as connection:
        connection.execute(
            text(
                "INSERT INTO received (id, client, request_id, door, result, at) "
                "VALUES ('r', 'c', 'q', 'create', 'mislaid', '2026-03-16T12:00:00.000Z')"
            )
        )


def killed(url: str, *steps: int) -> list[str]:
    command = [sys.executable, "-m", "tests.store.killed", url, *map(str, steps)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout.splitlines()


def test_a_process_killed_in_an_upgrade_has_done_nothing_and_the_next_one_does_it_all(
    url: str, postgres_server: str, tmp_path: Path
) -> None:
    if url.startswith("sqlite"):
        statements = upgraded(f"sqlite:///{tmp_path / 'counted.db'}", 0)
    else:
        with new_database(postgres_server) as other:
            statements = upgraded(other, 0)
    steps = [*range(1, statements, 9), statements - 2, statements - 1, statements]
    assert killed(url, *steps) == [f"{step} -9 none" for step in steps]
    assert killed(url, 0) == [f"0 0 {head()}"]
    store = open_store(url)
    check(store)
    with store.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    store.close()


def test_two_upgrades_at_once_are_one(own: Store, url: str) -> None:
    ends: list[str] = []
    threads = [Thread(target=lambda: ends.extend(killed(url, 0))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (ends, version(own)) == ([f"0 0 {head()}"] * 3, head())


def test_who_upgrades_while_another_is_at_it_waits_and_finds_it_done(own: Store, url: str) -> None:
    others: list[subprocess.Popen[str]] = []
    seen = 0

    def statement(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == 20:
            command = [sys.executable, "-m", "tests.store.killed", url, "0"]
            others.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            with pytest.raises(subprocess.TimeoutExpired):
                others[0].wait(timeout=5)

    event.listen(own.engine, "before_cursor_execute", statement)
    upgrade(own)
    assert others[0].communicate(timeout=60)[0] == f"0 0 {head()}\n"


def test_two_services_that_start_at_once_on_an_empty_database_both_come_up(url: str, tmp_path: Path) -> None:
    servers = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        servers.append(Server(url, tmp_path / name))
    threads = [Thread(target=server.start) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [server.post("/fhir/ServiceRequest", referral(None)).status_code for server in servers] == [201, 201]
    for server in servers:
        server.stop()


def test_a_next_version_keeps_every_row_of_a_database_with_data(own: Store, next_version: str) -> None:
    fill(own)
    before = contents(own)
    assert len(before["ledger"]) > 20
    upgrade(own, next_version)
    assert contents(own) == before
    with own.reading() as connection:
        arrivals = connection.execute(text("SELECT received_id, position, client FROM arrival ORDER BY 1, 2")).all()
        remarks = set(connection.execute(text("SELECT remark FROM task")).scalars())
        if not own.is_shared:
            assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
    assert [tuple(row) for row in arrivals] == [row[:3] for row in before["ledger"]]
    assert remarks == {"queue adult-movement-disorders", "queue pediatric-neuromotor", "queue intake-review"}
    check(own, next_version)


def test_a_next_version_killed_midway_leaves_the_version_before_with_every_row(
    own: Store, url: str, next_version: str
) -> None:
    fill(own)
    before = contents(own)
    own.close()
    broken = Path(next_version) / "versions" / "0003_next.py"
    whole = broken.read_text("utf-8")
    broken.write_text(whole + '    __import__("os").kill(__import__("os").getpid(), 9)\n', "utf-8")
    program = "import sys; from referral_service.store.engine import open_store as o; "
    program += "from referral_service.store.migrations import upgrade; upgrade(o(sys.argv[1]), sys.argv[2])"
    command = [sys.executable, "-c", program, url, next_version]
    assert subprocess.run(command, timeout=60, check=False).returncode == -9
    assert (version(own), contents(own)) == (head(), before)
    broken.write_text(whole, "utf-8")
    assert subprocess.run(command, timeout=60, check=False).returncode == 0
    assert (version(own), contents(own)) == ("0003", before)


def test_migrations_that_lose_a_trigger_of_the_trail_or_leave_rows_without_parents_do_nothing(
    own: Store, next_version: str
) -> None:
    fill(own)
    before = contents(own)
    later = Path(next_version) / "versions" / "0003_next.py"
    whole = later.read_text("utf-8")
    where = " ON audit_seal" if own.is_shared else ""
    later.write_text(whole + f'    op.execute("DROP TRIGGER audit_seal_removed{where}")\n', "utf-8")
    with pytest.raises(SchemaError, match="have lost triggers of the audit trail: audit_seal_removed"):
        upgrade(own, next_version)
    if not own.is_shared:
        later.write_text(whole + '    op.execute("DELETE FROM received")\n', "utf-8")
        with pytest.raises(SchemaError, match="have left rows that refer to nothing"):
            upgrade(own, next_version)
    assert (version(own), contents(own)) == (head(), before)


def test_a_program_refuses_a_newer_database_and_says_which_it_knows(own: Store, next_version: str) -> None:
    upgrade(own, next_version)
    words = f"the database is at version 0003, this program knows none after {head()}: run a newer program"
    for used in (check, upgrade):
        with pytest.raises(SchemaError, match=words):
            used(own)
    assert version(own) == "0003"


def test_a_newer_program_refuses_an_older_database_until_it_is_upgraded(own: Store, next_version: str) -> None:
    upgrade(own)
    with pytest.raises(SchemaError, match=f"at version {head()}, this program needs 0003: run db upgrade"):
        check(own, next_version)


def test_a_program_that_was_overtaken_writes_nothing(own: Store, url: str, next_version: str) -> None:
    upgrade(own)
    hold(own)
    seed(site_of(own, load_policy(), "http://localhost"), datetime(2026, 3, 16, 12, 0, tzinfo=UTC))
    before = contents(own)
    later = open_store(url)
    upgrade(later, next_version)
    for _ in range(2):
        with pytest.raises(Exception) as problem:  # noqa: PT011
            seed(site_of(own, load_policy(), "http://localhost"), datetime(2026, 3, 17, 12, 0, tzinfo=UTC))
        assert isinstance(problem.value, SchemaError) or "terminat" in str(problem.value)
    assert contents(later) == before
    later.close()


def test_a_service_whose_database_was_upgraded_is_not_ready_and_takes_nothing(
    url: str, tmp_path: Path, next_version: str, request: pytest.FixtureRequest
) -> None:
    server = Server(url, tmp_path)
    request.addfinalizer(server.kill)
    server.start()
    assert server.post("/fhir/ServiceRequest", referral("before")).status_code == 201
    later = open_store(url)
    upgrade(later, next_version)
    before = contents(later)["ledger"]
    answers = [server.post("/fhir/ServiceRequest", referral(f"after-{number}")) for number in range(6)]
    deadline = time.monotonic() + 2 * PROOF_SECONDS
    while (ready := server.get("/health/ready")).status_code == 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    answers.append(ready)
    assert {answer.status_code for answer in answers} == {503}
    assert all("Retry-After" in answer.headers for answer in answers)
    assert requests.get(f"{server.base}/health/live", timeout=5).status_code == 200
    assert contents(later)["ledger"] == before
    later.close()
    server.stop()
