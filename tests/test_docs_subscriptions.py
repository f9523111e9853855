"""docs/subscriptions.md is true: its steps, run as they stand, end with a receiver that has been told."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest

from tests.delivery.world import status_of
from tests.receivers import free_port
from tests.serving import Server
from tests.test_docs import BETWEEN

TEXT = (Path(__file__).parent.parent / "docs" / "subscriptions.md").read_text("utf-8")
STEPS = re.findall(r"<!-- step -->\n```sh\n(.*?)\n```", TEXT, re.DOTALL)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(tmp_path: Path, port: int) -> Iterator[Server]:
    listed = {"REFERRAL_OUTBOUND": f"http://127.0.0.1:{port}"}
    running = Server(f"sqlite:///{tmp_path / 'referrals.db'}", tmp_path, listed)
    running.start()
    yield running
    running.stop()


@pytest.mark.skipif(which("curl") is None, reason="the steps use curl, which is not on this machine")
def test_the_steps_lead_from_a_subscription_to_what_was_told(server: Server, port: int, tmp_path: Path) -> None:
    script = f"\necho '{BETWEEN}'\n".join(STEPS).replace("http://127.0.0.1:8080", server.base)
    script = "trap 'kill $(jobs -p)' EXIT\n" + script.replace("9000", str(port))
    ran = subprocess.run(
        ["bash", "-eu", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    *_, told, asked, polled = ran.stdout.split(f"{BETWEEN}\n")
    event = status_of(json.loads(told))
    (task,) = (one["resource"] for one in json.loads(polled)["entry"])
    assert event["type"] == "event-notification"
    assert event["events"]["1"]["focus"] == f"{server.base}/fhir/Task/{task['id']}"
    status, events = (json.loads(one) for one in asked.replace("}{", "}\n{").splitlines())
    assert status["entry"][0]["resource"]["resourceType"] == "Parameters"
    assert [entry["resource"]["id"] for entry in events["entry"][1:]] == [task["id"]]
