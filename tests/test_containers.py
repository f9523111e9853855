"""What docker-compose.yml starts of ours, started as it stands there, from what the Dockerfile installs."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from shutil import copytree, which
from typing import Any

import pytest

from tests.canaries import SCANNER
from tests.containers import (
    ROOT,
    compose,
    default_command,
    environment_of,
    healthcheck,
    image_environment,
    instructions,
)
from tests.ehrs import Ehr, resource
from tests.receivers import Handler, free_port

STOP_SECONDS = 30
SEEDED = """\
demo-1 201 adult-movement-disorders
demo-2 201 pediatric-neuromotor
demo-3 201 adult-movement-disorders
demo-4 201 intake-review
demo-5 201 pediatric-neuromotor
"""


class Keeping(Ehr):
    """An EHR that gives back what was put there."""

    def taking(self, request: BaseHTTPRequestHandler, body: bytes) -> Handler:
        self.records[request.path.removeprefix("/r4/fhir/")] = resource(json.loads(body))
        return super().taking(request, body)


def built(folder: Path) -> Path:
    """The first stage of the Dockerfile, in a folder instead of a container; where it has installed the service."""
    source, installed = folder / "src", folder / "referral"
    source.mkdir()
    for line in instructions("COPY"):
        if "--from" not in line:
            *names, place = line.split()
            for name in names:
                copied = source / (place if (ROOT / name).is_dir() else name)
                if (ROOT / name).is_dir():
                    copytree(ROOT / name, copied)
                else:
                    copied.write_bytes((ROOT / name).read_bytes())
    command = instructions("RUN")[0].replace("/opt/referral", str(installed))
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    ran = subprocess.run(["sh", "-euc", command], cwd=source, env={"PATH": path}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return installed


@dataclass
class Engine:
    """Starts a service of the compose file: its command, with the image's environment and its own. What an engine would
    mount or resolve by name is put at its place: secrets, the policy, database and EHR."""

    installed: Path
    folder: Path
    database_url: str
    ehr: Ehr
    port: int
    metrics_port: int

    def environment(self, name: str) -> dict[str, str]:
        whole = compose()
        given = image_environment() | environment_of(whole["services"][name], {"REFERRAL_OUTBOUND": self.ehr.origin})
        placed = {"/etc/referral/policy.toml": str(ROOT / whole["configs"]["policy"]["file"])}
        for secret, where in whole["secrets"].items():
            placed[f"/run/secrets/{secret}"] = str(self.folder / where["file"])
        here = {key: placed.get(value, value) for key, value in given.items()}
        if "REFERRAL_METRICS_PORT" in here:
            here["REFERRAL_METRICS_PORT"] = str(self.metrics_port)
        seeding = {"SEED_SERVICE": f"http://127.0.0.1:{self.port}", "SEED_EHR": self.ehr.base}
        path = {"PATH": f"{self.installed / 'bin'}:/usr/bin:/bin"}
        return here | path | {"REFERRAL_PORT": str(self.port), "REFERRAL_HOST": "127.0.0.1"} | seeding

    def command(self, name: str) -> list[str]:
        written: list[str] = compose()["services"][name].get("command", default_command())
        found = [str(ROOT / "docs" / "deployment" / "seed.py") if word == "/seed.py" else word for word in written]
        return [str(self.installed / "bin" / found[0]), *found[1:]]

    def once(self, name: str) -> str:
        """A service that ends by itself; what it prints."""
        return self.asked(name, *self.command(name))

    def asked(self, name: str, *words: str) -> str:
        where = {"cwd": self.folder / "data", "env": self.environment(name)}
        ran = subprocess.run(words, **where, capture_output=True, text=True, timeout=120)
        SCANNER.look_at(f"what {name} says", ran.stdout + ran.stderr)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def is_healthy(self, name: str, probe: list[str]) -> bool:
        command = [str(self.installed / "bin" / probe[0]), *probe[1:]]
        return subprocess.run(command, env=self.environment(name), capture_output=True).returncode == 0

    @contextmanager
    def running(self, name: str) -> Iterator[Path]:
        """A service that goes on until it is told to stop, as an engine tells it: SIGTERM to its one process."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as written:
            process = subprocess.Popen(
                self.command(name), cwd=self.folder / "data", env=self.environment(name), stdout=written, stderr=written
            )
            try:
                yield log
                assert process.poll() is None, log.read_text("utf-8")
                process.send_signal(signal.SIGTERM)
                assert process.wait(STOP_SECONDS) == 0, log.read_text("utf-8")
            finally:
                process.kill()
        SCANNER.look_at(f"log of {name}", log.read_text("utf-8"))


def eventually(holds: Any, words: str) -> None:
    for _ in range(240):
        if holds():
            return
        time.sleep(0.25)
    raise AssertionError(words)


@pytest.mark.skipif(which("openssl") is None, reason="the secrets are made by openssl, which is not on this machine")
def test_every_service_of_ours_comes_up_works_and_stops_in_time_as_it_is_written(
    postgres_url: str, tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    [secrets] = re.findall(r"<!-- secrets -->\n```sh\n(.*?)\n```", page, re.DOTALL)
    subprocess.run(["bash", "-euc", secrets], cwd=tmp_path, check=True, capture_output=True)
    assert {one.name for one in (tmp_path / ".secrets").iterdir()} == set(compose()["secrets"])
    (tmp_path / ".secrets" / "database_url").write_text(postgres_url, "utf-8")
    (tmp_path / "data").mkdir()
    with Keeping(log_in=False).open() as ehr:
        engine = Engine(built(tmp_path), tmp_path, postgres_url, ehr, free_port(), free_port())
        ehr.records["metadata"] = resource({"resourceType": "CapabilityStatement"})
        assert engine.once("migrate") == ""
        assert engine.once("migrate") == ""
        with engine.running("app") as log:
            eventually(lambda: engine.is_healthy("app", healthcheck()), log.read_text("utf-8"))
            with engine.running("worker") as log:
                probe = [word.replace("9090", str(engine.metrics_port)) for word in _own_healthcheck("worker")]
                eventually(lambda: engine.is_healthy("worker", probe), log.read_text("utf-8"))
                assert engine.once("seed").endswith(SEEDED)
                assert engine.once("seed").endswith(SEEDED.replace("201", "200"))
                eventually(lambda: _told_of(ehr) == 5, "the EHR is told of each referral")
        assert "The trail is as it was sealed." in engine.asked("app", engine.command("app")[0], "audit", "verify")
        _decides_a_file(engine)
    assert list((tmp_path / "data").iterdir()) == []


def _own_healthcheck(name: str) -> list[str]:
    test: list[str] = compose()["services"][name]["healthcheck"]["test"]
    assert test[0] == "CMD"
    return test[1:]


def _told_of(ehr: Ehr) -> int:
    return len({place for place, _ in ehr.sent if place.startswith("Task/")})


def _decides_a_file(engine: Engine) -> None:
    file = ROOT / "profiles" / "examples" / "valid" / "01-cervical-dystonia-contained-patient.json"
    decided = json.loads(engine.asked("app", engine.command("app")[0], "preview", "--json", str(file)))
    assert (decided["queue"], decided["icd10cm"]) == ("adult-movement-disorders", "G24.3")
