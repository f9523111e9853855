"""The proxy of docker-compose.yml: a real Caddy with its very configuration, in front of two real replicas."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from threading import Thread
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from sqlalchemy import select

from referral_service.store import tables
from referral_service.store.engine import open_store
from tests.containers import ROOT
from tests.receivers import free_port
from tests.serving import FHIR, Server
from tests.shapes import referral

pytestmark = pytest.mark.skipif(which("caddy") is None, reason="the proxy is Caddy, which is not on this machine")

CADDYFILE = ROOT / "docs" / "deployment" / "Caddyfile"
REPLICAS = ("127.0.0.2", "127.0.0.3")
CALLER = "127.0.0.4"
UNTRUE = "192.0.2.1"
CANARY = "Waldvogel"
REFRESH_SECONDS = 1.5
"""The configuration has the proxy ask for names again after a second."""


class Names(Thread):
    """A name server that gives every name the addresses of the replicas that run, as an engine's does for a service."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.running = set(REPLICAS)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = f"udp/127.0.0.1:{self.socket.getsockname()[1]}"

    def run(self) -> None:
        """https://www.rfc-editor.org/rfc/rfc1035#section-4.1"""
        while True:
            asked, caller = self.socket.recvfrom(512)
            end = asked.index(b"\0", 12) + 5
            found = sorted(self.running) if asked[end - 4 : end - 2] == b"\0\1" else []
            header = asked[:2] + b"\x81\x80\0\1" + len(found).to_bytes(2, "big") + bytes(4)
            records = (b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(one) for one in found)
            self.socket.sendto(header + asked[12:end] + b"".join(records), caller)


class FromElsewhere(HTTPAdapter):
    """Calls from an address that is no proxy's."""

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        super().init_poolmanager(*args, source_address=(CALLER, 0), **more)


@dataclass
class Proxied:
    base: str
    caller: requests.Session
    servers: dict[str, Server]
    names: Names
    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "caddy.log").read_text("utf-8")

    def post(self, number: str) -> int:
        told = {**FHIR, "X-Forwarded-For": UNTRUE}
        return self.caller.post(f"{self.base}/fhir/ServiceRequest", json=referral(number), headers=told).status_code

    def get(self) -> int:
        return self.caller.get(f"{self.base}/health/ready", timeout=60).status_code

    def take_away(self, host: str) -> None:
        """As an engine does: no name leads there any more, and it is told to stop."""
        self.names.running.discard(host)
        self.servers[host].stop()
        time.sleep(REFRESH_SECONDS)

    def callers_seen(self, server: Server) -> list[str]:
        """Who called, a line a request, as one replica has written it down."""
        store = open_store(server.database_url)
        with store.reading() as connection:
            found = list(connection.execute(select(tables.audit_event.c.network)).scalars())
        store.close()
        return found


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    tmp_path = tmp_path_factory.mktemp("proxied")
    names, port, app_port = Names(), free_port(), free_port()
    names.start()
    base, servers = f"https://localhost:{port}", {}
    for host in REPLICAS:
        settings = {"REFERRAL_HOST": host, "REFERRAL_DEMO": "1", "REFERRAL_PUBLIC_URL": base}
        folder = tmp_path / host
        folder.mkdir()
        server = Server(f"sqlite:///{folder / 'r.db'}", folder, settings | {"REFERRAL_PROXIES": "127.0.0.1"})
        server.port, server.base = app_port, f"http://{host}:{app_port}"
        servers[host] = server
    environment = {
        "PATH": os.environ["PATH"],
        **{name: str(tmp_path) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")},
        "SITE": f"localhost:{port}",
        "HTTPS_PORT": str(port),
        "HTTP_PORT": str(free_port()),
        "ALIVE_PORT": str(free_port()),
        "APP_PORT": str(app_port),
        "RESOLVER": names.address,
    }
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(CADDYFILE)]
    with (tmp_path / "caddy.log").open("wb") as log:
        caddy = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        for server in servers.values():
            server.start()
        root = tmp_path / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        _wait_for(f"http://127.0.0.1:{environment['ALIVE_PORT']}/", root)
        caller = requests.Session()
        caller.mount("https://", FromElsewhere())
        caller.trust_env, caller.verify = False, str(root)
        yield Proxied(base, caller, servers, names, tmp_path)
    finally:
        caddy.terminate()
        caddy.wait(30)
        for server in servers.values():
            server.stop()


