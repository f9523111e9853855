"""Published FHIR clients of Node.js go through the whole dance: a token, a Subscription, referrals, what is heard."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from tests.clients.story import SCOPE, Place, hears_back
from tests.shapes import Resource
from tests.systems import System, ec_key, rsa_key

OLDEST_NODE = 20
SECONDS = 120
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


class OfNode:
    """A client in a process of its own, which is asked a line at a time."""

    def __init__(self, node: str, script: Path, base: str, system: System) -> None:
        self.errors = script.with_suffix(".log")
        with self.errors.open("wb") as log:
            self.process = subprocess.Popen(
                [node, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.patience = Timer(SECONDS, self.process.kill)
        self.patience.start()
        key = system.key.as_dict(private=True, alg=system.algorithm)
        self._say({"base": base, "client": system.id, "key": key, "scope": SCOPE})

    def create(self, resource: Resource) -> Resource:
        return dict(self._asked("create", resource))

    def read(self, kind: str, identity: str) -> Resource:
        return dict(self._asked("read", kind, identity))

    def find(self, kind: str, **parameters: str) -> list[Resource]:
        return list(self._asked("find", kind, parameters))

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.patience.cancel()

    def _asked(self, *words: Any) -> Any:
        self._say(words)
        assert self.process.stdout is not None
        answer = self.process.stdout.readline()
        assert answer, self.errors.read_text("utf-8")
        return json.loads(answer)

    def _say(self, what: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps(what)}\n")
        self.process.stdin.flush()


@pytest.mark.parametrize(
    ("script", "key"),
    [("fhir-kit-client", rsa_key("a")), ("medplum", ec_key("b"))],
    ids=["fhir-kit-client", "@medplum/core"],
)
def test_a_client_subscribes_sends_referrals_and_hears_what_becomes_of_each(
    node: str, clients: Path, place: Place, script: str, key: RSAKey | ECKey
) -> None:
    client = OfNode(node, clients / f"{script}.mjs", place.server.base, place.ehr(key))
    try:
        hears_back(client, place)
    finally:
        client.end()
