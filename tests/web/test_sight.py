"""Who sees which record: what is not in sight is answered as what does not exist, whatever the route and header."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from referral_service.intake import Site
from referral_service.referral import Queue
from referral_service.store import tables
from referral_service.worklist import Actor, Role
from tests import callers, hooking
from tests.callers import Doors, filler, person, placer
from tests.delivery.world import subscription
from tests.shapes import ADULT_BORN, CHILD_BORN, Caller, Resource, bundle, entry, patient, referral
from tests.shapes import placer as number
from tests.systems import System

NORTH, SOUTH = placer("north"), placer("south")
ADULTS, CHILDREN = filler("clinic", Queue.ADULT), filler("childrens", Queue.PEDIATRIC)
COORDINATOR = person("Kim", Role.COORDINATOR, Queue.PEDIATRIC)
Request = tuple[str, str, Any, dict[str, str]]
"""Method, path, body and headers of one request."""


@dataclass
class Theirs:
    """What one sender has here: ``ids`` are (type, id) of all its records, ``words`` stand in nobody else's."""

    client: str
    born: str
    ids: list[tuple[str, str]] = field(default_factory=list)
    referral_id: str = ""
    subscription_id: str = ""

    @property
    def placer(self) -> str:
        return f"order-{self.client}"

    @property
    def medical_record(self) -> str:
        return f"mrn-{self.client}"

    @property
    def secret(self) -> str:
        return f"secret{self.client}"


@dataclass
class World:
    doors: Doors
    north: Theirs
    south: Theirs


@pytest.fixture
def world(site: Site) -> World:
    """Two senders with the same ids of their own, an adult's and a child's referral, each with all that hangs on it."""
    doors = Doors(site)
    made = World(doors, Theirs("north", ADULT_BORN), Theirs("south", CHILD_BORN))
    for who, theirs in ((NORTH, made.north), (SOUTH, made.south)):
        _send(doors.of(who), theirs)
        theirs.ids = _ids_of(site, theirs.client)
        theirs.subscription_id = _subscribed(site, doors.of(who), theirs.client)
    return made


def _send(caller: Caller, theirs: Theirs) -> None:
    secret, nhs = theirs.secret, {"system": "urn:example:nhs", "value": theirs.medical_record}
    about = {"subject": {"reference": "Patient/1"}}
    role = {"practitioner": {"reference": "Practitioner/1"}, "organization": {"reference": "Organization/1"}}
    sent = bundle(
        _put(patient(theirs.born, id="1", name=[{"family": secret}], identifier=[nhs])),
        _put({"resourceType": "Practitioner", "id": "1", "name": [{"family": secret}]}),
        _put({"resourceType": "Organization", "id": "1", "name": secret}),
        _put({"resourceType": "PractitionerRole", "id": "1", **role}),
        _put({"resourceType": "Condition", "id": "1", "code": {"text": secret}, **about}),
        _put(
            referral(
                None,
                id="1",
                identifier=[number(theirs.placer)],
                requester={"reference": "PractitionerRole/1"},
                note=[{"text": secret}],
                **about,
            )
        ),
    )
    answer = caller.post("", sent, Idempotency_Key=f"key-{theirs.client}", X_Request_Id=f"request-{theirs.client}")
    assert answer.status_code == 200, answer.text
    theirs.referral_id = caller.read("ServiceRequest/1")["id"]
    hangs = {"resourceType": "Communication", "status": "completed", "about": [{"reference": "ServiceRequest/1"}]}
    assert caller.post("Communication", hangs | {"note": [{"text": secret}]}).status_code == 201
    assert _changed(caller, "More was said.").status_code == 200


def _subscribed(site: Site, caller: Caller, client: str) -> str:
    """The id of a Subscription of one sender, which is at home in a table of its own."""
    System(client).register(site.store, callbacks=(f"https://{client}.example",))
    answer = caller.post("Subscription", subscription(f"https://{client}.example/hook", reason=f"secret{client}"))
    assert answer.status_code == 201, answer.text
    return str(answer.get_json(force=True)["id"])


