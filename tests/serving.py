"""The service as its users meet it: a real process, a real port, real HTTP."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests
from joserfc.jwk import ECKey, RSAKey

from tests.canaries import SCANNER
from tests.systems import System, key_set, public, rsa_key

FHIR = {"Content-Type": "application/fhir+json"}
START_SECONDS = 60
SMART = {"REFERRAL_AUTH": "smart", "REFERRAL_SECRET_KEY": "k" * 40}

SHIPPED_POLICY = Path(__file__).parent.parent / "referral_service" / "policy.toml"


def policy_without_limits(folder: Path) -> Path:
    """The policy shipped, but for how many calls are taken: tests that count answers want no 429 among them."""
    written = folder / "policy.toml"
    shipped = SHIPPED_POLICY.read_text("utf-8")
    written.write_text(re.sub(r"((?:calls|unknown)_per_second) = \d+", r"\1 = 1000000", shipped), "utf-8")
    return written


SEVERAL = (
    "import sys; from referral_service import cli, processes; processes.number = lambda _: {}; sys.exit(cli.main())"
)
"""The command line on a machine of as many cores as are asked for."""


class Server:
    """One `referral-service serve` with its own process group, so that it can be killed whole.

    With ``processes`` so many serve on PostgreSQL, whatever machine the tests run on.
    """

    def __init__(
        self, database_url: str, folder: Path, settings: dict[str, str] | None = None, processes: int | None = None
    ) -> None:
        self.program = ["-c", SEVERAL.format(processes)] if processes else ["-m", "referral_service.cli"]
        self.database_url = database_url
        self.settings = settings or {}
        self.log = folder / "server.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.base = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("REFERRAL_")}
        environment |= {
            "REFERRAL_AUTH": "none",
            "REFERRAL_PORT": str(self.port),
            "REFERRAL_DATABASE_URL": self.database_url,
            **self.settings,
        }
        with self.log.open("ab") as log:
            command = [sys.executable, *self.program, "serve"]
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        self._wait()

    def kill(self) -> None:
        """As a power cut would: no process of the service gets to finish anything."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        self._signal(signal.SIGTERM)
        SCANNER.look_at("log of the server", self.log.read_text("utf-8", errors="replace"))

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, number)
            self.process.wait(timeout=30)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text("utf-8", errors="replace")
            try:
                if requests.get(f"{self.base}/health/ready", timeout=2).ok:
                    return
            except requests.ConnectionError:
                time.sleep(0.05)
        raise AssertionError("the server did not start: " + self.log.read_text("utf-8", errors="replace"))

    def post(self, path: str, body: Any, **headers: str) -> requests.Response:
        return requests.post(f"{self.base}{path}", json=body, headers={**FHIR, **headers}, timeout=30)

    def put(self, path: str, body: Any, **headers: str) -> requests.Response:
        return requests.put(f"{self.base}{path}", json=body, headers={**FHIR, **headers}, timeout=30)

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(path if path.startswith("http") else f"{self.base}{path}", headers=headers, timeout=30)


def command(server: Server, *words: str) -> str:
    environment = {**os.environ, **SMART, **server.settings, "REFERRAL_DATABASE_URL": server.database_url}
    ran = subprocess.run(
        [sys.executable, "-m", "referral_service.cli", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def registered(
    server: Server,
    folder: Path,
    key: RSAKey | ECKey | None = None,
    *more: str,
    identity: str = "ehr-a",
    scopes: str = "system/ServiceRequest.crs system/Task.rs",
) -> System:
    """A system that an operator has registered by command line, beside the running server; a placer if nothing else."""
    system = System(identity, key or rsa_key("a"), f"{server.base}/auth/token")
    keys = folder / f"{identity}.jwks.json"
    keys.write_text(key_set(public(system.key)), "utf-8")
    role = () if "--role" in more else ("--role", "placer")
    given = ("--id", identity, "--name", f"Clinic {identity}", *role, "--scope", scopes, "--jwks", str(keys), *more)
    assert command(server, "client", "add", *given) == f"{identity} is registered.\n"
    return system
