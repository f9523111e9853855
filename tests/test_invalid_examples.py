"""Each invalid example stands beside the whole OperationOutcome that it is answered with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

EXAMPLES = Path(__file__).parent.parent / "profiles" / "examples"
INVALID = [row for row in json.loads((EXAMPLES / "expected.json").read_text("utf-8")) if "status" in row]
DOORS = {
    "ServiceRequest": ("/fhir/ServiceRequest", None),
    "Bundle": ("/fhir", None),
    "message": ("/fhir/Bundle/$validate", 200),
}


def outcome_of(row: dict[str, Any]) -> Path:
    return (EXAMPLES / row["file"]).with_suffix(".outcome.json")


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("row", INVALID, ids=[row["file"] for row in INVALID])
def test_an_invalid_example_is_answered_with_its_outcome(app_client: FlaskClient, row: dict[str, Any]) -> None:
    address, status = DOORS[row["door"]]
    body = (EXAMPLES / row["file"]).read_bytes()
    answer = app_client.post(address, data=body, content_type="application/fhir+json")
    assert answer.status_code == (status or row["status"])
    assert json.loads(answer.data) == json.loads(outcome_of(row).read_text("utf-8"))


def test_every_outcome_belongs_to_an_example() -> None:
    assert set((EXAMPLES / "invalid").glob("*.outcome.json")) == {outcome_of(row) for row in INVALID}