def _changed(caller: Caller, words: str) -> TestResponse:
    before = caller.read("ServiceRequest/1")
    wanted = before | {"patientInstruction": words, "id": "1"}
    return caller.put("ServiceRequest/1", wanted, If_Match=f'W/"{before["meta"]["versionId"]}"')


def _put(resource: Resource) -> Resource:
    return entry(resource, None, "PUT", f"{resource['resourceType']}/{resource['id']}")


def _ids_of(site: Site, client: str) -> list[tuple[str, str]]:
    resource, request, task = tables.resource, tables.service_request, tables.task
    with site.store.reading() as connection:
        found = [
            tuple(row) for row in connection.execute(select(resource.c.type, resource.c.id).filter_by(client=client))
        ]
        for kind, table in (("ServiceRequest", request), ("Task", task)):
            found += [(kind, row.id) for row in connection.execute(select(table.c.id).filter_by(client=client))]
    return sorted(found)


def _everything(site: Site, client: str) -> list[str]:
    with site.store.reading() as connection:
        return [
            str(row.content)
            for table in (tables.resource, tables.service_request, tables.task)
            for row in connection.execute(select(table.c.content).filter_by(client=client).order_by(table.c.id))
        ]


Case = Callable[[str, str, Theirs], Iterator[Request]]
"""What is asked at a route about a type and an id; ``Theirs`` says what else of it could be known."""


def _get(path: str) -> Case:
    def case(kind: str, identity: str, _: Theirs) -> Iterator[Request]:
        yield "GET", path.format(kind=kind, id=identity), None, {}

    return case


def _search(method: str) -> Case:
    def case(_: str, identity: str, theirs: Theirs) -> Iterator[Request]:
        identifiers = {"Patient": theirs.medical_record, "ServiceRequest": theirs.placer, "Task": theirs.placer}
        wanted = [(one, f"_id={identity}&_total=accurate") for one in identifiers]
        wanted += [(one, f"identifier={value}&_summary=count") for one, value in identifiers.items()]
        wanted += [(one, f"patient={identity}&_include={one}:patient") for one in ("Task", "ServiceRequest")]
        wanted += [(one, f"patient.identifier={theirs.medical_record}") for one in ("Task", "ServiceRequest")]
        wanted.append(("Task", f"focus={identity}&_include=Task:focus&_total=accurate"))
        wanted.append(("Task", f"focus:ServiceRequest.identifier={theirs.placer}"))
        wanted.append(("ServiceRequest", f"_id={identity}&_revinclude=Task:focus"))
        wanted.append(("Patient", f"family={theirs.secret}&birthdate={theirs.born}"))
        for one, query in wanted:
            if method == "GET":
                yield "GET", f"{one}?{query}", None, {}
            else:
                yield "POST", f"{one}/_search", query, {"Content-Type": "application/x-www-form-urlencoded"}

    return case


def _receipts(_: str, identity: str, theirs: Theirs) -> Iterator[Request]:
    yield "GET", f"ServiceRequest/$receipt?request-id=request-{theirs.client}", None, {}
    yield "GET", f"ServiceRequest/$receipt?identifier=urn:example:orders|{theirs.placer}", None, {}
    yield "GET", f"ServiceRequest/$receipt?request-id={identity}", None, {}


def _create(_: str, identity: str, theirs: Theirs) -> Iterator[Request]:
    same = referral(None, identifier=[number(theirs.placer)], contained=[{**patient(), "id": "p"}])
    yield (
        "POST",
        "ServiceRequest",
        referral(None),
        {"If-None-Exist": f"identifier={number('')['system']}|{theirs.placer}"},
    )
    yield "POST", "ServiceRequest", referral(None), {"Idempotency-Key": f"key-{theirs.client}"}
    yield "POST", "ServiceRequest", same, {}
    yield "POST", "ServiceRequest", referral(None, replaces=[{"reference": f"ServiceRequest/{identity}"}]), {}


