"""The command line."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import click

from referral_service.policy import PolicyError
from referral_service.settings import SettingsError, from_environment


@click.group()
@click.version_option(package_name="referral-service")
def main() -> None:
    """Checks referrals for suspected dystonia, tags them with ICD-10 G24.x and routes them by age."""


@main.command()
def serve() -> None:
    """Bring the database up to date, then serve."""
    from referral_service.app import prepare, remark_on_alerts
    from referral_service.server import check_port, run

    with _plainly():
        settings = from_environment()
        remark = remark_on_alerts(settings)
        check_port(settings)
        prepare(settings)
        if remark:
            click.echo(remark, err=True)
        run(settings)


@main.command()
def worker() -> None:
    """Send what is to be sent, on PostgreSQL; as many as wanted run side by side."""
    from referral_service.app import work

    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with _plainly():
        work(from_environment(serves=False), stopping)


@main.command()
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535))
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where the database is kept.")
def demo(port: int, directory: Path | None) -> None:
    """Serve on loopback with invented referrals in every queue."""
    from referral_service.demo import run_demo

    with _plainly():
        run_demo(port, directory)


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a referral and line.")
def preview(files: tuple[Path, ...], as_json: bool) -> None:
    """Decide referrals in files, storing nothing."""
    from referral_service.previews import JSON_KEYS, decide_files, table

    with _plainly():
        rows = decide_files(files, from_environment(serves=False).policy, datetime.now(UTC))
    if as_json:
        for row in rows:
            click.echo(json.dumps({key: row[key] for key in JSON_KEYS}))
    else:
        _print(table(rows))


@main.command()
@click.option("--policy", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Another policy file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a referral that would change, and line.")
def replay(policy: Path | None, as_json: bool) -> None:
    """Show which stored referrals another policy, or this version, would decide otherwise. Writes nothing."""
    from referral_service.policy import load_policy
    from referral_service.replay import lines
    from referral_service.replay import replay as decide_again
    from referral_service.store.engine import open_store
    from referral_service.store.migrations import check as check_schema

    with _plainly():
        settings = from_environment(serves=False)
        store = open_store(settings.database_url)
        check_schema(store)
        replayed = list(decide_again(store, load_policy(policy or settings.policy)))
        store.close()
    if as_json:
        for one in replayed:
            if one.changes:
                click.echo(json.dumps({"referral": one.referral_id, "by_hand": one.by_hand, "changes": one.changes}))
    else:
        _print(lines(replayed))


@main.group()
def db() -> None:
    """The database."""


@db.command()
def upgrade() -> None:
    """Bring the database up to date."""
    from referral_service.app import prepare

    with _plainly():
        prepare(from_environment(serves=False))


@db.command()
def check() -> None:
    """Exit with 1 when the database is not up to date."""
    from referral_service.store.engine import open_store
    from referral_service.store.migrations import check as check_schema

    with _plainly():
        check_schema(open_store(from_environment(serves=False).database_url))
    click.echo("The database is up to date.")


@main.group()
def audit() -> None:
    """The audit trail."""


@audit.command()
@click.option("--seal", metavar="BATCH:HASH", help="A seal as it was noted elsewhere, as in the log.")
def verify(seal: str | None) -> None:
    """Check every event against the chain of seals; exit with 1 at the first that is not as it was sealed."""
    from referral_service.sealing import verify as check_trail
    from referral_service.store.engine import open_store
    from referral_service.store.migrations import check as check_schema

    noted = re.fullmatch(r"([1-9][0-9]{0,8}):([0-9a-f]{64})", seal) if seal else None
    if seal and noted is None:
        raise click.BadParameter("it is a number, a colon and 64 hexadecimal digits", param_hint="--seal")
    with _plainly():
        store = open_store(from_environment(serves=False).database_url)
        check_schema(store)
        verdict = check_trail(store, (int(noted[1]), noted[2]) if noted else None)
        store.close()
    if verdict.last is not None:
        batch = verdict.last
        click.echo(f"{verdict.sealed} events sealed until {verdict.sealed_at}, seal {batch['batch']}:{batch['hash']}.")
    else:
        click.echo("No event is sealed yet.")
    click.echo(f"{verdict.tail} not sealed yet" + (f", since {verdict.tail_since}." if verdict.tail_since else "."))
    if verdict.fault:
        raise click.ClickException(verdict.fault)
    click.echo("The trail is as it was sealed.")


def _print(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(line)


@contextmanager
def _plainly() -> Iterator[None]:
    """What the person at the keyboard can mend is said in one line; no value of a setting is shown."""
    from referral_service.server import PortError
    from referral_service.store.engine import UNUSABLE
    from referral_service.store.migrations import SchemaError

    try:
        yield
    except (SettingsError, SchemaError, PortError) as problem:
        raise click.ClickException(str(problem)) from problem
    except PolicyError as problem:
        raise click.ClickException(f"The policy: {problem}") from problem
    except UNUSABLE as problem:
        words = "REFERRAL_DATABASE_URL names no SQLite or PostgreSQL database that can be opened"
        raise click.ClickException(words) from problem


if __name__ == "__main__":
    sys.exit(main())
