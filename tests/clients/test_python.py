"""Published FHIR clients of Python go through the whole dance: a token, a Subscription, referrals, what is heard."""

from __future__ import annotations

import pytest
import requests
from fhirclient.client import FHIRClient
from fhirclient.models.servicerequest import ServiceRequest
from fhirclient.models.subscription import Subscription
from fhirclient.models.task import Task
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import AuthorizationError

from tests.clients.story import SCOPE, Place, hears_back
from tests.serving import command
from tests.shapes import Resource
from tests.systems import System

MODELS = {"ServiceRequest": ServiceRequest, "Subscription": Subscription, "Task": Task}


class OfFhirclient:
    def __init__(self, base: str, system: System) -> None:
        settings = {"app_id": system.id, "api_base": base, "scope": SCOPE, "jwt_token": system.assertion()}
        client = FHIRClient(settings=settings)
        client.wants_patient = False
        assert not client.prepare()
        client.authorize()
        assert client.ready
        self.server = client.server

    def create(self, resource: Resource) -> Resource:
        kind = resource["resourceType"]
        if kind == "Subscription":
            # Its models leave out the extensions of primitive elements, where the backport says what is to be sent.
            return dict(self.server.post_json(kind, resource).json())
        return dict(MODELS[kind](resource).create(self.server))

    def read(self, kind: str, identity: str) -> Resource:
        return dict(MODELS[kind].read(identity, self.server).as_json())

    def find(self, kind: str, **parameters: str) -> list[Resource]:
        return [one.as_json() for one in MODELS[kind].where(parameters).perform_resources_iter(self.server)]


class OfFhirpy:
    def __init__(self, base: str, system: System) -> None:
        found = requests.get(f"{base}/.well-known/smart-configuration", timeout=30).json()
        token = requests.post(found["token_endpoint"], data=system.form(SCOPE), timeout=30).json()["access_token"]
        self.client = SyncFHIRClient(base, authorization=f"Bearer {token}")

    def create(self, resource: Resource) -> Resource:
        kept = {name: value for name, value in resource.items() if name != "resourceType"}
        created = self.client.resource(resource["resourceType"], **kept)
        created.save()
        return dict(created.serialize())

    def read(self, kind: str, identity: str) -> Resource:
        return dict(self.client.reference(kind, identity).to_resource().serialize())

    def find(self, kind: str, **parameters: str) -> list[Resource]:
        return [one.serialize() for one in self.client.resources(kind).search(**parameters).fetch_all()]


def test_fhirclient_subscribes_sends_referrals_and_hears_what_becomes_of_each(place: Place) -> None:
    hears_back(OfFhirclient(f"{place.server.base}/fhir", place.ehr()), place)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_fhirpy_subscribes_sends_referrals_and_hears_what_becomes_of_each(place: Place) -> None:
    hears_back(OfFhirpy(f"{place.server.base}/fhir", place.ehr()), place)


def test_fhirpy_is_told_that_its_client_was_revoked(place: Place) -> None:
    system = place.ehr()
    client = OfFhirpy(f"{place.server.base}/fhir", system)
    assert client.find("Task") == []
    command(place.server, "client", "revoke", system.id)
    with pytest.raises(AuthorizationError, match="revoked"):
        client.find("Task")
