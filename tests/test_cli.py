"""The command line: what it prints and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from referral_service.cli import main

EXAMPLES = Path(__file__).parent.parent / "profiles" / "examples"
ROUTED = str(EXAMPLES / "valid" / "01-cervical-dystonia-contained-patient.json")
REFUSED = str(EXAMPLES / "invalid" / "05-truncated-json.json")


def test_preview_prints_one_object_a_referral_with_null_where_absent() -> None:
    answer = CliRunner().invoke(main, ["preview", "--json", ROUTED, REFUSED])
    assert answer.exit_code == 0
    assert [json.loads(line) for line in answer.output.splitlines()] == [
        {
            "file": ROUTED,
            "disposition": "routed",
            "queue": "adult-movement-disorders",
            "icd10cm": "G24.3",
            "icd10": "G24.3",
            "certainty": "confirmed",
            "flags": [],
        },
        {
            "file": REFUSED,
            "disposition": "refused",
            "queue": None,
            "icd10cm": None,
            "icd10": None,
            "certainty": None,
            "flags": [],
        },
    ]


def test_preview_prints_a_table_with_the_reasons() -> None:
    answer = CliRunner().invoke(main, ["preview", REFUSED])
    head, row = answer.output.splitlines()
    assert head.split() == ["file", "disposition", "queue", "icd10cm", "certainty", "flags", "why"]
    assert row.split()[1:] == ["refused", "-", "-", "-", "not-json", "at", "the", "text"]


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"REFERRAL_AUTH": "smart"}, "REFERRAL_AUTH=smart, the default, is not in this version"),
        ({"REFERRAL_AUTH": "none", "REFERRAL_PORT": "x"}, "REFERRAL_PORT is no port number"),
    ],
)
def test_a_wrong_setting_stops_with_words(environment: dict[str, str], words: str) -> None:
    answer = CliRunner().invoke(main, ["serve"], env=environment)
    assert answer.exit_code == 1
    assert answer.output.startswith(f"Error: {words}")


def test_a_database_is_brought_up_to_date_and_checked(tmp_path: Path) -> None:
    environment = {"REFERRAL_AUTH": "none", "REFERRAL_DATABASE_URL": f"sqlite:///{tmp_path / 'referrals.db'}"}
    runner = CliRunner(env=environment)
    before = runner.invoke(main, ["db", "check"])
    assert (before.exit_code, before.output) == (
        1,
        "Error: the database is at version none, this program needs 0002: run db upgrade\n",
    )
    assert runner.invoke(main, ["db", "upgrade"]).exit_code == 0
    assert runner.invoke(main, ["db", "check"]).output == "The database is up to date.\n"