def _supporting(_: str, identity: str, theirs: Theirs) -> Iterator[Request]:
    about = {"resourceType": "Condition", "subject": {"reference": f"Patient/{identity}"}, "code": {"text": "x"}}
    yield "POST", "Condition", about, {}
    yield "POST", "Patient", patient(), {"If-None-Exist": f"identifier=urn:example:nhs|{theirs.medical_record}"}


def _binary(_: str, identity: str, __: Theirs) -> Iterator[Request]:
    sent = {"resourceType": "Binary", "contentType": "text/plain", "securityContext": {"reference": identity}}
    yield "POST", "Binary", sent, {}


def _entries(_: str, identity: str, theirs: Theirs) -> Iterator[Request]:
    query = f"identifier=urn:example:nhs|{theirs.medical_record}"
    lone = referral(None, subject={"reference": f"Patient/{identity}"})
    for sort in ("transaction", "batch"):
        yield "POST", "", bundle(entry(patient(), None, "PUT", f"Patient?{query}"), kind=sort), {}
        unless = entry(patient())
        unless["request"]["ifNoneExist"] = query
        yield "POST", "", bundle(unless, kind=sort), {}
        stale = _put(patient(id=identity))
        stale["request"]["ifMatch"] = 'W/"1"'
        yield "POST", "", bundle(stale, kind=sort), {}
        yield "POST", "", bundle(entry(lone), kind=sort), {}
        yield "POST", "", bundle(entry(referral(None)), kind=sort), {"Idempotency-Key": f"key-{theirs.client}"}


def _message(_: str, identity: str, theirs: Theirs) -> Iterator[Request]:
    event = {"system": "https://fhir.nhs.uk/CodeSystem/message-events-bars", "code": "servicerequest-request"}
    update = {"coding": [{"system": "https://fhir.nhs.uk/CodeSystem/message-reason-bars", "code": "update"}]}
    header = {"resourceType": "MessageHeader", "eventCoding": event, "source": {"endpoint": "urn:example"}}
    same = {"identifier": [number(theirs.placer)]}
    for changed in ({}, {"id": identity}, {"id": identity, "status": "revoked"}, same, same | {"status": "revoked"}):
        for more in ({}, {"reason": update}, {"id": f"message-{theirs.client}"}):
            entries = [{"resource": header | more}, {"resource": referral(None, **changed)}]
            yield "POST", "$process-message", bundle(*entries, kind="message"), {}
    entries = [{"resource": header | {"focus": [{"reference": f"Task/{identity}"}]}}, {"resource": referral(None)}]
    yield "POST", "$process-message", bundle(*entries, kind="message"), {}


def _task(method: str) -> Case:
    def case(_: str, identity: str, __: Theirs) -> Iterator[Request]:
        headers = {"If-Match": 'W/"2"'}
        if method == "PATCH":
            change = [{"op": "replace", "path": "/status", "value": "accepted"}]
            headers["Content-Type"] = "application/json-patch+json"
            yield "PATCH", f"Task/{identity}", json.dumps(change), headers
        elif method == "PUT":
            task = {"resourceType": "Task", "id": identity, "status": "accepted", "intent": "order"}
            yield "PUT", f"Task/{identity}", task, headers
        else:
            yield "POST", f"Task/{identity}/$undo", {"resourceType": "Parameters"}, {}

    return case


def _put_referral(_: str, identity: str, __: Theirs) -> Iterator[Request]:
    yield "PUT", f"ServiceRequest/{identity}", referral(None, id=identity), {"If-Match": 'W/"1"'}
    yield "PUT", f"ServiceRequest/{identity}", referral(None, id=identity, status="revoked"), {"If-Match": 'W/"2"'}


