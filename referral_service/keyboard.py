"""What the commands have in common: the database, and how a fault is told to the person at the keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from referral_service.policy import PolicyError
from referral_service.processes import PortError
from referral_service.settings import Settings, SettingsError

if TYPE_CHECKING:
    from referral_service.store.engine import Store


@contextmanager
def the_store(settings: Settings) -> Iterator[Store]:
    """The database that is set, when it is up to date."""
    from referral_service.store.engine import open_store
    from referral_service.store.migrations import check as check_schema

    store = open_store(settings.database_url)
    try:
        check_schema(store)
        yield store
    finally:
        store.close()


def show(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(line)


@contextmanager
def plainly() -> Iterator[None]:
    """What the person at the keyboard can mend is said in one line; no value of a setting is shown."""
    from referral_service.access.people import PersonError
    from referral_service.access.registering import RegistrationError
    from referral_service.store.engine import UNUSABLE, Unfit

    try:
        yield
    except (SettingsError, Unfit, PortError, RegistrationError, PersonError) as problem:
        raise click.ClickException(str(problem)) from problem
    except PolicyError as problem:
        raise click.ClickException(f"The policy: {problem}") from problem
    except UNUSABLE as problem:
        words = "REFERRAL_DATABASE_URL names no SQLite or PostgreSQL database that can be opened"
        raise click.ClickException(words) from problem
