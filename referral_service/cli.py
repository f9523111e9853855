"""The command line."""

from __future__ import annotations

import json
import logging
import re
import signal
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from referral_service import logs
from referral_service.keyboard import plainly, show, the_store
from referral_service.processes import check_port, counting_together
from referral_service.referral import Queue
from referral_service.settings import from_environment
from referral_service.worklist import Role

if TYPE_CHECKING:
    pass

log = logging.getLogger("referral_service")


@click.group()
@click.version_option(package_name="referral-service")
def main() -> None:
    """Checks referrals for suspected dystonia, tags them with ICD-10 G24.x and routes them by age."""


@main.command()
def serve() -> None:
    """Bring the database up to date, then serve."""
    with plainly():
        settings = from_environment()
        logs.configure(settings.log_format, settings.log_level)
        with counting_together(settings):
            from referral_service.app import gate_of, prepare, remark_on_alerts
            from referral_service.server import run

            gate_of(settings)
            remark = remark_on_alerts(settings)
            check_port(settings)
            prepare(settings)
            if remark:
                log.warning(remark)
            run(settings)


@main.command()
def worker() -> None:
    """Send what is to be sent, on PostgreSQL; as many as wanted run side by side."""
    from referral_service.app import work

    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with plainly():
        settings = from_environment(serves=False)
        logs.configure(settings.log_format, settings.log_level)
        work(settings, stopping)


@main.command()
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535))
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where the database is kept.")
@click.option("--sign-in", is_flag=True, help="Ask who one is; there are sample users, one a role.")
def demo(port: int, directory: Path | None, sign_in: bool) -> None:
    """Serve on loopback with invented referrals in every queue."""
    from referral_service.demo import run_demo

    with plainly():
        run_demo(port, directory, asks=sign_in)


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a referral and line.")
def preview(files: tuple[Path, ...], as_json: bool) -> None:
    """Decide referrals in files, storing nothing."""
    from referral_service.previews import JSON_KEYS, decide_files, table

    with plainly():
        rows = decide_files(files, from_environment(serves=False).policy, datetime.now(UTC))
    if as_json:
        for row in rows:
            click.echo(json.dumps({key: row[key] for key in JSON_KEYS}))
    else:
        show(table(rows))