def _put_supporting(_: str, identity: str, __: Theirs) -> Iterator[Request]:
    yield "PUT", f"Patient/{identity}", patient(id=identity), {}
    organization = {"resourceType": "Organization", "id": identity, "name": "x"}
    yield "PUT", f"Organization/{identity}", organization, {"If-Match": 'W/"1"'}


def _preview(kind: str, identity: str, _: Theirs) -> Iterator[Request]:
    yield "POST", "ServiceRequest/$preview", referral(None, subject={"reference": f"Patient/{identity}"}), {}
    support = [{"reference": f"{kind}/{identity}"}]
    yield "POST", "ServiceRequest/$preview", referral(None, reason="", supportingInfo=support), {}


def _hook(kind: str, identity: str, theirs: Theirs) -> Iterator[Request]:
    about = {"subject": {"reference": f"Patient/{identity}"}, "identifier": [number(theirs.placer)]}
    support = [{"reference": f"{kind}/{identity}"}]
    known = {"resourceType": "Patient", "id": identity, "birthDate": theirs.born}
    known["identifier"] = [{"system": "urn:example:nhs", "value": theirs.medical_record}]
    body = hooking.call(hooking.draft(supportingInfo=support, **about), prefetch={"patient": known})
    body["context"]["patientId"] = identity
    yield "POST", "../cds-services/dystonia-referral", body, {"Content-Type": "application/json"}


def _feedback(_: str, identity: str, __: Theirs) -> Iterator[Request]:
    given = {"feedback": [{"card": identity, "outcome": "accepted"}]}
    yield "POST", "../cds-services/dystonia-referral/feedback", given, {"Content-Type": "application/json"}


def _page(method: str, path: str) -> Case:
    def case(_: str, identity: str, __: Theirs) -> Iterator[Request]:
        yield method, f"../{path.format(id=identity)}", None, {}

    return case


def _found_subscriptions(_: str, identity: str, __: Theirs) -> Iterator[Request]:
    yield "POST", "Subscription/_search", f"_id={identity}", {"Content-Type": "application/x-www-form-urlencoded"}


def _subscribe(method: str) -> Case:
    def case(_: str, identity: str, __: Theirs) -> Iterator[Request]:
        wanted = subscription("https://hooks.example/", filters=[f"Task?requester=Practitioner/{identity}"])
        if method == "POST":
            yield method, "Subscription", wanted, {}
        else:
            yield method, f"Subscription/{identity}", wanted | {"id": identity} if method == "PUT" else None, {}

    return case


