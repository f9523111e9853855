"""docs/fetching.md is true: its steps, run as they stand, let the service read a patient from an EHR."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import requests

from referral_service.ehr.answers import FILE_BYTES
from referral_service.ehr.reading import AT_ONCE, DOOR_SECONDS, FILES, LATER, TYPES
from referral_service.ehr.turnstile import FAILURES, REST_SECONDS
from referral_service.intake.texts import LONGEST
from referral_service.store.fetches import KEPT_ASKING
from tests.ehrs import CLIENT_ID, Ehr
from tests.receivers import status
from tests.serving import Server
from tests.shapes import CHILD_BORN, flags, patient, referral
from tests.systems import System, key_set, public, rsa_key

DOCS = Path(__file__).parent.parent / "docs"
TEXT, ATTACHMENTS = ((DOCS / name).read_text("utf-8") for name in ("fetching.md", "attachments.md"))
STEPS = re.findall(r"<!-- step -->\n```sh\n(.*?)\n```", TEXT, re.DOTALL)


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


@pytest.fixture
def printed(server: Server, ehr: Ehr, tmp_path: Path) -> list[str]:
    """What each step prints."""
    (tmp_path / "jwks.json").write_text(key_set(public(rsa_key("a"))), "utf-8")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "REFERRAL_DATABASE_URL": server.database_url,
        "REFERRAL_OUTBOUND": ehr.origin,
    }
    places = {
        "http://127.0.0.1:8080": server.base,
        "https://ehr.example/r4": ehr.base,
        "https://ehr.example/oauth/token": ehr.token_url,
        "--ehr-client-id referral-service": f"--ehr-client-id {CLIENT_ID}",
    }
    found = []
    for step in STEPS:
        for there, here in places.items():
            step = step.replace(there, here)
        ran = subprocess.run(
            ["bash", "-eu", "-c", step], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
        assert ran.returncode == 0, ran.stderr
        found.append(ran.stdout)
    return found


@pytest.mark.skipif(which("curl") is None, reason="the steps use curl, which is not on this machine")
def test_the_steps_lead_to_a_referral_that_is_routed_by_what_the_ehr_says_of_its_patient(
    server: Server, ehr: Ehr, printed: list[str]
) -> None:
    [ehr.own] = json.loads(printed[0])["keys"]
    assert printed[1] == "clinic-a is registered.\n"
    ehr.holds(patient(CHILD_BORN, id="77"))
    system = System("clinic-a", audience=f"{server.base}/auth/token")
    form = system.form("system/ServiceRequest.crs system/Task.rs system/Patient.r")
    token = requests.post(f"{server.base}/auth/token", data=form, timeout=10).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    sent: Any = referral("A-1", subject={"reference": "Patient/77"})
    answer = server.post("/fhir/ServiceRequest", sent, **bearer)
    owner = _owner_once_decided(server, answer.json()["id"], bearer)
    assert (answer.status_code, owner, ehr.refusals) == (201, "HealthcareService/pediatric-neuromotor", [])
    ehr.records["Patient/78"] = ehr.hang
    late = server.post("/fhir/ServiceRequest", referral("A-2", subject={"reference": "Patient/78"}), **bearer)
    assert (late.status_code, flags(late.json())) == (201, ["age-undetermined"])
    ehr.released.set()
    ehr.holds(patient(CHILD_BORN, id="78"))
    owner = _owner_once_decided(server, late.json()["id"], bearer)
    assert owner == "HealthcareService/pediatric-neuromotor"
    ehr.records["Binary/f1"] = status(200, b"Cervical dystonia", **{"Content-Type": "text/plain"})
    letter = {"attachment": {"contentType": "text/plain", "url": "Binary/f1"}}
    held = {"resourceType": "DocumentReference", "id": "d", "status": "current", "content": [letter]}
    told = referral("A-3", "", subject={"reference": "Patient/77"}, contained=[held])
    answer = server.post("/fhir/ServiceRequest", told | {"supportingInfo": [{"reference": "#d"}]}, **bearer)
    assert flags(answer.json()) == ["indication-undetermined"]
    owner = _owner_once_decided(server, answer.json()["id"], bearer)
    assert owner == "HealthcareService/pediatric-neuromotor"


def _owner_once_decided(server: Server, identity: str, bearer: dict[str, str]) -> str:
    """Asked until the worker of the server has fetched the patient; it looks every second."""
    for _ in range(60):
        found = server.get(f"/fhir/Task?focus=ServiceRequest/{identity}", **bearer).json()["entry"][0]["resource"]
        if found["owner"]["reference"] != "HealthcareService/intake-review":
            break
        time.sleep(0.25)
    return str(found["owner"]["reference"])


def test_the_numbers_that_it_names_are_the_ones_in_use() -> None:
    assert (DOOR_SECONDS, AT_ONCE, FAILURES, REST_SECONDS) == (1.0, 2, 3, 30.0)
    assert (LATER.connect, LATER.read, LATER.whole, LATER.max_bytes) == (3.0, 10.0, 30.0, 1024 * 1024)
    assert KEPT_ASKING.total_seconds() == 72 * 3600
    limits = f"{FILES.connect:.0f} s to connect, {FILES.read:.0f} s between two pieces, {FILES.whole:.0f} s in all"
    assert limits in ATTACHMENTS
    assert (FILE_BYTES, LONGEST) == (20 * 1024 * 1024, 1024 * 1024)
    assert [kind for kind in {*TYPES, "Binary"} if f"`{kind}`" not in TEXT and f"system/{kind}.r" not in TEXT] == []
