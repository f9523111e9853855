"""The migrations give the schema that the code is written for, on either engine, and say when they are needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from referral_service.store.engine import Store, open_store
from referral_service.store.migrations import SchemaError, check, upgrade
from referral_service.store.tables import metadata


def test_the_migrated_schema_is_the_one_of_the_tables(store: Store) -> None:
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_an_upgrade_of_what_is_up_to_date_changes_nothing(store: Store) -> None:
    upgrade(store)
    check(store)


def test_a_database_that_was_never_migrated_is_refused_with_the_way_on(tmp_path: Path) -> None:
    empty = open_store(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(SchemaError, match="at version none, this program needs 0002: run db upgrade"):
        check(empty)
    empty.close()


def test_the_checks_of_the_tables_hold_in_the_database(store: Store) -> None:
    from sqlalchemy import text
    from sqlalchemy.exc import IntegrityError

    with pytest.raises(IntegrityError), store.writing() as connection:
        connection.execute(
            text(
                "INSERT INTO received (id, client, request_id, door, result, at) "
                "VALUES ('r', 'c', 'q', 'create', 'mislaid', '2026-03-16T12:00:00.000Z')"
            )
        )
