"""Replicas and restarts: what one process has given or used up, every other knows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.serving import SMART, Server, command, registered
from tests.shapes import referral


def ask(server: Server, form: dict[str, str]) -> requests.Response:
    return requests.post(f"{server.base}/auth/token", data=form, timeout=30)


@pytest.fixture
def replicas(postgres_url: str, tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """Two servers on one database, behind one public address."""
    one, two = (Server(postgres_url, tmp_path, dict(SMART)) for _ in range(2))
    two.settings["REFERRAL_PUBLIC_URL"] = one.base
    try:
        one.start()
        two.start()
        yield one, two
    finally:
        one.stop()
        two.stop()


def test_replicas_agree_on_assertions_tokens_and_revoking(replicas: tuple[Server, Server], tmp_path: Path) -> None:
    one, two = replicas
    system = registered(one, tmp_path)
    form = system.form("system/ServiceRequest.c system/Task.s")

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda place: ask(replicas[place % 2], form), range(16)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 15

    token = next(answer.json()["access_token"] for answer in answers if answer.ok)
    bearer = {"Authorization": f"Bearer {token}"}
    assert [server.post("/fhir/ServiceRequest", referral(), **bearer).status_code for server in replicas] == [201, 200]

    assert command(one, "client", "revoke", "ehr-a") == "ehr-a is revoked.\n"
    assert [server.get("/fhir/Task", **bearer).status_code for server in replicas] == [401, 401]
    assert ask(two, system.form()).json()["error"] == "invalid_client"


def test_a_server_on_a_file_remembers_over_a_power_cut(tmp_path: Path) -> None:
    server = Server(f"sqlite:///{tmp_path / 'referrals.db'}", tmp_path, {"REFERRAL_AUTH": "smart"})
    server.start()
    try:
        system = registered(server, tmp_path)
        form = system.form("system/Task.s")
        token = ask(server, form).json()["access_token"]
        kept = (tmp_path / "referrals.db.key").read_text("ascii")
        server.kill()
        server.start()
        again = ask(server, form)
        assert (again.status_code, again.json()["error"]) == (401, "invalid_client")
        assert server.get("/fhir/Task", Authorization=f"Bearer {token}").status_code == 200
        assert (tmp_path / "referrals.db.key").read_text("ascii") == kept
        assert token not in server.log.read_text("utf-8")
    finally:
        server.stop()