@main.command()
@click.option("--policy", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Another policy file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a referral that would change, and line.")
def replay(policy: Path | None, as_json: bool) -> None:
    """Show which stored referrals another policy, or this version, would decide otherwise. Writes nothing."""
    from referral_service.policy import load_policy
    from referral_service.replay import lines
    from referral_service.replay import replay as decide_again

    with plainly():
        settings = from_environment(serves=False)
        with the_store(settings) as store:
            replayed = list(decide_again(store, load_policy(policy or settings.policy)))
    if as_json:
        for one in replayed:
            if one.changes:
                click.echo(json.dumps({"referral": one.referral_id, "by_hand": one.by_hand, "changes": one.changes}))
    else:
        show(lines(replayed))


@main.group()
def client() -> None:
    """Systems that may call."""


@client.command("add")
@click.option("--id", "client_id", required=True, help="Stands as iss and sub in what the system signs.")
@click.option("--name", required=True, help="Shown to people.")
@click.option(
    "--role", "roles", multiple=True, required=True, help="placer (sends referrals) or filler (works on them)."
)
@click.option("--queue", "queues", multiple=True, help="A queue that a filler works on.")
@click.option("--scope", "scopes", multiple=True, required=True, help="As system/ServiceRequest.cru.")
@click.option("--jwks", type=click.File("rb"), help="Its public keys, a JSON Web Key Set.")
@click.option("--jwks-url", help="Where it publishes them.")
@click.option("--placer-system", help="The system of its placer identifiers, when they carry no type.")
@click.option("--bars", is_flag=True, help="It speaks BaRS.")
@click.option("--callback", "callbacks", multiple=True, metavar="ORIGIN", help="Where its Subscriptions may lead to.")
@click.option("--ehr-base", metavar="URL", help="The base of its FHIR server, where what it refers to can be read.")
@click.option("--ehr-token-url", metavar="URL", help="Where this service gets its token there, if it has to log in.")
@click.option("--ehr-client-id", help="Who this service is there.")
@click.option(
    "--tell",
    type=click.Choice(["task", "bser", "bars"]),
    help="How it is told of every change at its FHIR server: by the Task itself, or by message.",
)
@click.option("--outside-issuer", is_flag=True, help="It has no keys here; its tokens come from the issuer outside.")
@click.option("--cds-issuer", metavar="URL", help="The iss of what it signs when it calls by CDS Hooks.")
def client_add(jwks: BinaryIO | None, **given: Any) -> None:
    """Register a system; one that was revoked is registered anew and has its records again."""
    from referral_service.access.registering import Registration, register
    from referral_service.web.reading import GRANTABLE

    with plainly():
        settings = from_environment(serves=False)
        asked = Registration(given.pop("client_id"), jwks=jwks.read() if jwks else None, **given)
        with the_store(settings) as store, store.writing() as connection:
            register(connection, asked, GRANTABLE, datetime.now(UTC), settings.outbound)
    click.echo(f"{asked.id} is registered.")


@client.command("list")
def client_list() -> None:
    """Every system, the revoked ones too."""
    from referral_service.access.registering import table
    from referral_service.store.systems import clients

    with plainly(), the_store(from_environment(serves=False)) as store, store.reading() as connection:
        show(table(clients(connection)))


@client.command("revoke")
@click.argument("client_id")
def client_revoke(client_id: str) -> None:
    """End a system and its tokens, at once."""
    from referral_service.store.systems import revoke

    with plainly(), the_store(from_environment(serves=False)) as store, store.writing() as connection:
        was_in_use = revoke(connection, client_id, datetime.now(UTC))
    if not was_in_use:
        raise click.ClickException("There is no such client, or it was revoked before.")
    click.echo(f"{client_id} is revoked.")


@main.group()
def user() -> None:
    """People who sign in with a password."""


@user.command("add")
@click.argument("name")
@click.option("--shown-as", required=True, help="What others read: on what is in hand, and in each timeline.")
@click.option("--role", required=True, type=click.Choice(["coordinator", "lead", "auditor", "integrator"]))
@click.option("--queue", "queues", multiple=True, type=click.Choice([queue.value for queue in Queue]))
def add_user(name: str, shown_as: str, role: str, queues: tuple[str, ...]) -> None:
    """Add somebody, or somebody disabled anew. The password is asked for, or read from REFERRAL_USER_PASSWORD."""
    from referral_service.access.people import Entitled, add

    with plainly():
        settings = from_environment(serves=False)
        password = settings.user_password or click.prompt("Password", hide_input=True, confirmation_prompt=True)
        entitled = Entitled(shown_as, Role(role), frozenset(map(Queue, queues)))
        with the_store(settings) as store, store.writing() as connection:
            add(connection, name, entitled, password, datetime.now(UTC))
    click.echo(f"{name} can sign in.")


@user.command("list")
def list_users() -> None:
    """Everybody who can sign in, or once could."""
    from referral_service.access.people import lines

    with plainly(), the_store(from_environment(serves=False)) as store, store.reading() as connection:
        show(lines(connection, datetime.now(UTC)))


@user.command("disable")
@click.argument("name")
def disable_user(name: str) -> None:
    """Sign somebody out everywhere and let them in no more; by user name, or by id."""
    from referral_service.access.people import disable

    with plainly(), the_store(from_environment(serves=False)) as store, store.writing() as connection:
        disable(connection, name, datetime.now(UTC))
    click.echo(f"{name} can no longer sign in.")


@main.group()
def db() -> None:
    """The database."""


@db.command()
def upgrade() -> None:
    """Bring the database up to date."""
    from referral_service.app import prepare

    with plainly():
        prepare(from_environment(serves=False))


@db.command()
def check() -> None:
    """Exit with 1 when the database is not up to date, or would not keep what it acknowledges."""
    from referral_service.store import durability, migrations
    from referral_service.store.engine import open_store

    with plainly():
        store = open_store(from_environment(serves=False).database_url)
        remarks = durability.check(store)
        migrations.check(store)
    show(iter(remarks))
    click.echo("The database is up to date.")


@main.command("export")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
def export_site(file: Path) -> None:
    """Write everything that the database holds to a new FILE, or to - as standard output, as of one moment.

    It is all of the patients' data in the clear: keep it as you keep the database. Only its owner may read the FILE.
    The keys beside an SQLite file are not in it.
    """
    from referral_service.store.exporting import export, new_file

    with plainly(), the_store(from_environment(serves=False)) as store, new_file(file) as out:
        counts = export(store, version("referral-service"), datetime.now(UTC), out.write)
    click.echo(f"{sum(counts.values())} rows of {len(counts)} tables are exported.", err=True)


@main.command("import")
@click.argument("file", type=click.File("rb"))
def import_site(file: BinaryIO) -> None:
    """Read what was exported from FILE, or from - as standard input, into an empty database: all of it, or nothing.

    Stop the service that it was exported from before you start the one that it was imported into.
    """
    from referral_service.store.importing import import_all

    with plainly(), the_store(from_environment(serves=False)) as store:
        counts = import_all(store, file)
    click.echo(f"{sum(counts.values())} rows of {len(counts)} tables are imported.")


@main.group()
def audit() -> None:
    """The audit trail."""


@audit.command()
@click.option("--seal", metavar="BATCH:HASH", help="A seal as it was noted elsewhere, as in the log.")
def verify(seal: str | None) -> None:
    """Check every event against the chain of seals; exit with 1 at the first that is not as it was sealed."""
    from referral_service.sealing import verify as check_trail

    noted = re.fullmatch(r"([1-9][0-9]{0,8}):([0-9a-f]{64})", seal) if seal else None
    if seal and noted is None:
        raise click.BadParameter("it is a number, a colon and 64 hexadecimal digits", param_hint="--seal")
    with plainly(), the_store(from_environment(serves=False)) as store:
        verdict = check_trail(store, (int(noted[1]), noted[2]) if noted else None)
    if batch := verdict.last:
        click.echo(f"{verdict.sealed} events sealed until {verdict.sealed_at}, seal {batch['batch']}:{batch['hash']}.")
    else:
        click.echo("No event is sealed yet.")
    if verdict.removed:
        click.echo(f"The first {verdict.removed} of them were removed, as the policy has it.")
    click.echo(f"{verdict.tail} not sealed yet" + (f", since {verdict.tail_since}." if verdict.tail_since else "."))
    if verdict.fault:
        raise click.ClickException(verdict.fault)
    click.echo("The trail is as it was sealed.")


if __name__ == "__main__":
    sys.exit(main())
