"""Published messages that nobody here wrote: each comes through the door, and is taken or refused with reasons.

The folder is named by REFERRAL_TEST_CORPUS; nothing of it is part of the project.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from referral_service.fhir.conformance import check
from referral_service.fhir.messages import events
from referral_service.intake import Site
from tests.shapes import Caller, all_rules, rules

FOLDER = os.environ.get("REFERRAL_TEST_CORPUS")
pytestmark = [
    pytest.mark.skipif(not FOLDER, reason="REFERRAL_TEST_CORPUS names no folder of published resources"),
    pytest.mark.parametrize("store", ["sqlite"], indirect=True),
]


def messages() -> list[tuple[str, dict[str, Any]]]:
    found = []
    for file in sorted(Path(FOLDER or ".").rglob("*.json")):
        try:
            read = json.loads(file.read_text("utf-8-sig"))
        except ValueError:  # some are published broken, and are no messages
            continue
        if isinstance(read, dict) and read.get("type") == "message":
            found.append((file.name, read))
    return found


def _event(sent: dict[str, Any]) -> str:
    coding = sent["entry"][0]["resource"].get("eventCoding", {})
    return f"{coding.get('system')}#{coding.get('code')}"


def test_every_published_message_is_taken_or_refused_with_reasons(
    app_client: FlaskClient, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    caller, told = Caller(app_client, site), []
    for name, sent in messages():
        answer = caller.post("$process-message", sent)
        bundle = json.loads(answer.data)
        assert [issue for issue in check(bundle) if issue.is_error] == [], name
        header, *others = [one["resource"] for one in bundle["entry"]]
        outcome = next((one for one in others if one["resourceType"] == "OperationOutcome"), {"issue": []})
        faults = [rule for rule, _ in rules(outcome)]
        is_taken = answer.status_code == 200
        assert (header["response"]["code"], bool(faults)) == (("ok", False) if is_taken else ("fatal-error", True))
        is_read = not any(path.startswith(HEADER) for rule, path in rules(outcome) if rule not in NOT_FOLLOWED)
        assert ("event-not-supported" in faults) == (is_read and _event(sent) not in events()), name
        assert is_taken == any(one["resourceType"] == "ServiceRequest" for one in others)
        told.append((name, answer.status_code, faults or sorted(set(all_rules(outcome)) & REVIEWED)))
    assert told
    sums = caller.sums()
    assert sums["received"] == len(told) == sum(value for name, value in sums.items() if name != "received")
    with capsys.disabled():
        print("\npublished messages:", dict(Counter(status for _, status, _ in told)), *told, sep="\n  ")


HEADER = "Bundle.entry[0]"
NOT_FOLLOWED = {"event-not-supported", "message-is-response", "reason-not-supported", "focus-not-found"}
"""What is said of a header that can be read."""
REVIEWED = {"age-undetermined", "indication-undetermined", "red-flag", "not-dystonia"}
