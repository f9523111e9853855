"""The schema's versions, by Alembic: ``upgrade`` brings a database up to date, ``check`` says whether it is."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from referral_service.store.engine import Store


class SchemaError(RuntimeError):
    """The database is not at the version that this program was written for."""


def upgrade(store: Store) -> None:
    """Applies every migration not applied yet, in one transaction."""
    with store.writing() as connection:
        command.upgrade(_config(connection), "head")


def check(store: Store) -> None:
    """Raises :class:`SchemaError` when ``upgrade`` has something to do, or the database is newer."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    with store.reading() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found != head:
        raise SchemaError(f"the database is at version {found or 'none'}, this program needs {head}: run db upgrade")


def _config(connection: object = None) -> Config:
    config = Config()
    config.set_main_option("script_location", "referral_service.store:migrations")
    config.attributes["connection"] = connection
    return config
