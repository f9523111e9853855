"""Published FHIR clients go through the whole dance: discovery, a token, a referral, its Task."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from fhirclient.client import FHIRClient
from fhirclient.models.servicerequest import ServiceRequest
from fhirclient.models.task import Task
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import AuthorizationError

from tests.serving import Server, command, registered
from tests.shapes import referral
from tests.systems import System

SCOPE = "system/ServiceRequest.cr system/Task.s"


@pytest.fixture
def system(server: Server, tmp_path: Path) -> System:
    return registered(server, tmp_path)


def test_fhirclient_gets_a_token_creates_a_referral_and_finds_its_task(server: Server, system: System) -> None:
    settings = {"app_id": system.id, "api_base": f"{server.base}/fhir", "scope": SCOPE, "jwt_token": system.assertion()}
    client = FHIRClient(settings=settings)
    client.wants_patient = False
    assert not client.prepare()
    client.authorize()
    assert client.ready
    created = ServiceRequest(ServiceRequest(referral()).create(client.server))
    tasks = Task.where({"focus": f"ServiceRequest/{created.id}"}).perform_resources_iter(client.server)
    assert [(task.status, task.owner.reference) for task in tasks] == [
        ("requested", "HealthcareService/adult-movement-disorders")
    ]


def test_fhirpy_gets_a_token_creates_a_referral_and_finds_its_task(server: Server, system: System) -> None:
    found = requests.get(f"{server.base}/fhir/.well-known/smart-configuration", timeout=30).json()
    token = requests.post(found["token_endpoint"], data=system.form(SCOPE), timeout=30).json()["access_token"]
    client = SyncFHIRClient(f"{server.base}/fhir", authorization=f"Bearer {token}")
    created = client.resource(**{"resource_type": "ServiceRequest", **referral()})
    created.save()
    task = client.resources("Task").search(focus=f"ServiceRequest/{created.id}").get()
    assert (task["status"], task["owner"].reference) == ("requested", "HealthcareService/adult-movement-disorders")
    command(server, "client", "revoke", system.id)
    with pytest.raises(AuthorizationError, match="revoked"):
        client.resources("Task").fetch()
