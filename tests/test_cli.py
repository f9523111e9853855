"""The command line: what it prints and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from referral_service.cli import main
from referral_service.store.exporting import in_order

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
        ({"REFERRAL_AUTH": "off"}, "REFERRAL_AUTH is smart or none"),
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


def run(folder: Path, *words: str, typed: str | None = None, **environment: str) -> tuple[int, str]:
    where = {"REFERRAL_DATABASE_URL": f"sqlite:///{folder / 'service.db'}", **environment}
    answer = CliRunner().invoke(main, list(words), env=where, input=typed)
    return answer.exit_code, answer.output


def test_people_are_added_listed_and_disabled_and_no_password_is_an_argument(tmp_path: Path) -> None:
    assert run(tmp_path, "db", "upgrade")[0] == 0
    add = ("user", "add", "Ada", "--shown-as", "Ada Example", "--role", "coordinator")
    queue = ("--queue", "intake-review")
    assert run(tmp_path, *add, *queue, typed="too short\ntoo short\n") == (
        1,
        "Password: \nRepeat for confirmation: \nError: A password has 12 to 256 characters\n",
    )
    assert run(tmp_path, *add, typed="wind over the moor\n" * 2)[1].endswith(
        "given at least one queue, and nobody else is given any\n"
    )
    code, said = run(tmp_path, *add, *queue, typed="wind over the moor\n" * 2)
    assert (code, said.splitlines()[-1]) == (0, "Ada can sign in.")
    lead = ("user", "add", "lee", "--shown-as", "Lee Example", "--role", "lead")
    assert run(tmp_path, *lead, REFERRAL_USER_PASSWORD="wind over the moor") == (0, "lee can sign in.\n")
    assert run(tmp_path, "user", "disable", "ADA") == (0, "ADA can no longer sign in.\n")
    assert run(tmp_path, "user", "disable", "ada") == (
        1,
        "Error: There is nobody of this user name who could sign in\n",
    )
    assert run(tmp_path, "user", "list") == (
        0,
        "ada  Ada Example  coordinator  intake-review  disabled\nlee  Lee Example  lead  active\n",
    )
    options = {option for command in main.commands["user"].commands.values() for option in command.params}  # type: ignore[attr-defined]
    assert not [option.name for option in options if "password" in str(option.name)]


def test_a_site_goes_through_a_file_into_another_database(tmp_path: Path) -> None:
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
        assert run(tmp_path / folder, "db", "upgrade")[0] == 0
    lead = ("user", "add", "lee", "--shown-as", "Lee Example", "--role", "lead")
    assert run(tmp_path / "old", *lead, REFERRAL_USER_PASSWORD="wind over the moor")[0] == 0
    path = tmp_path / "site.ndjson"
    assert run(tmp_path / "old", "export", str(path)) == (0, f"1 rows of {len(in_order())} tables are exported.\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert run(tmp_path / "new", "import", str(path)) == (0, f"1 rows of {len(in_order())} tables are imported.\n")
    assert run(tmp_path / "new", "user", "list") == (0, "lee  Lee Example  lead  active\n")
    assert run(tmp_path / "new", "import", str(path)) == (
        1,
        "Error: the database is not empty: there are rows in person\n",
    )