READS: dict[str, Case] = {
    "reading.read": _get("{kind}/{id}"),
    "reading.history": _get("{kind}/{id}/_history"),
    "reading.version_read": _get("{kind}/{id}/_history/1"),
    "reading.queue": _get("HealthcareService/{id}"),
    "operations.decision": _get("ServiceRequest/{id}/$decision"),
    "operations.original": _get("ServiceRequest/{id}/$original"),
    "operations.receipt": _receipts,
    "operations.preview_decision": _preview,
    "hooks.call": _hook,
    "hooks.take_feedback": _feedback,
    "searching.by_url": _search("GET"),
    "searching.by_form": _search("POST"),
    "moving.actions": _get("Task/{id}/$actions"),
    "pages.show_referral": _page("GET", "referrals/{id}"),
    "attachments.download": _page("GET", "referrals/{id}/files/1"),
    "attachments.show": _page("GET", "referrals/{id}/files/1/shown"),
    "binaries.read": _get("Binary/{id}"),
    "not_taken.show_one": _page("GET", "not-taken/{id}"),
    "not_taken.show_text": _page("GET", "not-taken/{id}/text"),
    "auditor.read": _get("AuditEvent/{id}"),
    "trail.show_patient": _page("GET", "audit/patients/{id}"),
    "subscribing.read": _get("Subscription/{id}"),
    "subscribing.status": _get("Subscription/{id}/$status"),
    "subscribing.events": _get("Subscription/{id}/$events?content=full-resource"),
    "subscribing.search": _get("Subscription?_id={id}"),
    "subscribing.search_by_form": _found_subscriptions,
}
WRITES: dict[str, Case] = {
    "moving.put": _task("PUT"),
    "moving.patch": _task("PATCH"),
    "moving.undo": _task("POST"),
    "submitting.create": _create,
    "submitting.create_supporting": _supporting,
    "binaries.create": _binary,
    "submitting.bundle": _entries,
    "messages.process": _message,
    "submitting.update": _put_referral,
    "submitting.put_supporting": _put_supporting,
    "acting.do": _page("POST", "referrals/{id}/do/claim"),
    "fetching.ask_again": _page("POST", "referrals/{id}/ask-again"),
    "alerts.acknowledge": _page("POST", "alerts/{id}/acknowledge"),
    "not_taken.take_one_in": _page("POST", "not-taken/{id}/0/take-in"),
    "deliveries.send_again": _page("POST", "deliveries/task/{id}/1/again"),
    "subscribing.create": _subscribe("POST"),
    "subscribing.update": _subscribe("PUT"),
    "subscribing.end": _subscribe("DELETE"),
}
NO_RECORD = {
    *(
        "static",
        "capability.metadata",
        "health.live",
        "health.ready",
        "watching.tell",
        "openapi.describe",
        "submitting.not_created",
        "operations.validate",
    ),
    *("hooks.discover", "hooks.preflight"),
    *("definitions.read", "definitions.search", "definitions.translate"),
    "own_keys.publish",
    *("token.smart_configuration", "token.give_token", "signing.show_form", "signing.sign_in", "signing.sign_out"),
    *("signing.sign_out_everywhere", "signing.show_account", "signing.send_again", "openid.begin", "openid.back"),
}
"""Routes that answer the same whatever records there are."""
LISTS = {
    *("worklist.show", "worklist.find", "worklist.refresh", "worklist.refresh_found", "bulk.do"),
    *("alerts.show_alerts", "entering.show_form", "entering.enter", "not_taken.show_list", "not_taken.search_list"),
    "deliveries.show_list",
    *("overview.show_overview", "overview.export_table", "overview.export_list"),
    *("auditor.search_by_url", "auditor.search_by_form", "trail.show"),
}
"""Pages of lists, closed to systems."""


def test_every_route_is_tried(world: World) -> None:
    routes = {rule.endpoint for rule in world.doors.app.url_map.iter_rules()}
    assert sorted(routes) == sorted({*READS, *WRITES, *NO_RECORD, *LISTS})


PAIRS = [
    pytest.param(SOUTH, placer, id="one sender of another's"),
    pytest.param(CHILDREN, lambda name: filler(name, Queue.PEDIATRIC), id="a filler of what stands in another's queue"),
    pytest.param(COORDINATOR, lambda _: COORDINATOR, id="a coordinator of a queue not given to her"),
]
"""Who reads, and who writes under a new name each time, so that nobody meets what they wrote before."""


@pytest.mark.parametrize(("reader", "writer"), PAIRS)
def test_another_record_is_answered_as_one_that_does_not_exist(
    world: World, reader: callers.Caller, writer: Callable[[str], callers.Caller]
) -> None:
    theirs = world.north
    before = _everything(world.doors.site, "north")
    for endpoint, case in (READS | WRITES).items():
        for kind, identity in [*theirs.ids, ("Subscription", theirs.subscription_id)]:
            nobody, other = Theirs(f"x{uuid4().hex[:4]}", theirs.born), str(uuid4())
            pairs = zip(case(kind, identity, theirs), case(kind, other, nobody), strict=True)
            for real, made_up in pairs:
                who = reader if endpoint in READS else writer(uuid4().hex)
                found = _told(world.doors, who, real, identity, theirs)
                expected = _told(world.doors, who, made_up, other, nobody)
                assert found == expected, (endpoint, real)
    assert _everything(world.doors.site, "north") == before


