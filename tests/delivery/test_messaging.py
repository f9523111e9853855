"""A sender is told by messages of its programme: each is valid, says what it answers, and is one however often sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from referral_service.fhir.conformance import check
from referral_service.referral import Queue
from referral_service.store import deliveries, systems
from referral_service.worklist import Role
from tests.callers import person
from tests.delivery.world import PUBLIC_URL, World
from tests.receivers import Handler, status
from tests.shapes import OWN, Caller, Resource, bundle, entry, referral

DOOR = "$process-message"
REFERRAL, HEADER = "urn:uuid:7f7b2b52-0000-4000-8000-000000000001", "urn:uuid:7f7b2b52-0000-4000-8000-000000000002"
EVENTS = {
    "bser": {"system": "http://terminology.hl7.org/CodeSystem/v2-0003", "code": "I12"},
    "bars": {"system": "https://fhir.nhs.uk/CodeSystem/message-events-bars", "code": "servicerequest-request"},
}
DEFINITIONS = {"bser": "bser-referral-status", "bars": "bars-servicerequest-response"}
WAYS = pytest.mark.parametrize("way", sorted(EVENTS))


def sender(world: World, way: str, **more: Any) -> Caller:
    return world.register("north", ehr_base=f"{world.hook.origin}/r4", tell=way, **more)


def message(way: str, number: str = "N-1", message_id: str = "m-1", **changed: Any) -> Resource:
    header = {
        "resourceType": "MessageHeader",
        "id": message_id,
        "eventCoding": EVENTS[way],
        "source": {"name": "North", "endpoint": "https://north.example/messages"},
        "focus": [{"reference": REFERRAL}],
    }
    listed = [entry(header, HEADER), entry(referral(number, **changed), REFERRAL)]
    return bundle(*({name: one[name] for name in ("fullUrl", "resource")} for one in listed), kind="message")


def sent_by_message(north: Caller, way: str, **more: Any) -> Resource:
    """The Task of a referral that came by message."""
    answer = north.post(DOOR, message(way) | {"id": "b-1"} | more)
    assert answer.status_code == 200, answer.text
    return north.read(json.loads(answer.data)["entry"][0]["resource"]["focus"][0]["reference"].rpartition("fhir/")[2])


def told(world: World) -> list[Resource]:
    """The messages that came, each looked at: it is valid and came to the right door."""
    found = []
    for call in world.hook.calls:
        assert (call.method, call.path) == ("POST", f"/r4/{DOOR}")
        assert [issue for issue in check(call.body) if issue.is_error] == []
        found.append(call.body)
    return found


def part(sent: Resource, kind: str) -> Resource:
    (found,) = (one["resource"] for one in sent["entry"] if one["resource"]["resourceType"] == kind)
    return dict(found)


def says(code: str) -> Handler:
    """The answer to a message, at 200."""
    header = {"resourceType": "MessageHeader", "response": {"identifier": "x", "code": code}}
    body = {"resourceType": "Bundle", "type": "message", "entry": [{"resource": header}]}
    return status(200, json.dumps(body).encode(), **{"Content-Type": "application/fhir+json"})


@WAYS
def test_each_change_is_a_message_of_the_senders_programme(world: World, way: str) -> None:
    north = sender(world, way)
    task = sent_by_message(north, way)
    clinic = world.register("clinic", Queue.ADULT)
    clinic.move(task, status="accepted")
    world.works()
    messages = told(world)
    tasks = [part(one, "Task") for one in messages]
    assert [(one["id"], one["meta"]["versionId"], one["status"]) for one in tasks] == [
        (task["id"], "1", "requested"),
        (task["id"], "2", "accepted"),
    ]
    header = part(messages[0], "MessageHeader")
    assert header["definition"] == f"{OWN}/MessageDefinition/{DEFINITIONS[way]}"
    assert header["response"] == {"identifier": "b-1" if way == "bars" else "m-1", "code": "ok"}
    assert header["destination"] == [{"name": "North", "endpoint": "https://north.example/messages"}]
    focus = task["focus"]["reference"] if way == "bars" else f"Task/{task['id']}"
    assert header["focus"] == [{"reference": f"{PUBLIC_URL}/fhir/{focus}"}]
    assert part(messages[0], "ServiceRequest")["id"] == task["focus"]["reference"].rpartition("/")[2]
    assert world.states() == ["delivered", "delivered"]


@pytest.mark.parametrize(("given", "named"), [({"id": "b-1"}, "b-1"), ({"id": None}, "m-1")])
def test_bars_is_answered_by_the_id_of_its_bundle_where_that_came(world: World, given: Resource, named: str) -> None:
    north = sender(world, "bars")
    sent = message("bars") | given
    assert north.post(DOOR, {name: one for name, one in sent.items() if one is not None}).status_code == 200
    world.works()
    assert part(told(world)[0], "MessageHeader")["response"]["identifier"] == named


@WAYS
def test_a_referral_that_came_by_no_message_is_told_of_by_one_that_answers_none(world: World, way: str) -> None:
    north = sender(world, way)
    north.create(referral("N-1"))
    world.works()
    header = part(told(world)[0], "MessageHeader")
    assert "response" not in header
    assert header["destination"] == [{"name": "The system north", "endpoint": f"{world.hook.origin}/r4/{DOOR}"}]


@WAYS
def test_what_is_told_after_an_update_still_answers_the_message_that_the_referral_came_by(
    world: World, way: str
) -> None:
    north = sender(world, way)
    sent_by_message(north, way)
    assert north.post(DOOR, message(way, message_id="m-2", status="revoked") | {"id": "b-2"}).status_code == 200
    world.works()
    heads = [part(one, "MessageHeader")["response"]["identifier"] for one in told(world)]
    assert heads == ["b-1" if way == "bars" else "m-1"] * 2
    assert [part(one, "Task")["status"] for one in told(world)] == ["requested", "cancelled"]


@WAYS
def test_a_message_sent_again_is_the_same_to_the_last_letter_and_no_two_changes_share_an_id(
    world: World, way: str
) -> None:
    north = sender(world, way)
    task = sent_by_message(north, way)
    world.hook.answer = status(503)
    world.works()
    world.register("clinic", Queue.ADULT).move(task, status="accepted")
    reference = task["focus"]["reference"]
    before = north.read(reference)
    etag = f'W/"{before["meta"]["versionId"]}"'
    assert north.put(reference, before | {"patientInstruction": "Ring twice."}, If_Match=etag).status_code == 200
    world.hook.answer = None
    world.passes(1)
    world.works()
    first, again, *others = told(world)
    assert first == again
    ids = [one["id"] for one in (first, *others)]
    assert [part(one, "MessageHeader")["id"] for one in (first, *others)] == ids
    assert len(set(ids)) == len(ids) > 1
    assert "patientInstruction" not in part(first, "ServiceRequest")


@WAYS
def test_of_a_referral_entered_in_error_nothing_is_told_but_that(world: World, way: str) -> None:
    north = sender(world, way)
    task = sent_by_message(north, way)
    answer = north.post(DOOR, message(way, message_id="m-2", status="entered-in-error"))
    assert answer.status_code == 200, answer.text
    world.works()
    referrals = [part(one, "ServiceRequest") for one in told(world)]
    assert [one["status"] for one in referrals] == ["entered-in-error"] * 2
    assert "Cervical" not in json.dumps(referrals)
    assert task["id"] == part(told(world)[0], "Task")["id"]


@WAYS
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (status(200), ("delivered", 0, None)),
        (status(202), ("delivered", 0, None)),
        (status(200, b"thanks"), ("delivered", 0, None)),
        (status(200, b'{"type": "message", "entry": [[]]}'), ("delivered", 0, None)),
        (says("ok"), ("delivered", 0, None)),
        (says("fatal-error"), ("dead", 0, "fatal-error")),
        (says("transient-error"), ("waiting", 1, "transient-error")),
        (status(400), ("dead", 0, "http-400")),
        (status(409), ("dead", 0, "http-409")),
        (status(500), ("waiting", 1, "http-500")),
        (status(200, b" " * (4 * 1024 * 1024 + 1)), ("waiting", 1, "too-large")),
    ],
)
def test_the_status_says_what_became_of_it_unless_the_answer_says_that_it_failed(
    world: World, way: str, answer: Handler, expected: tuple[str, int, str | None]
) -> None:
    sent_by_message(sender(world, way), way)
    world.hook.answer = answer
    world.works()
    assert [row[3:] for row in world.deliveries()] == [expected]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (says("fatal-error"), "Given up: it answered that it cannot take the message"),
        (says("transient-error"), "1 attempt failed: it answered that it cannot take the message now"),
    ],
)
def test_what_an_answer_said_is_told_in_words(world: World, answer: Handler, words: str) -> None:
    sent_by_message(sender(world, "bser"), "bser")
    world.hook.answer = answer
    world.works()
    page = world.doors.of(person("Ida", Role.INTEGRATOR)).http.get("/deliveries").text
    assert [one for one in (words, "by a message of BSeR") if one not in page] == []


@pytest.mark.parametrize(("way", "state"), [("bars", "delivered"), ("bser", "dead")])
def test_in_bars_a_conflict_tells_that_an_earlier_try_has_come(world: World, way: str, state: str) -> None:
    sent_by_message(sender(world, way), way)
    world.hook.answer = status(504)
    world.works()
    world.hook.answer = status(409)
    world.passes(1)
    world.works()
    assert world.states() == [state]


def test_a_conflict_at_the_first_try_stays_one_when_it_is_sent_again_by_hand(world: World) -> None:
    sent_by_message(sender(world, "bars"), "bars")
    world.hook.answer = status(409)
    world.works()
    with world.site.store.writing() as connection:
        assert deliveries.replay(connection, ("bars", "north", 1), world.at)
    world.works()
    assert (world.states(), len(world.hook.calls)) == (["dead"], 2)


def test_a_bars_request_is_traced_by_the_ids_of_the_message_and_of_the_referral(world: World) -> None:
    task = sent_by_message(sender(world, "bars"), "bars")
    world.works()
    (call,) = world.hook.calls
    named = {name.lower(): value for name, value in call.headers.items()}
    assert named["x-request-id"] == call.body["id"]
    assert named["x-correlation-id"] == task["focus"]["reference"].rpartition("/")[2]


@pytest.mark.parametrize("way", ["task", *sorted(EVENTS)])
def test_forwarded_then_declined_the_original_sender_is_told(world: World, way: str) -> None:
    north = sender(world, way)
    other = world.register("south", ehr_base=f"{world.hook.origin}/south", tell="task")
    task = north.task_of(north.create(referral("N-1")).json["id"])
    adults, children = world.register("clinic", Queue.ADULT), world.register("childrens", Queue.PEDIATRIC)
    assert adults.reroute(task, Queue.PEDIATRIC).status_code == 200
    task = children.read(f"Task/{task['id']}")
    reason = {"coding": [{"system": f"{OWN}/CodeSystem/status-reason", "code": "out-of-scope"}], "text": "Not ours."}
    declined = children.move(task, status="rejected", statusReason=reason)
    assert declined.status_code == 200, declined.text
    world.works()
    bodies = [call.body for call in world.hook.calls if call.path.startswith("/r4/")]
    tasks = bodies if way == "task" else [part(one, "Task") for one in bodies]
    assert len(bodies) == len(world.hook.calls) == 3
    assert [(one["status"], one["owner"]["reference"].rpartition("/")[2]) for one in tasks] == [
        ("requested", "adult-movement-disorders"),
        ("requested", "pediatric-neuromotor"),
        ("rejected", "pediatric-neuromotor"),
    ]
    assert tasks[-1]["statusReason"]["text"] == "Not ours."
    assert other.read("Task?status=rejected").get("entry", []) == []


def test_a_change_of_the_way_ends_what_was_to_be_told_in_the_old_one(world: World) -> None:
    sent_by_message(sender(world, "bser"), "bser")
    world.hook.answer = status(503)
    world.works()
    with world.site.store.writing() as connection:
        assert systems.revoke(connection, "north", world.at)
    sender(world, "bars")
    world.hook.answer = None
    world.passes(60)
    world.works()
    assert (world.states(), len(world.hook.calls)) == (["dropped"], 1)
