"""A database that would lose what it has acknowledged is refused, with the setting, its value and the right one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, make_url, text
from sqlalchemy.dialects.postgresql import JSON, JSONB

from referral_service.store.durability import OLDEST_POSTGRESQL, DurabilityError, check
from referral_service.store.engine import Store, open_store
from referral_service.store.migrations import upgrade
from referral_service.store.tables import metadata
from tests.conftest import new_database, own_postgres
from tests.serving import SMART

INTRODUCTION = "the database would not keep what it acknowledges: "


@pytest.fixture(scope="module")
def own_server() -> Iterator[str]:
    """A PostgreSQL that a test may spoil for everybody on it."""
    with own_postgres() as url:
        yield url


@contextmanager
def spoiled(server: str, name: str, value: str) -> Iterator[None]:
    engine = create_engine(make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"ALTER SYSTEM SET {name} = {value}"))
        connection.execute(text("SELECT pg_reload_conf(), pg_sleep(0.3)"))
    yield
    with engine.connect() as connection:
        connection.execute(text(f"ALTER SYSTEM RESET {name}"))
        connection.execute(text("SELECT pg_reload_conf(), pg_sleep(0.3)"))
    engine.dispose()


def found(url: str) -> str:
    store = open_store(url)
    try:
        check(store)
    except DurabilityError as problem:
        return str(problem).removeprefix(INTRODUCTION)
    finally:
        store.close()
    return ""


def test_a_database_as_it_comes_is_taken(store: Store) -> None:
    assert check(store) == []


@pytest.mark.parametrize(("pragma", "words"), [("OFF", "OFF"), ("NORMAL", "NORMAL")])
def test_sqlite_that_does_not_wait_for_the_disk_is_refused(tmp_path: Path, pragma: str, words: str) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    event.listen(store.engine, "connect", lambda connection, _: connection.execute(f"PRAGMA synchronous={pragma}"))
    with pytest.raises(DurabilityError) as problem:
        check(store)
    assert str(problem.value) == f"{INTRODUCTION}synchronous is {words}: set it to FULL"
    store.close()


def test_sqlite_that_waits_even_longer_is_taken(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    event.listen(store.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=EXTRA"))
    assert check(store) == []
    store.close()


def test_sqlite_in_memory_is_refused() -> None:
    assert found("sqlite://") == "journal_mode is memory: use a database in a file, and set it to WAL"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("fsync", "off", "fsync is off, set in its configuration: set it to on"),
        ("full_page_writes", "off", "full_page_writes is off, set in its configuration: set it to on"),
        ("synchronous_commit", "off", "synchronous_commit is off, set in its configuration: set it to on"),
        ("zero_damaged_pages", "on", "zero_damaged_pages is on, set in its configuration: set it to off"),
        ("synchronous_commit", "local", ""),
    ],
)
def test_a_server_that_loses_what_it_took_is_refused(own_server: str, name: str, value: str, words: str) -> None:
    with new_database(own_server) as url, spoiled(own_server, name, value):
        assert found(url) == words


def test_standbys_that_a_commit_does_not_wait_for_are_remarked_on(own_server: str) -> None:
    waits = spoiled(own_server, "synchronous_standby_names", "'one'")
    with new_database(own_server) as url, spoiled(own_server, "synchronous_commit", "local"), waits:
        store = open_store(url)
        assert check(store) == [
            "synchronous_commit is local, set in its configuration: set it to on, "
            "else what was acknowledged may not be on the synchronous standbys."
        ]
        store.close()


def test_what_is_off_for_a_role_a_database_or_an_address_alone_is_refused_too(own_server: str) -> None:
    with new_database(own_server) as url:
        name, role = make_url(url).database, make_url(url).username
        engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        told = {}
        for whom in (f"DATABASE {name}", f"ROLE {role}", f"ROLE {role} IN DATABASE {name}"):
            with engine.connect() as connection:
                connection.execute(text(f"ALTER {whom} SET synchronous_commit = off"))
            told[whom.split()[0] + str(len(whom.split()))] = found(url)
            with engine.connect() as connection:
                connection.execute(text(f"ALTER {whom} RESET synchronous_commit"))
        engine.dispose()
        weaker = f"{url}{'&' if '?' in url else '?'}options=-csynchronous_commit%3Doff"
        assert (told, found(weaker)) == (
            {
                "DATABASE2": "synchronous_commit is off, set for the database, by ALTER DATABASE: set it to on",
                "ROLE2": "synchronous_commit is off, set for the role, by ALTER ROLE: set it to on",
                "ROLE5": ("synchronous_commit is off, set for the role in the database, by ALTER ROLE: set it to on"),
            },
            "synchronous_commit is off, set by this program's environment or REFERRAL_DATABASE_URL: set it to on",
        )


def test_every_fault_is_told_at_once(own_server: str) -> None:
    both = spoiled(own_server, "full_page_writes", "off")
    with new_database(own_server) as url, spoiled(own_server, "fsync", "off"), both:
        assert found(url) == (
            "fsync is off, set in its configuration: set it to on; "
            "full_page_writes is off, set in its configuration: set it to on"
        )


def test_a_database_that_cannot_hold_every_character_is_refused(own_server: str) -> None:
    url = make_url(own_server).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(
            text("CREATE DATABASE narrow ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        )
    narrow = url.set(drivername="postgresql", database="narrow").render_as_string(hide_password=False)
    assert found(narrow) == "server_encoding is LATIN1: set it to UTF8"
    engine.dispose()


def test_a_table_that_a_crash_would_empty_is_refused(postgres_url: str) -> None:
    store = open_store(postgres_url)
    upgrade(store)
    with store.writing() as connection:
        connection.execute(text("ALTER TABLE outbox SET UNLOGGED"))
    store.close()
    assert found(postgres_url) == "the table outbox is UNLOGGED: ALTER TABLE outbox SET LOGGED"


def test_a_server_older_than_those_of_the_tests_is_refused(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(postgres_url)
    with store.reading() as connection:
        here = str(connection.execute(text("SHOW server_version")).scalar_one())
    store.close()
    assert int(here.split(".")[0]) >= OLDEST_POSTGRESQL
    monkeypatch.setattr("referral_service.store.durability.OLDEST_POSTGRESQL", 99)
    assert found(postgres_url) == f"server_version is {here}: use PostgreSQL 99 or newer"


def commanded(url: str, *words: str) -> tuple[int, str]:
    environment = {**os.environ, **SMART, "REFERRAL_DATABASE_URL": url, "REFERRAL_PORT": "8099"}
    ran = subprocess.run(
        [sys.executable, "-m", "referral_service.cli", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ran.returncode, ran.stderr


def test_every_command_that_would_use_it_says_so_and_ends(own_server: str) -> None:
    words = f"Error: {INTRODUCTION}fsync is off, set in its configuration: set it to on\n"
    with new_database(own_server) as url, spoiled(own_server, "fsync", "off"):
        said = {command: commanded(url, *command.split()) for command in ("serve", "worker", "db check", "db upgrade")}
        assert said == dict.fromkeys(said, (1, words))


def test_nothing_is_kept_as_a_databases_own_json() -> None:
    columns = [column for table in metadata.sorted_tables for column in table.columns]
    kinds = {column.type.compile(dialect=engine.dialect).upper() for column in columns for engine in _ENGINES}
    assert [kind for kind in kinds if "JSON" in kind] == []
    assert not [column for column in columns if isinstance(column.type, JSON | JSONB)]


_ENGINES = [create_engine("sqlite://"), create_engine("postgresql+psycopg://")]
