"""The command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from referral_service.policy import PolicyError
from referral_service.settings import SettingsError


@click.group()
@click.version_option(package_name="referral-service")
def main() -> None:
    """Checks referrals for suspected dystonia, tags them with ICD-10 G24.x and routes them by age."""


@main.command()
def serve() -> None:
    """Bring the database up to date, then serve."""
    from referral_service.app import prepare

    settings = _settings()
    prepare(settings)
    _run(settings)


@main.command()
@click.option("--port", default=8080, show_default=True)
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where the database is kept.")
def demo(port: int, directory: Path | None) -> None:
    """Serve on loopback with invented referrals in every queue."""
    from referral_service.demo import run_demo

    run_demo(port, directory)


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a referral and line.")
def preview(files: tuple[Path, ...], as_json: bool) -> None:
    """Decide referrals in files, storing nothing."""
    from referral_service.previews import JSON_KEYS, decide_files, table

    rows = decide_files(files, _policy_path(), datetime.now(UTC))
    if as_json:
        for row in rows:
            click.echo(json.dumps({key: row[key] for key in JSON_KEYS}))
    else:
        _print(table(rows))


@main.group()
def db() -> None:
    """The database."""


@db.command()
def upgrade() -> None:
    """Bring the database up to date."""
    from referral_service.app import prepare

    prepare(_settings())


@db.command()
def check() -> None:
    """Exit with 1 when the database is not up to date."""
    from referral_service.store.engine import open_store
    from referral_service.store.migrations import SchemaError
    from referral_service.store.migrations import check as check_schema

    store = open_store(_settings().database_url)
    try:
        check_schema(store)
    except SchemaError as problem:
        raise click.ClickException(str(problem)) from problem
    click.echo("The database is up to date.")


def _print(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(line)


def _settings() -> Any:
    from referral_service.settings import from_environment

    try:
        return from_environment()
    except SettingsError as problem:
        raise click.ClickException(str(problem)) from problem


def _policy_path() -> Path | None:
    import os

    value = os.environ.get("REFERRAL_POLICY")
    return Path(value) if value else None


def _run(settings: Any) -> None:
    from referral_service.server import run

    try:
        run(settings)
    except PolicyError as problem:
        raise click.ClickException(str(problem)) from problem


if __name__ == "__main__":
    sys.exit(main())
