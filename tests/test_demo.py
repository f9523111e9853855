"""The demo: what it prints, and that what it prints opens it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from referral_service.access.people import attempted
from referral_service.store.engine import open_store


def test_the_demo_that_asks_prints_a_user_of_each_role(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-u", "-m", "referral_service.cli", "demo", "--sign-in", "--port", port]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REFERRAL_")}
    with subprocess.Popen(
        [*command, "--directory", str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        printed = []
        for line in demo.stdout:
            printed.append(line)
            if line.startswith("Stop with"):
                break
        demo.terminate()
        demo.stdout.read()
    users = [line.split()[3:] for line in printed if line.startswith("Sign in as")]
    assert sorted(user for user, _ in users) == ["auditor", "coordinator", "integrator", "lead"]
    store = open_store(f"sqlite:///{tmp_path / 'referral-service.db'}")
    for user, password in users:
        found = attempted(store, user, password, datetime.now(UTC))
        assert found is not None
        assert found.is_right
    store.close()
