"""Two senders never meet: not by id, not by identifier, not by key; and one sender's servers do not either."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

from referral_service.intake import Became, Incoming, Site, receive, receive_supporting
from referral_service.store import ledger, lookups
from tests.shapes import CHILD_BORN, Caller, Resource, bundle, ledger_of, patient, referral

AT = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)


def sent(client: str, resource: Resource) -> Incoming:
    return Incoming(client, "create", f"{client}-1", json.dumps(resource).encode(), AT)


def queue(site: Site, referral_id: str) -> str:
    with site.store.reading() as connection:
        return str(lookups.referral_with_task(connection, referral_id)[1]["queue"])


def sums(site: Site) -> dict[str, int]:
    with site.store.reading() as connection:
        return ledger.sums(connection)


def test_two_clients_patients_of_one_id_never_meet(site: Site) -> None:
    for client, born in (("north", "1970-01-01"), ("south", "2017-01-01")):
        one = replace(sent(client, patient(born, id="1")), put_to="Patient/1")
        assert receive_supporting(site, one, "Patient").answers[0].became is Became.CREATED
    found = {}
    for client in ("north", "south", "west"):
        answer = receive(site, sent(client, referral(subject={"reference": "Patient/1"})), "ServiceRequest").answers[0]
        found[client] = queue(site, str(answer.id))
    assert found == {"north": "adult-movement-disorders", "south": "pediatric-neuromotor", "west": "intake-review"}
    assert sums(site) == ledger_of(routed=2, review=1)


def test_another_clients_patient_routes_nothing_that_waits(site: Site) -> None:
    identifier = {"system": "urn:example:nhs", "value": "1"}
    waits = receive(site, sent("north", referral(subject={"identifier": identifier})), "ServiceRequest").answers[0]
    receive_supporting(site, sent("south", patient(identifier=[identifier])), "Patient")
    assert queue(site, str(waits.id)) == "intake-review"
    receive_supporting(site, sent("north", patient(identifier=[identifier])), "Patient")
    assert queue(site, str(waits.id)) == "adult-movement-disorders"


def test_another_clients_placer_identifier_is_no_replay(site: Site) -> None:
    ids = {receive(site, sent(client, referral()), "ServiceRequest").answers[0].id for client in ("north", "south")}
    assert (len(ids), sums(site)) == (2, ledger_of(routed=2))


def test_another_clients_idempotency_key_is_another_key(site: Site) -> None:
    for client in ("north", "south"):
        one = replace(sent(client, referral(None)), idempotency_key="k")
        assert receive(site, one, "ServiceRequest").answers[0].became is Became.CREATED


def test_another_clients_referral_is_not_updated_by_its_id(site: Site) -> None:
    ours = str(receive(site, sent("north", referral()), "ServiceRequest").answers[0].id)
    change = replace(
        sent("south", referral(id=ours, priority="stat")), put_to=f"ServiceRequest/{ours}", if_match='W/"1"'
    )
    received = receive(site, change, "ServiceRequest")
    assert received.failed is not None
    with site.store.reading() as connection:
        assert lookups.referral_with_task(connection, ours)[0]["version"] == 1


def test_another_clients_open_referral_is_no_possible_duplicate(site: Site) -> None:
    contained = [patient(id="p", identifier=[{"system": "urn:example:nhs", "value": "1"}])]
    for client in ("north", "south"):
        answer = receive(site, sent(client, referral(contained=contained)), "ServiceRequest").answers[0]
        assert "possible-duplicate" not in answer.content


def _collection(base: str, born: str, number: str) -> Resource:
    who = {"fullUrl": f"{base}/Patient/1", "resource": patient(born, id="1")}
    what = {"fullUrl": f"{base}/ServiceRequest/1", "resource": referral(number, subject={"reference": "Patient/1"})}
    return bundle(who, what, kind="collection")


def test_the_patients_of_two_servers_behind_one_client_never_meet(caller: Caller) -> None:
    queues = []
    for base, born, number in (
        ("http://a.example/fhir", "1970-01-01", "A-1"),
        ("http://b.example/fhir", CHILD_BORN, "B-1"),
    ):
        answer = caller.post("", _collection(base, born, number))
        assert [one["response"]["status"] for one in answer.json["entry"]] == ["201 Created"] * 2
        queues.append(caller.queue_of(answer.json["entry"][1]["response"]["location"].split("/")[-3]))
    assert queues == ["adult-movement-disorders", "pediatric-neuromotor"]
    assert [one["birthDate"] for one in caller.stored("Patient")] == ["1970-01-01", CHILD_BORN]


def test_a_relative_reference_means_the_server_that_its_resource_came_from(caller: Caller) -> None:
    caller.post("", _collection("http://a.example/fhir", "1970-01-01", "A-1"))
    alone = {
        "fullUrl": "http://b.example/fhir/ServiceRequest/9",
        "resource": referral("B-9", subject={"reference": "Patient/1"}),
    }
    answer = caller.post("", bundle(alone, kind="collection"))
    referral_id = answer.json["entry"][0]["response"]["location"].split("/")[-3]
    assert caller.queue_of(referral_id) == "intake-review"
    assert caller.read(f"ServiceRequest/{referral_id}")["subject"] == {"reference": "Patient/1"}
    caller.post("", _collection("http://b.example/fhir", CHILD_BORN, "B-1"))
    assert caller.queue_of(referral_id) == "pediatric-neuromotor"