def _told(doors: Doors, who: callers.Caller, request: Request, identity: str, theirs: Theirs) -> tuple[Any, ...]:
    """Status, headers and body of an answer, without what differs by nature: the id asked for, new ids, the hour."""
    method, path, body, headers = request
    data = json.dumps(body) if isinstance(body, dict) else body
    sent = {"Content-Type": "application/fhir+json", "X-Request-Id": "r", **headers}
    address = f"/fhir/{path}".rstrip("/").replace("/fhir/../", "/")
    answer: Any = doors.of(who).http.open(address, method=method, data=data, headers=sent)
    text = answer.text
    assert identity in path or theirs.secret not in text.replace(f"family={theirs.secret}", ""), (request, text)
    own = ("Content-Length", "Set-Cookie")
    named = {name: _neutral(value, identity, theirs) for name, value in answer.headers if name not in own}
    return answer.status_code, sorted(named.items()), _neutral(text, identity, theirs)


def _neutral(text: str, identity: str, theirs: Theirs) -> str:
    for value in (identity, theirs.placer, theirs.medical_record, theirs.secret, theirs.client):
        text = text.replace(value, "ID")
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "AT", text)
    text = re.sub(r"_sealed=[^&\"]+", "SEALED", text)
    text = re.sub(r'name="token" value="[^"]+"', "TOKEN", text)
    text = re.sub(r"_sealed=[\w.-]+", "SEALED", text)  # sealed anew each time
    return re.sub(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [0-9:]{8} GMT", "AT", text)


@pytest.mark.parametrize("who", [NORTH, ADULTS, person("Lee", Role.LEAD), person("Kim", Role.COORDINATOR, Queue.ADULT)])
def test_whoever_has_it_in_sight_reads_all_that_belongs_to_it(world: World, who: callers.Caller) -> None:
    caller = world.doors.of(who)
    answers = {(kind, one): caller.get(f"{kind}/{one}").status_code for kind, one in world.north.ids}
    assert answers == dict.fromkeys(world.north.ids, 200)
    assert {kind for kind, _ in world.north.ids} == {
        *("Patient", "Practitioner", "PractitionerRole", "Organization", "Condition", "Communication", "Provenance"),
        *("ServiceRequest", "Task"),
    }


def found(caller: Caller, query: str) -> list[tuple[str, str]]:
    entries = caller.read(query).get("entry", [])
    return sorted((one["resource"]["resourceType"], one["resource"]["id"]) for one in entries)


def test_a_filler_finds_what_stands_in_its_queues(world: World) -> None:
    caller, theirs = world.doors.of(ADULTS), world.north
    own = dict(theirs.ids)
    both = sorted([("ServiceRequest", theirs.referral_id), ("Task", own["Task"])])
    assert found(caller, "Task?_include=Task:focus") == both
    assert found(caller, "Task?status=requested&_include=Task:patient") == sorted(
        [("Patient", own["Patient"]), ("Task", own["Task"])]
    )
    assert found(caller, "ServiceRequest?_revinclude=Task:focus") == both
    assert found(caller, f"Patient?identifier={theirs.medical_record}") == [("Patient", own["Patient"])]
    assert found(caller, f"ServiceRequest?patient={own['Patient']}") == [("ServiceRequest", theirs.referral_id)]
    assert [caller.read(f"{kind}?_summary=count")["total"] for kind in ("Task", "ServiceRequest", "Patient")] == [
        1,
        1,
        1,
    ]


def test_a_re_routed_task_leaves_the_fillers_sight(world: World) -> None:
    clinic, children = world.doors.of(ADULTS), world.doors.of(CHILDREN)
    task = clinic.task_of(world.north.referral_id)
    assert clinic.reroute(task, Queue.PEDIATRIC).status_code == 200
    assert {clinic.get(f"{kind}/{one}").status_code for kind, one in world.north.ids} == {404}
    assert clinic.patch(task, {"op": "replace", "path": "/status", "value": "accepted"}).status_code == 404
    assert clinic.read("Task?_summary=count")["total"] == 0
    assert {children.get(f"{kind}/{one}").status_code for kind, one in world.north.ids} == {200}


def test_a_filler_does_not_see_what_was_said_of_the_patient_for_another_reason(world: World) -> None:
    north, clinic = world.doors.of(placer("west")), world.doors.of(ADULTS)
    north.put("Patient/9", patient(id="9"))
    earlier = north.post("Observation", _observation("Patient/9")).get_json(force=True)["id"]
    north.create(referral("W-1", subject={"reference": "Patient/9"}))
    later = north.post("Observation", _observation("Patient/9")).get_json(force=True)["id"]
    statuses = [clinic.get(f"Observation/{one}").status_code for one in (earlier, later)]
    assert statuses == [404, 404]
    named = referral("W-2", subject={"reference": "Patient/9"}, supportingInfo=[{"reference": f"Observation/{later}"}])
    assert north.create(named).status_code == 201
    assert [clinic.get(f"Observation/{one}").status_code for one in (earlier, later)] == [404, 200]


def test_a_filler_sees_what_came_about_the_patient_in_the_request_of_the_referral(world: World) -> None:
    west, clinic = world.doors.of(placer("west")), world.doors.of(ADULTS)
    about = {"reference": "urn:uuid:11111111-1111-4111-8111-111111111111"}
    beside = _observation("") | {"subject": about, "performer": [{"reference": "Practitioner/w"}]}
    sent = bundle(
        entry(patient(), about["reference"]),
        _put({"resourceType": "Practitioner", "id": "w", "name": [{"family": "Beside"}]}),
        entry(beside),
        entry(referral("W-1", subject=about)),
    )
    answers = west.post("", sent).get_json(force=True)["entry"]
    records = ["/".join(one["response"]["location"].split("/")[-4:-2]) for one in answers]
    assert [clinic.get(one).status_code for one in records] == [200] * 4


def test_a_client_that_is_a_filler_alone_sends_no_referral(world: World) -> None:
    clinic = world.doors.of(ADULTS)
    told = [clinic.create(referral("F-1")), clinic.put("ServiceRequest/f", referral("F-1", id="f"))]
    assert [(one.status_code, "the role of a placer" in one.text) for one in told] == [(403, True)] * 2
    for kind in ("batch", "collection"):
        loose = {"resource": referral("F-1"), "fullUrl": "urn:uuid:31111111-1111-4111-8111-111111111111"}
        answer = clinic.post("", bundle(loose if kind == "collection" else entry(referral("F-1")), kind=kind))
        assert answer.get_json(force=True)["entry"][0]["response"]["status"] == "403 Forbidden"
    both = Actor("both", "both", frozenset({Role.FILLER, Role.PLACER}), frozenset({Queue.ADULT}), "both")
    caller = replace(ADULTS, actor=both, client="both")
    assert world.doors.of(caller).create(referral("F-2")).status_code == 201


def _observation(subject: str) -> Resource:
    said = {"resourceType": "Observation", "status": "final", "code": {"text": "Gait"}}
    return said | {"subject": {"reference": subject}}


def test_a_sender_sees_what_a_filler_hangs_on_its_referral_and_nothing_else_of_the_filler(world: World) -> None:
    clinic, north, south = (world.doors.of(who) for who in (ADULTS, NORTH, SOUTH))
    hung = {"resourceType": "Communication", "status": "completed"}
    on = hung | {"about": [{"reference": f"ServiceRequest/{world.north.referral_id}"}]}
    ids = [clinic.post("Communication", one).get_json(force=True)["id"] for one in (on, hung)]
    assert [[who.get(f"Communication/{one}").status_code for one in ids] for who in (clinic, north, south)] == [
        [200, 200],
        [200, 404],
        [404, 404],
    ]


def test_a_sender_sees_the_output_that_a_filler_adds_to_its_task(world: World) -> None:
    clinic, north, south = (world.doors.of(who) for who in (ADULTS, NORTH, SOUTH))
    report = {"resourceType": "DiagnosticReport", "status": "final", "code": {"text": "Clinic letter"}}
    identity = clinic.post("DiagnosticReport", report).get_json(force=True)["id"]
    task = clinic.task_of(world.north.referral_id)
    output = {"type": {"text": "letter"}, "valueReference": {"reference": f"DiagnosticReport/{identity}"}}
    assert [who.get(f"DiagnosticReport/{identity}").status_code for who in (north, south)] == [404, 404]
    for status in ("accepted", "in-progress"):
        task = clinic.patch(task, {"op": "replace", "path": "/status", "value": status}).get_json(force=True)
    assert clinic.move(task, status="completed", output=[output]).status_code == 200
    assert [who.get(f"DiagnosticReport/{identity}").status_code for who in (north, south)] == [200, 404]


def test_a_record_that_claims_to_belong_to_anothers_referral_is_not_shown_to_it(world: World) -> None:
    north, south = world.doors.of(NORTH), world.doors.of(SOUTH)
    claims = {"resourceType": "Communication", "status": "completed"}
    claims |= {"about": [{"reference": f"ServiceRequest/{world.north.referral_id}"}]}
    identity = south.post("Communication", claims).get_json(force=True)["id"]
    assert north.get(f"Communication/{identity}").status_code == 404
    refers = referral("S-9", supportingInfo=[{"reference": f"Communication/{identity}"}])
    hidden = next(one for kind, one in world.north.ids if kind == "Condition")
    refers["supportingInfo"].append({"reference": f"Condition/{hidden}"})
    assert south.create(refers).status_code == 201
    assert south.get(f"Condition/{hidden}").status_code == 404
    assert world.doors.of(filler("both", Queue.ADULT)).get(f"Communication/{identity}").status_code == 200


def test_a_filler_does_not_change_what_others_sent(world: World) -> None:
    clinic, theirs = world.doors.of(ADULTS), world.north
    patient_id = next(one for kind, one in theirs.ids if kind == "Patient")
    answers = [
        clinic.put(f"ServiceRequest/{theirs.referral_id}", referral(id=theirs.referral_id), If_Match='W/"2"'),
        clinic.put(f"Patient/{patient_id}", patient(id=patient_id)),
    ]
    assert [one.status_code for one in answers] == [403, 403]


def test_the_text_received_is_only_for_those_who_see_every_referral_in_it(world: World) -> None:
    west, clinic = world.doors.of(placer("west")), world.doors.of(ADULTS)
    child = referral("W-2", contained=[patient(CHILD_BORN, id="p")])
    answer = west.post("", bundle(entry(referral("W-1")), entry(child)))
    one, two = (part["response"]["location"].split("/")[-3] for part in answer.get_json(force=True)["entry"])
    assert [west.get(f"ServiceRequest/{id_}/$original").status_code for id_ in (one, two)] == [200, 200]
    assert [clinic.get(f"ServiceRequest/{id_}/$original").status_code for id_ in (one, two)] == [403, 404]
    both = world.doors.of(filler("both", Queue.ADULT, Queue.PEDIATRIC))
    assert both.get(f"ServiceRequest/{one}/$original").status_code == 200


def test_a_replay_says_nothing_of_another_senders_request(world: World) -> None:
    answers = [world.doors.of(who).create(referral(None), Idempotency_Key="key-north") for who in (SOUTH, NORTH)]
    assert [one.status_code for one in answers] == [201, 409]
