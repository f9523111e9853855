"""A service on loopback with invented referrals in every queue, for a first look."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from referral_service.access.people import ROLES, Entitled, add, disable
from referral_service.app import prepare, remark_on_alerts, site_of
from referral_service.fhir.terminology import profiles_folder
from referral_service.intake import Incoming, Site, receive
from referral_service.policy import load_policy
from referral_service.processes import check_port
from referral_service.referral import Queue
from referral_service.server import run
from referral_service.settings import from_environment
from referral_service.store.engine import Store, open_store
from referral_service.store.ledger import sums
from referral_service.store.people import everybody
from referral_service.worklist import Role

APART = timedelta(hours=4, minutes=40)


def run_demo(port: int, directory: Path | None, *, asks: bool) -> None:
    """Seeds an empty database, prints where to look, and serves until interrupted.

    With ``asks`` nobody comes in without signing in, as one of the sample users whose passwords are printed.
    """
    with ExitStack() as stack:
        folder = directory or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="referral-demo-")))
        folder.mkdir(parents=True, exist_ok=True)
        os.environ |= {
            "REFERRAL_AUTH": "smart" if asks else "none",
            "REFERRAL_SANDBOX": "1",
            "REFERRAL_HOST": "127.0.0.1",
            "REFERRAL_PORT": str(port),
            "REFERRAL_DATABASE_URL": f"sqlite:///{folder / 'referral-service.db'}",
        }
        os.environ.setdefault("REFERRAL_LOG_FORMAT", "line")
        settings = from_environment()
        check_port(settings)
        remark = remark_on_alerts(settings)
        prepare(settings)
        store = open_store(settings.database_url)
        site = site_of(store, load_policy(settings.policy), settings.public_url)
        with store.reading() as connection:
            is_empty = sums(connection)["received"] == 0
        if is_empty:
            seed(site, datetime.now(UTC))
        with store.reading() as connection:
            counted = sums(connection)
        signing_in = _sample_users(store, datetime.now(UTC)) if asks else []
        store.close()
        click.echo(
            f"{counted['received']} referrals received: " + ", ".join(f"{n} {s}" for s, n in list(counted.items())[1:])
        )
        click.echo(f"Worklist   {settings.public_url}/")
        click.echo(f"FHIR base  {settings.public_url}/fhir")
        for line in signing_in:
            click.echo(line)
        if remark:
            click.echo(remark)
        click.echo("Stop with Ctrl-C.")
        run(settings)


def _sample_users(store: Store, at: datetime) -> list[str]:
    """Adds one user a role, with new passwords each time; what is to be typed to sign in as each."""
    lines = []
    with store.writing() as connection:
        there = {row["user_name"] for row in everybody(connection) if row["disabled_at"] is None}
        for role in Role:
            if role not in ROLES:
                continue
            user_name, password = role.value, secrets.token_urlsafe(12)
            if user_name in there:
                disable(connection, user_name, at)
            queues = frozenset({Queue.ADULT, Queue.REVIEW}) if role is Role.COORDINATOR else frozenset()
            add(connection, user_name, Entitled(f"Sample {role.value}", role, queues), password, at)
            lines.append(f"Sign in as  {user_name:<12} {password}")
    return lines


def seed(site: Site, at: datetime) -> None:
    """Sends the shipped examples through the same doors that an EHR would use, as if over the past days."""
    folder = profiles_folder() / "examples"
    rows = [row for row in json.loads((folder / "expected.json").read_text("utf-8")) if _is_for_demo(row)]
    for place, row in enumerate(rows):
        arrived = at - APART * (len(rows) - place)
        body = folder.joinpath(*row["file"].split("/")).read_bytes()
        receive(site, Incoming("local", "demo", f"demo-{row['file']}", body, arrived), row["door"])


def _is_for_demo(row: dict[str, Any]) -> bool:
    """Messages have a door of their own; what lies on the boundary does so on one day only."""
    return row["door"] != "message" and "boundary" not in row["file"]
