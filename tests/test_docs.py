"""docs/systems.md is true: its steps, run as they stand, end with a referral in the right queue."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest

from tests.serving import Server

TEXT = (Path(__file__).parent.parent / "docs" / "systems.md").read_text("utf-8")
STEPS = re.findall(r"<!-- step -->\n```sh\n(.*?)\n```", TEXT, re.DOTALL)
BETWEEN = "-----8<-----"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(f"sqlite:///{tmp_path / 'referrals.db'}", tmp_path, {"REFERRAL_AUTH": "smart"})
    running.start()
    yield running
    running.stop()


@pytest.mark.skipif(which("curl") is None, reason="the steps use curl, which is not on this machine")
def test_the_steps_lead_from_a_key_to_a_referral_in_its_queue(server: Server, tmp_path: Path) -> None:
    script = f"\necho '{BETWEEN}'\n".join(STEPS).replace("http://127.0.0.1:8080", server.base)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "REFERRAL_DATABASE_URL": server.database_url,
    }
    ran = subprocess.run(
        ["bash", "-eu", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    made, registered, discovery, token, sent, found = ran.stdout.split(f"{BETWEEN}\n")
    assert (made, registered, token) == ("", "clinic-a is registered.\n", "")
    assert json.loads(discovery)["token_endpoint"] == f"{server.base}/auth/token"
    given = json.loads((tmp_path / "token.json").read_text("utf-8"))
    assert given | {"access_token": "…"} == json.loads(re.findall(r"```json\n(.*?)\n```", TEXT)[0])
    [task] = json.loads(found)["entry"]
    assert task["resource"]["focus"]["reference"] == f"ServiceRequest/{json.loads(sent)['id']}"
    assert task["resource"]["owner"]["reference"] == "HealthcareService/adult-movement-disorders"
