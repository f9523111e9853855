"""Published FHIR clients of Node.js go through the whole dance: discovery, a token, a referral, its Task."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from tests.serving import Server, registered
from tests.shapes import referral
from tests.systems import ec_key, rsa_key

OLDEST_NODE = 20
OURS = Path(__file__).with_name("npm")
AWAY = re.compile(r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|E404)\b")
"""What npm says when no registry answers, or one that does not have a package."""


@pytest.fixture(scope="session")
def node() -> str:
    found = shutil.which("node")
    if found is None or shutil.which("npm") is None:
        pytest.skip("no node or no npm on the PATH")
    said = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    if int(said.lstrip("v").partition(".")[0]) < OLDEST_NODE:
        pytest.skip(f"node is {said}; the clients need {OLDEST_NODE} or newer")
    return found


@pytest.fixture(scope="session")
def clients(node: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts beside the packages that they need, installed as they are locked."""
    assert node
    folder = tmp_path_factory.mktemp("npm") / "clients"
    shutil.copytree(OURS, folder, ignore=shutil.ignore_patterns("node_modules"))
    ran = subprocess.run(
        ["npm", "ci", "--prefer-offline"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    away = AWAY.search(ran.stderr)
    if ran.returncode != 0 and away:
        pytest.skip(f"no registry of npm packages gave the locked ones: {away[1]}")
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.mark.parametrize(
    ("script", "key", "algorithm"),
    [("fhir-kit-client", rsa_key("a"), "RS384"), ("medplum", ec_key("b"), "ES384")],
    ids=["fhir-kit-client", "@medplum/core"],
)
def test_a_client_gets_a_token_creates_a_referral_finds_its_task_and_reads_it(
    node: str, clients: Path, server: Server, tmp_path: Path, script: str, key: RSAKey | ECKey, algorithm: str
) -> None:
    system = registered(server, tmp_path, key)
    told = {
        "base": server.base,
        "client": system.id,
        "key": key.as_dict(private=True, alg=algorithm),
        "scope": "system/ServiceRequest.cr system/Task.rs",
        "referral": {"resourceType": "ServiceRequest", **referral()},
    }
    done = _run(node, clients / f"{script}.mjs", told)
    (task,) = done["found"]
    assert done["task"] == task
    assert (task["focus"]["reference"], task["status"], task["owner"]["reference"]) == (
        f"ServiceRequest/{done['created']['id']}",
        "requested",
        "HealthcareService/adult-movement-disorders",
    )


def _run(node: str, script: Path, told: dict[str, Any]) -> dict[str, Any]:
    ran = subprocess.run([node, script], input=json.dumps(told), capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    done: dict[str, Any] = json.loads(ran.stdout)
    return done
