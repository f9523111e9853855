"""The shipped examples are decided as `profiles/examples/expected.json` says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import pytest

from referral_service.intake import Incoming, Site, preview
from referral_service.intake.reading import read

EXAMPLES = Path(__file__).parent.parent / "profiles" / "examples"
ROWS = json.loads((EXAMPLES / "expected.json").read_text("utf-8"))
VALID = [row for row in ROWS if "decisions" in row]
INVALID = [row for row in ROWS if "status" in row]


def test_every_example_has_its_row() -> None:
    paths = [path for path in EXAMPLES.glob("*/*.json") if not path.name.endswith(".outcome.json")]
    files = {str(path.relative_to(EXAMPLES)) for path in paths}
    assert files == {row["file"] for row in ROWS}


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("row", VALID, ids=[row["file"] for row in VALID])
def test_an_example_is_decided_as_expected(site: Site, row: dict[str, Any]) -> None:
    day = datetime.fromisoformat(row["received_on"]).date()
    at = datetime.combine(day, time(12), tzinfo=UTC)
    decisions = preview(site, Incoming("local", "preview", "r", (EXAMPLES / row["file"]).read_bytes(), at))
    found = [
        {
            "disposition": one.disposition.value,
            "queue": one.queue.value if one.queue else None,
            "icd10cm": one.code.cm.code if one.code else None,
            "icd10": one.code.who.code if one.code else None,
            "certainty": one.certainty.value if one.certainty else None,
            "flags": sorted(flag.value for flag in one.flags),
        }
        for one in decisions
    ]
    assert found == row["decisions"]


@pytest.mark.parametrize("row", VALID, ids=[row["file"] for row in VALID])
def test_a_valid_example_has_no_fault(row: dict[str, Any]) -> None:
    assert read((EXAMPLES / row["file"]).read_bytes()).faults == ()


@pytest.mark.parametrize("row", [row for row in INVALID if row["status"] == 400], ids=lambda row: row["file"])
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_an_invalid_example_is_refused(site: Site, row: dict[str, Any]) -> None:
    at = datetime(2026, 3, 16, 12, tzinfo=UTC)
    decisions = preview(site, Incoming("local", "preview", "r", (EXAMPLES / row["file"]).read_bytes(), at))
    assert [one.disposition.value for one in decisions] == ["refused"]
    assert any(issue.is_error for issue in decisions[0].issues)
