"""The pages for operations and clinical safety are true: commands, variables, alerts, hazards and their tests."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from sqlalchemy import select
from sqlalchemy import text as sql

from referral_service.cli import main
from referral_service.coding.tables import table
from referral_service.intake import Incoming, Site, receive
from referral_service.recording import MOST_WAITING
from referral_service.server import SECONDS_TO_FINISH
from referral_service.settings import KNOWN, PREFIX
from referral_service.store import tables
from referral_service.store.deliveries import GIVE_UP
from referral_service.store.engine import Store
from referral_service.store.leases import LEASE
from tests.conftest import RECEIVED_AT
from tests.containers import COMPOSE, ROOT, compose
from tests.shapes import referral
from tests.test_docs import DOCS

OPERATIONS = (DOCS / "operations.md").read_text("utf-8")
SAFETY = (DOCS / "clinical-safety.md").read_text("utf-8")
VARIABLES = set(re.findall(r"\$\{(\w+)", COMPOSE)) | set(re.findall(r"^  (\w+):$", COMPOSE, re.MULTILINE))
HAZARDS = [
    [cell.strip() for cell in line.strip("|").split(" | ")] for line in re.findall(r"^\| (H\d\d \|.*)$", SAFETY, re.M)
]
TIMES = " \N{MULTIPLICATION SIGN} "
SEVERITIES = ["minor", "significant", "considerable", "major", "catastrophic"]


def block(marker: str) -> str:
    found = re.search(rf"<!-- {marker} -->\n```\w*\n(.*?)\n```", OPERATIONS, re.DOTALL)
    assert found is not None
    return found[1]


def test_every_variable_that_the_page_names_is_one_that_the_compose_file_reads() -> None:
    shown = {line.partition("=")[0] for line in block("env").splitlines()}
    listed = {
        name
        for row in re.findall(r"^\| ((?:`[A-Z]+`(?:, )?)+) \|", OPERATIONS, re.MULTILINE)
        for name in re.findall(r"\w+", row)
    }
    assert (shown | listed) - VARIABLES == set()
    assert {"LISTEN", "SITE", "CERTIFICATE", "REPLICAS", "WORKERS", "SECRETS"} <= listed
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE))
    rows = re.findall(r"^\| `([A-Z]+)` \| `?([^`|]+)`? \|", OPERATIONS, re.MULTILINE)
    told = {name: value.strip() for name, value in rows if name != "POLICY"}
    assert told == {name: defaults[name] for name in told}


def test_an_override_as_it_is_shown_keeps_to_the_specification_and_names_settings_that_there_are(
    tmp_path: Path,
) -> None:
    given = yaml.safe_load(block("override"))
    file = tmp_path / "docker-compose.override.yml"
    file.write_text(block("override"), "utf-8")
    checker = str(Path(sys.executable).parent / "check-jsonschema")
    command = [checker, "--builtin-schema", "vendor.compose-spec", str(file)]
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert set(given["services"]) <= set(compose()["services"])
    names = {name for one in given["services"].values() for name in one["environment"]}
    assert {name.removeprefix(PREFIX).removesuffix("_FILE") for name in names} <= KNOWN


def _known(words: list[str]) -> bool:
    """Whether the words after ``referral-service`` lead to a command, and the options are some of it."""
    command: click.Command | None = main
    while isinstance(command, click.Group):
        command = command.commands.get(words.pop(0)) if words else None
    options = {name for option in command.params for name in option.opts} if command else set()
    return command is not None and {word for word in words if word.startswith("--")} <= options


def test_every_command_line_of_the_page_is_one_of_the_service_and_every_container_one_of_the_compose_file() -> None:
    scripts = "\n".join(re.findall(r"```sh\n(.*?)\n```", OPERATIONS, re.DOTALL)).replace("\\\n", " ")
    lines = re.findall(r"referral-service ([a-z]+ .*|[a-z]+)$", scripts, re.MULTILINE)
    lines += re.findall(r"`referral-service ([a-z ]+)`", OPERATIONS)
    assert len(lines) > 5
    assert [line for line in lines if not _known(line.split())] == []
    services = re.findall(r"docker compose (?:exec|run) (?:-\S+ |--\S+ )*(\w+)", scripts)
    assert set(services) - set(compose()["services"]) == set()


def test_every_alert_has_its_runbook_and_every_runbook_is_reached() -> None:
    written = yaml.safe_load((DOCS / "observability" / "alerts.yml").read_text("utf-8"))
    rules = [rule for group in written["groups"] for rule in group["rules"] if "alert" in rule]
    anchors = {rule["annotations"]["runbook_url"].removeprefix("docs/operations.md#") for rule in rules}
    runbooks = OPERATIONS.split("## When something happens")[1]
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^### (.*)$", runbooks, re.MULTILINE)}
    assert anchors - headings == set()
    assert headings - anchors == {
        "disk-full",
        "worker-dead",
        "an-ehr-that-hangs",
        "a-breach-is-suspected",
        "a-wrong-routing-was-found",
    }


def test_the_statement_that_finds_referrals_without_a_task_finds_them(site: Site, store: Store) -> None:
    for number in ("kept", "lost"):
        body = json.dumps(referral(number)).encode()
        receive(site, Incoming("ehr-a", f"request-{number}", f"request-{number}", body, RECEIVED_AT), "ServiceRequest")
    with store.writing() as connection:
        lost = connection.execute(select(tables.task.c.referral_id)).scalars().first()
        assert connection.execute(sql(block("sql").rstrip(";"))).all() == []
        for table_of_moves in (tables.correction, tables.status_change):
            connection.execute(table_of_moves.delete())
        connection.execute(tables.task.delete().where(tables.task.c.referral_id == lost))
        assert [tuple(row) for row in connection.execute(sql(block("sql").rstrip(";")))] == [(lost, "ehr-a")]


def test_the_numbers_of_the_runbooks_are_those_of_the_service() -> None:
    assert f"tried for {int(GIVE_UP.total_seconds() / 3600)} hours" in OPERATIONS
    assert f"another within {int(LEASE.total_seconds())} seconds" in OPERATIONS
    assert f"After {MOST_WAITING:,} events" in OPERATIONS
    assert SECONDS_TO_FINISH < 30


def test_hazards_are_numbered_without_a_gap_and_their_risk_is_that_of_the_matrix() -> None:
    assert [row[0] for row in HAZARDS] == [f"H{number:02}" for number in range(1, len(HAZARDS) + 1)]
    matrix = {
        row[0]: dict(zip(SEVERITIES, row[1:], strict=True))
        for row in re.findall(
            r"^\| ((?:very )?(?:low|medium|high)) \| (\d) \| (\d) \| (\d) \| (\d) \| (\d) \|$", SAFETY, re.M
        )
    }
    for _, _, _, _, initial, _, _, _, residual in HAZARDS:
        for told in (initial, residual):
            severity, likelihood, risk = re.split(rf"{TIMES}| = ", told)
            assert matrix[likelihood][severity] == risk
        assert initial.split(TIMES)[0] == residual.split(TIMES)[0]
        assert residual[-1] <= initial[-1]
    high = {row[0] for row in HAZARDS if int(row[8][-1]) > 2}
    assert high == {name for name in ("H06", "H13") if f"({name})" in SAFETY.split("stay at 3")[0]}


@pytest.mark.parametrize("hazard", HAZARDS, ids=lambda row: row[0])
def test_every_control_of_a_hazard_is_held_by_tests_that_there_are(hazard: list[str]) -> None:
    named = re.findall(r"`(test_\w+)`", hazard[6])
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert named != []
    assert set(named) - there == set()


def test_every_duty_of_the_site_belongs_to_hazards_that_there_are() -> None:
    duties = SAFETY.split("## What the site must do")[1].split("##")[0]
    assert set(re.findall(r"H\d\d", duties)) <= {row[0] for row in HAZARDS}


def test_the_page_says_that_no_clinician_has_signed_as_long_as_none_has() -> None:
    signed = {row["signed_by"] for row in (*table("red_flags"), *table("prompts"))}
    assert signed == {"awaiting a clinician's signature"}
    assert "**No clinician has yet agreed to any of this**" in SAFETY
