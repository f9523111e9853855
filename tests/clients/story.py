"""What an EHR does with a published FHIR client, told once for all of them.

It subscribes and is shaken hands with, sends referrals, and hears what a clinic, which is another system with tokens of
its own, makes of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import requests
from joserfc.jwk import ECKey, RSAKey

from tests.delivery.world import status_of, subscription
from tests.receivers import Receiver
from tests.serving import Server, registered
from tests.shapes import Resource, referral
from tests.systems import System, ec_key
from tests.test_workers import until

SCOPE = "system/ServiceRequest.cr system/Task.rs system/Subscription.cr"
QUEUE = "adult-movement-disorders"
REASONS = "https://referral-service.example/fhir/CodeSystem/status-reason"


class Client(Protocol):
    """A published client that holds a token for ``SCOPE``."""

    def create(self, resource: Resource) -> Resource:
        """What the server says that it has stored."""

    def read(self, kind: str, identity: str) -> Resource: ...

    def find(self, kind: str, **parameters: str) -> list[Resource]: ...


class Place:
    """A service, an EHR that may be told at ``hook``, and a clinic that works on the queue of the adults."""

    def __init__(self, server: Server, hook: Receiver, folder: Path) -> None:
        self.server, self.hook, self.folder = server, hook, folder
        works = ("--role", "filler", "--queue", QUEUE)
        self.clinic = registered(server, folder, ec_key("c"), *works, identity="clinic", scopes="system/Task.ru")

    def ehr(self, key: RSAKey | ECKey | None = None) -> System:
        return registered(self.server, self.folder, key, "--callback", self.hook.origin, scopes=SCOPE)

    def move(self, task: str, **changes: Any) -> None:
        """By the clinic, on the version that stands."""
        form = self.clinic.form("system/Task.ru")
        token = requests.post(f"{self.server.base}/auth/token", data=form, timeout=30).json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        before = self.server.get(f"/fhir/{task}", **bearer)
        etag = {"If-Match": before.headers["ETag"]}
        answer = self.server.put(f"/fhir/{task}", before.json() | changes, **bearer, **etag)
        assert answer.status_code == 200, answer.text

    def heard(self) -> list[tuple[str, str, str]]:
        """(type, event number, focus) of each notification, without what came again; nobody is named in it."""
        return list(dict.fromkeys(self._said(call.body) for call in list(self.hook.calls)))

    def _said(self, bundle: Resource) -> tuple[str, str, str]:
        assert [name for entry in bundle["entry"][1:] for name in entry if name == "resource"] == []
        status = status_of(bundle)
        number, event = next(iter(status["events"].items()), ("", {}))
        return status["type"], number, event.get("focus", "").removeprefix(f"{self.server.base}/fhir/")


def hears_back(client: Client, place: Place) -> None:
    """Whatever is asked is asked by the client; whatever is heard has come by itself."""
    wanted = client.create(subscription(f"{place.hook.origin}/hook", payload="id-only"))
    heard = [("handshake", "", "")]
    assert until(lambda: client.read("Subscription", wanted["id"])["status"] == "active"), place.heard()
    assert place.heard() == heard

    accepted, rejected = sent(client, "R-1"), sent(client, "R-2")
    heard += [("event-notification", "1", accepted), ("event-notification", "2", rejected)]
    assert until(lambda: len(place.heard()) == len(heard)), place.heard()

    place.move(accepted, status="accepted")
    heard.append(("event-notification", "3", accepted))
    assert until(lambda: len(place.heard()) == len(heard)), place.heard()

    reason = {"coding": [{"system": REASONS, "code": "out-of-scope"}], "text": "Seen elsewhere."}
    place.move(rejected, status="rejected", statusReason=reason)
    heard.append(("event-notification", "4", rejected))
    assert until(lambda: len(place.heard()) == len(heard)), place.heard()

    assert sorted(place.heard()) == sorted(heard)
    tasks = [client.read(*focus.split("/")) for _, _, focus in place.heard()[-2:]]
    assert [(task["status"], task.get("statusReason", {}).get("text")) for task in tasks] == [
        ("accepted", None),
        ("rejected", "Seen elsewhere."),
    ]


def sent(client: Client, number: str) -> str:
    """The Task of a referral that the client sends, as the client finds it."""
    created = client.create({"resourceType": "ServiceRequest", **referral(number)})
    (task,) = client.find("Task", focus=f"ServiceRequest/{created['id']}")
    assert (task["focus"]["reference"], task["status"], task["owner"]["reference"]) == (
        f"ServiceRequest/{created['id']}",
        "requested",
        f"HealthcareService/{QUEUE}",
    )
    return f"Task/{task['id']}"