def _wait_for(address: str, root: Path) -> None:
    for _ in range(200):
        try:
            if requests.get(address, timeout=2).text == "alive" and root.exists():
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.1)
    raise AssertionError("the proxy did not start")


def test_referrals_reach_the_replicas_in_turn_and_each_believes_who_called_the_proxy(proxied: Proxied) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(proxied.post, (f"turn-{number}" for number in range(24)))) == {201}
    seen = [proxied.callers_seen(server) for server in proxied.servers.values()]
    assert [set(one) for one in seen] == [{CALLER}, {CALLER}]
    assert sum(map(len, seen)) == 24


def test_what_is_of_the_inside_is_not_there_from_outside(proxied: Proxied) -> None:
    for path in ("/metrics", "/metrics/", "//metrics", "/%6Detrics", "/METRICS", "/x/../metrics"):
        asked = requests.Request("GET", proxied.base).prepare()
        asked.url = f"{proxied.base}{path}"
        answer = proxied.caller.send(asked, timeout=10)
        # Every answer of a replica has this header.
        assert (answer.status_code, answer.content, "X-Request-Id" in answer.headers) == (404, b"", False), path
    alive = proxied.caller.get(f"{proxied.base}/health/ready", timeout=10)
    assert (alive.status_code, "X-Request-Id" in alive.headers) == (200, True)
    assert {name for name in alive.headers if name.lower() in ("server", "via", "alt-svc")} == set()


def test_a_body_larger_than_any_door_takes_is_cut_off_and_one_that_a_door_refuses_gets_the_words_of_the_door(
    proxied: Proxied,
) -> None:
    def post(path: str, mebibytes: int) -> tuple[int, bool]:
        body = b" " * (mebibytes * 1024 * 1024)
        answer = proxied.caller.post(f"{proxied.base}{path}", data=body, headers=FHIR, timeout=60)
        return answer.status_code, "OperationOutcome" in answer.text

    with suppress(requests.ConnectionError):  # it may still be on its way when the connection ends
        assert post("/fhir/ServiceRequest", 22)[0] == 413
    assert post("/fhir/ServiceRequest", 2) == (413, True)
    assert post("/fhir/Binary", 22)[1]


def test_only_tls_of_today_is_spoken(proxied: Proxied) -> None:
    command = ["openssl", "s_client", "-connect", proxied.base.removeprefix("https://"), "-tls1_1"]
    ran = subprocess.run([*command, "-cipher", "ALL:@SECLEVEL=0"], capture_output=True, text=True, input="")
    assert "alert protocol version" in ran.stderr


def test_a_replica_that_is_taken_away_gets_nothing_more_and_who_comes_while_all_are_exchanged_waits(
    proxied: Proxied,
) -> None:
    one, other = REPLICAS
    proxied.take_away(one)
    assert [proxied.post(f"one-{number}") for number in range(8)] == [201] * 8
    proxied.take_away(other)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(proxied.get)
        proxied.servers[one].start()
        proxied.names.running.add(one)
        assert waiting.result(30) == 200
    proxied.servers[other].start()
    proxied.names.running.add(other)


def test_where_no_replica_is_the_caller_is_told_so_and_the_log_names_nothing_of_the_request(proxied: Proxied) -> None:
    for server in proxied.servers.values():
        server.stop()
    told = {"X-Anything": CANARY}
    address = f"{proxied.base}/fhir/Patient?family={CANARY}"
    answer = proxied.caller.post(address, data=b"{}", headers=told, timeout=60)
    assert answer.status_code == 502
    assert '"status":502' in proxied.log
    assert CANARY not in proxied.log
