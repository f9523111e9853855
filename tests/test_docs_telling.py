"""docs/telling.md is true: a client registered as it says is told at its own server, which is logged in to."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from referral_service.access.registering import TELLING
from referral_service.delivery import direct
from referral_service.delivery.posting import ANSWER_BYTES
from tests.ehrs import CLIENT_ID, Ehr
from tests.serving import Server
from tests.shapes import referral
from tests.systems import System, key_set, public, rsa_key

TEXT = (Path(__file__).parent.parent / "docs" / "telling.md").read_text("utf-8")
[COMMAND] = re.findall(r"```sh\n(.*?)\n```", TEXT, re.DOTALL)


@pytest.fixture
def ehr() -> Iterator[Ehr]:
    with Ehr().open() as opened:
        yield opened


@pytest.fixture
def server(tmp_path: Path, ehr: Ehr) -> Iterator[Server]:
    settings = {"REFERRAL_AUTH": "smart", "REFERRAL_OUTBOUND": ehr.origin}
    running = Server(f"sqlite:///{tmp_path / 'referrals.db'}", tmp_path, settings)
    running.start()
    yield running
    running.stop()


@pytest.mark.parametrize("way", TELLING)
def test_a_client_registered_as_it_says_is_told_at_its_own_server(
    server: Server, ehr: Ehr, tmp_path: Path, way: str
) -> None:
    [ehr.own] = server.get("/.well-known/jwks.json").json()["keys"]
    _register(server, ehr, tmp_path, way)
    form = System("clinic-a", audience=f"{server.base}/auth/token").form("system/ServiceRequest.crs system/Task.rs")
    token = requests.post(f"{server.base}/auth/token", data=form, timeout=10).json()["access_token"]
    answer = server.post("/fhir/ServiceRequest", referral("A-1"), Authorization=f"Bearer {token}")
    assert answer.status_code == 201
    place, told = _first_told(ehr)
    task = told if way == "task" else next(one["resource"] for one in told["entry"] if "Task" in str(one["fullUrl"]))
    assert (place, ehr.refusals) == (f"Task/{task['id']}" if way == "task" else "$process-message", [])
    assert task["focus"]["reference"].endswith(f"ServiceRequest/{answer.json()['id']}")
    (scope,) = ehr.scopes
    assert f"`{scope}`" in TEXT


def _register(server: Server, ehr: Ehr, folder: Path, way: str) -> None:
    """By the command as it stands there, but for the addresses."""
    (folder / "jwks.json").write_text(key_set(public(rsa_key("a"))), "utf-8")
    places = {
        "https://ehr.example/fhir": ehr.base,
        "https://ehr.example/oauth/token": ehr.token_url,
        "--ehr-client-id referral-service": f"--ehr-client-id {CLIENT_ID}",
        "--tell task": f"--tell {way}",
    }
    command = COMMAND
    for there, here in places.items():
        assert there in command
        command = command.replace(there, here)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "REFERRAL_DATABASE_URL": server.database_url,
        "REFERRAL_OUTBOUND": ehr.origin,
    }
    ran = subprocess.run(["bash", "-eu", "-c", command], cwd=folder, env=environment, capture_output=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (0, b"clinic-a is registered.\n"), ran.stderr


def _first_told(ehr: Ehr) -> tuple[str, dict[str, Any]]:
    """Asked until the worker of the server has told it; it looks every second."""
    for _ in range(80):
        if ehr.sent:
            break
        time.sleep(0.25)
    return ehr.sent[0]


def test_the_ways_scopes_and_numbers_that_it_names_are_the_ones_in_use() -> None:
    assert [way for way in TELLING if f"| `{way}` | `P" not in TEXT] == []
    assert [
        scope for scope in (direct.TO_PUT[0], direct.TO_PUT[1], direct.TO_PROCESS[0]) if f"`{scope}`" not in TEXT
    ] == []
    assert direct.TO_PROCESS[1] == direct.TO_PROCESS[0].replace(".c", ".write").replace(".u", ".write")
    assert (direct.SECONDS, ANSWER_BYTES) == (20.0, 4 * 1024 * 1024)
