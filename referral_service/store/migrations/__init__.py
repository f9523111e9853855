"""The schema's versions, by Alembic: ``upgrade`` brings a database up to date, ``check`` says whether it is.

An upgrade is one transaction on either engine, by one process at a time: killed at any moment it has done nothing, and
is simply run again. Processes that serve from the version before are shut out with it (:func:`hold`), so that none of
them writes to a schema that it does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection

from referral_service.store.audit import missing_guards
from referral_service.store.engine import SchemaError, Store

__all__ = ["SchemaError", "check", "head", "hold", "revision", "upgrade"]

OURS = "referral_service.store:migrations"
_ALONE = 0x5C4E
"""The key of the advisory lock that whoever upgrades on PostgreSQL holds."""
_PATIENCE = 600
"""How many seconds an upgrade of an SQLite file waits for another one to end."""
_NAME = "referral-service"
_SERVING = (
    "SELECT pid, pg_has_role(usesysid, 'MEMBER') OR pg_has_role('pg_signal_backend', 'MEMBER') "
    "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE :name"
)
_VERSION = "SELECT version_num FROM alembic_version"


def upgrade(store: Store, scripts: str = OURS) -> None:
    """Applies every migration not applied yet, in one transaction. Raises :class:`SchemaError` for a newer database."""
    alone = _alone_on_postgresql if store.is_shared else _alone_on_sqlite
    with alone(store) as connection:
        found = revision(connection)
        _refuse_newer(found, scripts)
        if found == head(scripts):
            return
        if store.is_shared and found is not None:
            _shut_out_others(connection)
        command.upgrade(_config(scripts, connection), "head")
        if lost := missing_guards(connection):
            raise SchemaError(f"the migrations have lost triggers of the audit trail: {', '.join(lost)}")


def check(store: Store, scripts: str = OURS) -> None:
    """Raises :class:`SchemaError` when ``upgrade`` has something to do, or the database is newer. One row is read."""
    with store.reading() as connection:
        found = revision(connection)
    _refuse_newer(found, scripts)
    _refuse_other(found, scripts)


def hold(store: Store, scripts: str = OURS) -> None:
    """From now on a database that another program has upgraded meanwhile takes nothing from this one.

    On PostgreSQL each new connection looks at the version, and an upgrade ends those that are open; on SQLite each
    write looks. Both raise :class:`SchemaError`.
    """
    if store.is_shared:

        def connected(connection: DBAPIConnection, _: object) -> None:
            try:
                _refuse_other(_named_and_asked(connection), scripts)
            except Exception:
                connection.close()
                raise

        event.listen(store.engine, "connect", connected)
        store.engine.dispose()  # a connection that was made before has not looked
        return

    def begun(connection: Connection) -> None:
        if connection.get_execution_options().get("writes", False):
            _refuse_other(connection.exec_driver_sql(_VERSION).scalar(), scripts)

    event.listen(store.engine, "begin", begun)


def revision(connection: Connection) -> str | None:
    """The version that the database is at, None for one that was never migrated."""
    return MigrationContext.configure(connection).get_current_revision()


@cache
def head(scripts: str = OURS) -> str:
    """The version that this program was written for."""
    return str(ScriptDirectory.from_config(_config(scripts)).get_current_head())


@cache
def _known(scripts: str) -> frozenset[str]:
    return frozenset(one.revision for one in ScriptDirectory.from_config(_config(scripts)).walk_revisions())


def _refuse_newer(found: str | None, scripts: str) -> None:
    if found is not None and found not in _known(scripts):
        raise SchemaError(
            f"the database is at version {found}, this program knows none after {head(scripts)}: run a newer program"
        )


def _refuse_other(found: str | None, scripts: str) -> None:
    if found != head(scripts):
        raise SchemaError(
            f"the database is at version {found or 'none'}, this program needs {head(scripts)}: run db upgrade"
        )


def _named_and_asked(connection: DBAPIConnection) -> str | None:
    """Who upgrades knows by its name what is to be shut out."""
    cursor = connection.cursor()
    cursor.execute(f"SET application_name = '{_NAME} {head()}'")
    cursor.execute(_VERSION)
    row: Any = cursor.fetchone()
    cursor.close()
    connection.commit()
    return row[0] if row else None


@contextmanager
def _alone_on_postgresql(store: Store) -> Iterator[Connection]:
    with store.writing() as connection:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_ALONE})"))
        yield connection


def _shut_out_others(connection: Connection) -> None:
    """Ends the connections of processes that serve; theirs come back when the version is that of before or after.

    The lock holds up whoever asks for the version meanwhile: nobody comes in on the old one.
    """
    connection.execute(text("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"))
    found = connection.execute(text(_SERVING), {"name": f"{_NAME} %"}).all()
    for pid, is_ours_to_end in found:
        if is_ours_to_end:
            connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    connection.execute(text("SELECT pg_stat_clear_snapshot()"))
    # Those that have come since wait for the version.
    left = set(connection.execute(text(_SERVING), {"name": f"{_NAME} %"})) & set(found)
    if left:
        raise SchemaError(f"{len(left)} connections of processes that serve cannot be ended: stop these, then upgrade")


@contextmanager
def _alone_on_sqlite(store: Store) -> Iterator[Connection]:
    """The one writer; foreign keys are looked at once at the end, so that a table can be made anew under others.

    See https://www.sqlite.org/lang_altertable.html#otheralter: they can be switched only outside a transaction.
    """
    with store.turn, store.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        before = driver.execute("PRAGMA busy_timeout").fetchone()[0]
        driver.execute("PRAGMA foreign_keys=OFF")
        driver.execute(f"PRAGMA busy_timeout={_PATIENCE * 1000}")
        try:
            with connection.execution_options(writes=True).begin():
                yield connection
                if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                    raise SchemaError("the migrations have left rows that refer to nothing")
        finally:
            driver.execute(f"PRAGMA busy_timeout={before}")
            driver.execute("PRAGMA foreign_keys=ON")


def _config(scripts: str, connection: object = None) -> Config:
    config = Config()
    config.set_main_option("script_location", scripts)
    config.attributes["connection"] = connection
    return config
