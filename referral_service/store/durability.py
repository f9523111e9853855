"""A database that would not keep what it has acknowledged is refused before anything is served from it.

Looked at is what a connection of ours really has, wherever it was set: in the server's configuration, for the database,
for the role or in the address (https://www.postgresql.org/docs/current/runtime-config-wal.html,
https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, text

from referral_service.store.engine import Store, Unfit
from referral_service.store.tables import metadata

OLDEST_POSTGRESQL = 15
"""The oldest major version that the tests are run on."""

_WANTED = {
    "fsync": "on",  # commits are on the disk, not in the machine's memory
    "full_page_writes": "on",  # a page half written when the machine failed is whole again
    "data_sync_retry": "off",  # what the disk did not take is never taken for written
    "zero_damaged_pages": "off",  # what cannot be read is not emptied
    "session_replication_role": "origin",  # triggers and foreign keys hold
    "server_encoding": "UTF8",  # every character of a referral can be kept
}
_SYNCHRONOUS = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}
_SET_BY = {
    "configuration file": "in its configuration",
    "command line": "on its command line",
    "database": "for the database, by ALTER DATABASE",
    "user": "for the role, by ALTER ROLE",
    "database user": "for the role in the database, by ALTER ROLE",
    "client": "by this program's environment or REFERRAL_DATABASE_URL",
    "environment variable": "by its environment",
}


class DurabilityError(Unfit):
    """The database would lose what it has acknowledged; the message names each setting, its value and the right one."""


def check(store: Store) -> list[str]:
    """Raises :class:`DurabilityError` with every fault at once; else gives what keeps less than was asked for."""
    with store.reading() as connection:
        if not store.is_shared:
            faults, remarks = list(_of_sqlite(connection)), []
        else:
            found = _settings(connection)
            faults = [*_of_postgresql(found), *_of_tables(connection)]
            remarks = list(_of_standbys(found))
    if faults:
        raise DurabilityError(f"the database would not keep what it acknowledges: {'; '.join(faults)}")
    return remarks


def _of_sqlite(connection: Connection) -> Iterator[str]:
    synchronous = connection.execute(text("PRAGMA synchronous")).scalar_one()
    if synchronous not in (2, 3):
        yield f"synchronous is {_SYNCHRONOUS.get(synchronous, synchronous)}: set it to FULL"
    journal = connection.execute(text("PRAGMA journal_mode")).scalar_one()
    if journal in ("off", "memory"):
        yield f"journal_mode is {journal}: use a database in a file, and set it to WAL"


def _settings(connection: Connection) -> Mapping[str, Any]:
    """Name -> row of value and source, as they hold for this connection."""
    return {row.name: row for row in connection.execute(text("SELECT name, setting, source FROM pg_settings"))}


def _of_postgresql(found: Mapping[str, Any]) -> Iterator[str]:
    version = int(found["server_version_num"].setting)
    if version < OLDEST_POSTGRESQL * 10_000:
        yield f"server_version is {found['server_version'].setting}: use PostgreSQL {OLDEST_POSTGRESQL} or newer"
    for name, wanted in _WANTED.items():
        if name in found and found[name].setting != wanted:
            yield _words(found[name], wanted)
    if found["synchronous_commit"].setting == "off":
        yield _words(found["synchronous_commit"], "on")


def _words(row: Any, wanted: str) -> str:
    where = f", set {_SET_BY[row.source]}" if row.source in _SET_BY else ""
    return f"{row.name} is {row.setting}{where}: set it to {wanted}"


def _of_tables(connection: Connection) -> Iterator[str]:
    """A crash empties an unlogged table (https://www.postgresql.org/docs/current/sql-createtable.html)."""
    query = "SELECT relname FROM pg_class WHERE relpersistence = 'u' AND relkind = 'r' AND pg_table_is_visible(oid)"
    ours = {*metadata.tables, "alembic_version"}
    for name in sorted(ours & set(connection.execute(text(query)).scalars())):
        yield f"the table {name} is UNLOGGED: ALTER TABLE {name} SET LOGGED"


def _of_standbys(found: Mapping[str, Any]) -> Iterator[str]:
    """With standbys that commits are to wait for, a weaker synchronous_commit does not wait until they have them."""
    row = found["synchronous_commit"]
    if found["synchronous_standby_names"].setting and row.setting in ("local", "remote_write"):
        yield f"{_words(row, 'on')}, else what was acknowledged may not be on the synchronous standbys."
