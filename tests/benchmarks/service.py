"""This service as the benchmarks meet it: a server, systems that are registered, and referrals that it holds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import requests

from referral_service.store.engine import open_store
from referral_service.store.migrations import upgrade
from tests.benchmarks.bodies import SEARCH, numbered, referral, transaction
from tests.benchmarks.load import Call, LoadError, Measured, measure, postmaster_of
from tests.benchmarks.worklist import fill
from tests.serving import FHIR, SMART, Server, registered
from tests.systems import EVERYTHING, System

POLICY = Path(__file__).parent.parent.parent / "referral_service" / "policy.toml"
FILLER = ("--role", "filler", "--queue", "adult-movement-disorders")
TASKS = "system/Task.rs"


@dataclass(frozen=True)
class Service:
    """``placer`` sends referrals and ``filler`` reads its queue; both are None when nobody has to say who they are."""

    server: Server
    postmaster: int | None
    placer: System | None
    filler: System | None

    def create(self, connections: int, seconds: float) -> Measured:
        call = Call("/fhir/ServiceRequest", json.dumps(referral()), self._headers(self.placer, EVERYTHING))
        return self._measure(call, connections, seconds)

    def transaction(self, connections: int, seconds: float) -> Measured:
        call = Call("/fhir", json.dumps(transaction()), self._headers(self.placer, EVERYTHING))
        return self._measure(call, connections, seconds)

    def search(self, connections: int, seconds: float) -> Measured:
        call = Call(f"/fhir/{SEARCH}", headers=self._headers(self.filler, TASKS))
        found = self.server.get(call.path, **call.headers).json()
        if len(found.get("entry", [])) != 20:
            raise LoadError(f"not a full page: {json.dumps(found)[:400]}")
        return self._measure(call, connections, seconds)

    def nothing(self, connections: int, seconds: float) -> Measured:
        """A request that asks for no work: what the server and Flask cost by themselves."""
        return self._measure(Call("/health/live"), connections, seconds)

    def store(self, number_of: int, first: int = 0) -> None:
        """Referrals up to ``number_of``, straight into the database."""
        store = open_store(self.server.database_url)
        fill(store, number_of, datetime.now(UTC), first)
        store.close()

    def _measure(self, call: Call, connections: int, seconds: float) -> Measured:
        self._try(call)
        assert self.server.process is not None
        return measure(self.server.base, call, connections, seconds, self.server.process.pid, self.postmaster)

    def _try(self, call: Call) -> None:
        """Once by itself, for wrk would not show what is answered."""
        if call.body is not None:
            body, headers = numbered(json.loads(call.body), f"try-{datetime.now(UTC).timestamp()}"), dict(call.headers)
            answer = requests.post(self.server.base + call.path, body, headers=headers, timeout=30)
            if not answer.ok:
                raise LoadError(f"{call.path}: {answer.status_code} {answer.text[:400]}")

    def _headers(self, system: System | None, scope: str) -> Mapping[str, str]:
        """A new token each time, for they do not live long."""
        if system is None:
            return FHIR
        answer = requests.post(f"{self.server.base}/auth/token", data=system.form(scope), timeout=30)
        answer.raise_for_status()
        return {**FHIR, "Authorization": f"Bearer {answer.json()['access_token']}"}


@contextmanager
def serving(url: str, folder: Path, auth: str) -> Iterator[Service]:
    """A started server on an empty database; with ``auth`` smart everybody has to say who they are."""
    store = open_store(url)
    upgrade(store)
    store.close()
    server = Server(url, folder, _settings(folder, auth))
    server.start()
    try:
        placer = registered(server, folder, scopes=EVERYTHING) if auth == "smart" else None
        filler = None
        if auth == "smart":
            filler = registered(server, folder, None, *FILLER, identity="clinic", scopes=TASKS)
        yield Service(server, postmaster_of(url) if url.startswith("postgresql") else None, placer, filler)
    finally:
        server.stop()


def _settings(folder: Path, auth: str) -> dict[str, str]:
    """No limit to the calls of a client, or the limit would be what is measured."""
    policy = folder / "policy.toml"
    policy.write_text(re.sub(r"(calls_per_second) = \d+", r"\1 = 1000000", POLICY.read_text("utf-8")), "utf-8")
    return {**(SMART if auth == "smart" else {"REFERRAL_AUTH": "none"}), "REFERRAL_POLICY": str(policy)}
