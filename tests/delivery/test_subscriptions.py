"""A Subscription from its handshake to its end: what its client asks for, hears, and does not hear."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from sqlalchemy import update

from referral_service.delivery.subscribers import MOST_HANDSHAKES
from referral_service.fhir.conformance import check
from referral_service.referral import Queue
from referral_service.store import subscriptions, tables
from referral_service.store.subscriptions import ERROR_AFTER
from tests.callers import placer
from tests.delivery.world import BACKPORT, PUBLIC_URL, REQUESTS, TASKS, World, status_of, subscription
from tests.ehrs import reset
from tests.receivers import status
from tests.shapes import CHILD_BORN, Caller, Resource, patient, referral, rules

SECRET = "Bearer door-key-5512"


def refused(caller: Caller, body: Resource) -> tuple[int, list[tuple[str, str]]]:
    answer = caller.post("Subscription", body)
    return answer.status_code, rules(answer.get_json(force=True))


def test_a_subscription_is_active_once_its_endpoint_has_answered_the_handshake(world: World) -> None:
    north = world.register("north")
    answer = north.post("Subscription", subscription(f"{world.hook.origin}/hook"))
    sent = answer.get_json(force=True)
    location = f"{PUBLIC_URL}/fhir/Subscription/{sent['id']}"
    assert (answer.status_code, sent["status"], answer.headers["Location"]) == (201, "requested", location)
    world.works()
    (call,) = world.hook.calls
    assert (call.path, call.headers["Content-Type"]) == ("/hook", "application/fhir+json")
    assert status_of(call.body) == {
        "subscription": location,
        "topic": TASKS,
        "status": "requested",
        "type": "handshake",
        "events-since-subscription-start": "0",
        "events": {},
    }
    now = north.read(f"Subscription/{sent['id']}")
    assert (now["status"], now["meta"]["versionId"]) == ("active", "2")


def test_what_happens_before_the_endpoint_answers_is_told_once_it_does(world: World) -> None:
    north = world.register("north")
    world.hook.answer = status(500)
    identity = north.post("Subscription", subscription(f"{world.hook.origin}/hook")).get_json(force=True)["id"]
    north.create(referral("N-1"))
    for _ in range(4):
        world.works()
        world.passes(60)
    found = north.read(f"Subscription/{identity}")
    assert (len(world.hook.calls), found["status"]) == (4, "error")
    assert found["error"] == "The last attempt to reach the endpoint failed: http-500."
    world.hook.answer, world.hook.calls = None, []
    world.works()
    assert [status_of(call.body)["type"] for call in world.hook.calls] == ["handshake", "event-notification"]
    assert [one[0] for one in world.told()] == [1]
    assert north.read(f"Subscription/{identity}")["status"] == "active"


def test_an_endpoint_that_never_answers_is_left_alone_until_its_client_asks_again(world: World) -> None:
    north = world.register("north")
    world.hook.answer = status(500)
    identity = north.post("Subscription", subscription(f"{world.hook.origin}/hook")).get_json(force=True)["id"]
    with world.site.store.writing() as connection:
        connection.execute(update(tables.subscription).values(failures=MOST_HANDSHAKES - 1))
    world.works()
    world.passes(3600)
    world.works()
    found = north.read(f"Subscription/{identity}")
    assert (len(world.hook.calls), found["status"]) == (1, "error")
    north.create(referral("N-1"))
    world.works()
    assert world.deliveries() == []
    world.hook.answer = None
    answer = north.put(f"Subscription/{identity}", found | {"status": "requested"})
    assert (answer.status_code, answer.get_json(force=True)["status"]) == (200, "requested")
    world.works()
    assert north.read(f"Subscription/{identity}")["status"] == "active"


def test_every_change_is_an_event_with_the_next_number(world: World) -> None:
    north, clinic = world.register("north"), world.register("clinic", Queue.ADULT)
    identity = world.subscribed(north)
    task = north.task_of(north.create(referral("N-1")).get_json(force=True)["id"])
    for wanted in ("received", "accepted", "in-progress"):
        task = clinic.patch(task, {"op": "replace", "path": "/status", "value": wanted}).get_json(force=True)
    world.works()
    kinds = ("requested", "received", "accepted", "in-progress")
    assert world.told() == [(number, "Task", task["id"], kind) for number, kind in enumerate(kinds, start=1)]
    assert {status_of(call.body)["type"] for call in world.hook.calls} == {"event-notification"}
    found = status_of(north.read(f"Subscription/{identity}/$status"))
    assert (found["status"], found["type"], found["events-since-subscription-start"]) == ("active", "query-status", "4")


def test_a_referral_is_told_of_when_it_is_created_updated_and_cancelled(world: World) -> None:
    north = world.register("north")
    world.subscribed(north, REQUESTS)
    sent = north.create(referral("N-1")).get_json(force=True)
    for changed in ({"patientInstruction": "Bring the list."}, {"status": "revoked"}):
        sent = north.put(
            f"ServiceRequest/{sent['id']}", sent | changed, If_Match=f'W/"{sent["meta"]["versionId"]}"'
        ).get_json(force=True)
    world.works()
    assert world.told() == [
        (number, "ServiceRequest", sent["id"], kind)
        for number, kind in enumerate(("active", "active", "revoked"), start=1)
    ]


@pytest.mark.parametrize("payload", ["empty", "id-only", "full-resource"])
def test_a_notification_is_valid_and_tells_no_more_than_was_asked_for(world: World, payload: str) -> None:
    north = world.register("north")
    identity = world.subscribed(north, TASKS, payload)
    task = north.task_of(north.create(referral("N-1")).get_json(force=True)["id"])
    world.works()
    (call,) = world.hook.calls
    bundle, address = call.body, f"{PUBLIC_URL}/fhir/Task/{task['id']}"
    assert [issue for issue in check(bundle) if issue.is_error] == []
    first, *others = bundle["entry"]
    assert (first["request"], first["response"]) == (
        {"method": "GET", "url": f"{PUBLIC_URL}/fhir/Subscription/{identity}/$status"},
        {"status": "200"},
    )
    created = {"status": "201", "etag": 'W/"1"', "lastModified": task["meta"]["lastUpdated"]}
    entry = {"fullUrl": address, "request": {"method": "POST", "url": "Task"}, "response": created}
    assert others == {"empty": [], "id-only": [entry], "full-resource": [entry | {"resource": task}]}[payload]
    event = {"timestamp": task["meta"]["lastUpdated"]} | ({} if payload == "empty" else {"focus": address})
    told = status_of(bundle)
    assert (told["events"], told.get("topic")) == ({"1": event}, None if payload == "empty" else TASKS)
    if payload != "full-resource":
        assert "N-1" not in json.dumps(bundle)


@pytest.mark.parametrize(
    ("topic", "filters", "told"),
    [
        (TASKS, ["Task?status=accepted,rejected"], ["accepted"]),
        (TASKS, ["status=requested"], ["requested", "requested"]),
        (TASKS, ["Task?owner=HealthcareService/adult-movement-disorders", "Task?status=requested"], ["requested"]),
        (TASKS, ["Task?owner=pediatric-neuromotor"], ["requested"]),
        (TASKS, ["Task?code=G24.3&status=accepted"], ["accepted"]),
        (TASKS, ["Task?code=http://hl7.org/fhir/sid/icd-10-cm|G24.8"], ["requested"]),
        (TASKS, ["Task?code=urn:other|G24.3"], []),
        (TASKS, ["Task?requester=Practitioner/1"], ["requested", "accepted"]),
        (REQUESTS, ["ServiceRequest?owner=HealthcareService/pediatric-neuromotor"], ["active"]),
        (REQUESTS, ["ServiceRequest?code=G24.3"], ["active"]),
    ],
)
def test_only_what_fits_every_filter_is_told(world: World, topic: str, filters: list[str], told: list[str]) -> None:
    north, clinic = world.register("north"), world.register("clinic", Queue.ADULT)
    north.put("Practitioner/1", {"resourceType": "Practitioner", "id": "1"})
    world.subscribed(north, topic, filters=filters)
    adult = north.create(referral("N-1", requester={"reference": "Practitioner/1"})).get_json(force=True)["id"]
    child = referral("N-2", "Generalized dystonia", contained=[patient(CHILD_BORN, id="p")])
    north.create(child)
    accept = {"op": "replace", "path": "/status", "value": "accepted"}
    assert clinic.patch(north.task_of(adult), accept).status_code == 200
    world.works()
    assert [one[3] for one in world.told()] == told


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"criteria": "Task?status=accepted"}, ("subscription-topic", "Subscription.criteria")),
        ({"filters": ["Task?priority=stat"]}, ("subscription-filter", "Subscription.criteria.extension")),
        ({"filters": ["Patient?status=x"]}, ("subscription-filter", "Subscription.criteria.extension")),
        ({"filters": ["Task?status:not=accepted"]}, ("subscription-filter", "Subscription.criteria.extension")),
        ({"channel": {"type": "email"}}, ("subscription-channel", "Subscription.channel.type")),
        ({"channel": {"payload": "application/fhir+xml"}}, ("subscription-channel", "Subscription.channel.payload")),
        ({"payload": "everything"}, ("subscription-channel", "Subscription.channel.payload.extension")),
        ({"channel": {"header": ["Host: elsewhere"]}}, ("subscription-channel", "Subscription.channel.header")),
        ({"channel": {"header": ["Content-Encoding: gzip"]}}, ("subscription-channel", "Subscription.channel.header")),
        ({"channel": {"header": ["Expect: 100-continue"]}}, ("subscription-channel", "Subscription.channel.header")),
        (
            {"channel": {"header": ["Authorization: a", "authorization: b"]}},
            ("subscription-channel", "Subscription.channel.header"),
        ),
        ({"filters": ["Task?status=acceptd"]}, ("subscription-filter", "Subscription.criteria.extension")),
        ({"filters": ["Task?status=accepted,active"]}, ("subscription-filter", "Subscription.criteria.extension")),
        (
            {"filters": ["Task?owner=HealthcareService/nope"]},
            ("subscription-filter", "Subscription.criteria.extension"),
        ),
        ({"channel": {"header": ["X: a\tb\u0085c"]}}, ("subscription-channel", "Subscription.channel.header")),
        (
            {"periods": {"backport-heartbeat-period": {"valueUnsignedInt": 1}}},
            ("subscription-channel", "Subscription.channel.extension"),
        ),
        ({"status": "off"}, ("subscription-status", "Subscription.status")),
        ({"status": "error"}, ("subscription-status", "Subscription.status")),
        ({"end": "2020-01-01T00:00:00Z"}, ("subscription-end", "Subscription.end")),
        ({"endpoint": "https://elsewhere.example/hook"}, ("subscription-endpoint", "Subscription.channel.endpoint")),
        ({"endpoint": "{origin}0/hook"}, ("subscription-endpoint", "Subscription.channel.endpoint")),
        ({"endpoint": "{origin}@elsewhere.example/"}, ("subscription-endpoint", "Subscription.channel.endpoint")),
        ({"endpoint": "file:///etc/passwd"}, ("subscription-endpoint", "Subscription.channel.endpoint")),
    ],
)
def test_what_is_not_done_here_is_refused_with_the_reason(
    world: World, changed: dict[str, Any], found: tuple[str, str]
) -> None:
    north, given = world.register("north"), dict(changed)
    topic = given.pop("criteria", TASKS)
    endpoint = given.pop("endpoint", "{origin}/hook").replace("{origin}", world.hook.origin)
    assert refused(north, subscription(endpoint, topic, **given)) == (422, [found])


def test_plain_http_is_only_for_origins_that_the_site_lists(world: World) -> None:
    north = world.register("north")
    world.doors.app.extensions["outbound"] = frozenset()
    fault = ("subscription-endpoint", "Subscription.channel.endpoint")
    assert refused(north, subscription(f"{world.hook.origin}/hook")) == (422, [fault])


def test_who_may_not_read_tasks_is_not_told_of_them(world: World) -> None:
    north = world.register("north", scopes=("system/Subscription.crud system/ServiceRequest.cr",))
    assert refused(north, subscription(f"{world.hook.origin}/hook"))[0] == 403
    assert north.post("Subscription", subscription(f"{world.hook.origin}/hook", REQUESTS)).status_code == 201


def test_nobody_is_told_of_what_another_has_sent(world: World) -> None:
    north, south = world.register("north"), world.register("south")
    world.subscribed(north)
    world.subscribed(south, path="/south")
    south.create(referral("S-1"))
    world.works()
    assert [call.path for call in world.hook.calls] == ["/south"]


def test_a_filler_is_told_of_what_stands_in_its_queues_at_that_moment(world: World) -> None:
    north, clinic = world.register("north"), world.register("clinic", Queue.ADULT)
    childrens = world.register("childrens", Queue.PEDIATRIC)
    world.subscribed(clinic, path="/clinic")
    world.subscribed(childrens, path="/childrens")
    task = north.task_of(north.create(referral("N-1")).get_json(force=True)["id"])
    world.works()
    assert clinic.reroute(task, Queue.PEDIATRIC).status_code == 200
    world.works()
    assert [call.path for call in world.hook.calls] == ["/clinic", "/childrens"]


def test_an_event_whose_focus_has_left_the_sight_of_its_client_is_sent_without_it(world: World) -> None:
    north, clinic = world.register("north"), world.register("clinic", Queue.ADULT)
    identity = world.subscribed(clinic)
    task = north.task_of(north.create(referral("N-1")).get_json(force=True)["id"])
    world.hook.answer = status(503)
    world.works()
    clinic.reroute(task, Queue.PEDIATRIC)
    world.hook.answer, world.hook.calls = None, []
    world.passes(5)
    world.works()
    (call,) = world.hook.calls
    assert (len(call.body["entry"]), status_of(call.body)["events"]) == (
        1,
        {"1": {"timestamp": task["meta"]["lastUpdated"]}},
    )
    again = clinic.read(f"Subscription/{identity}/$events?content=full-resource")
    assert (len(again["entry"]), list(status_of(again)["events"])) == (1, ["1"])


def test_a_client_that_is_revoked_is_told_nothing_further(world: World) -> None:
    from referral_service.store import systems

    north = world.register("north")
    world.subscribed(north)
    north.create(referral("N-1"))
    world.hook.answer = status(503)
    world.works()
    with world.site.store.writing() as connection:
        systems.revoke(connection, "north", world.at)
    north.create(referral("N-2"))
    world.hook.answer, world.hook.calls = None, []
    world.passes(5)
    world.works()
    assert (world.hook.calls, world.states()) == ([], ["dropped"])


def test_events_of_a_type_that_the_token_may_not_read_are_asked_for_without_what_they_are_about(world: World) -> None:
    north = world.register("north")
    identity = world.subscribed(north, TASKS)
    north.create(referral("N-1"))
    world.works()
    some = world.doors.of(placer("north", "system/Subscription.cruds system/ServiceRequest.r"))
    assert some.get(f"Subscription/{identity}/$events").status_code == 403
    moved = subscription(f"{world.hook.origin}/hook", REQUESTS) | {"id": identity}
    assert some.put(f"Subscription/{identity}", moved).status_code == 200
    found = some.read(f"Subscription/{identity}/$events?content=full-resource")
    (event,) = status_of(found)["events"].values()
    assert (len(found["entry"]), list(event)) == (1, ["timestamp"])


def test_one_that_is_deleted_while_a_notification_is_in_hand_leaves_nothing_given_up(world: World) -> None:
    north = world.register("north")
    identity = world.subscribed(north)
    north.create(referral("N-1"))

    def deletes(request: BaseHTTPRequestHandler) -> None:
        north.http.open(f"/fhir/Subscription/{identity}", method="DELETE")
        status(410)(request)

    world.hook.answer = deletes
    world.works()
    assert (len(world.hook.calls), world.states()) == (1, ["dropped"])


def test_events_can_be_asked_for_again_by_their_numbers(world: World) -> None:
    north = world.register("north")
    identity = world.subscribed(north, TASKS, "id-only")
    ids = [north.task_of(north.create(referral(f"N-{n}")).get_json(force=True)["id"])["id"] for n in range(5)]
    world.works()
    found = north.read(f"Subscription/{identity}/$events?eventsSinceNumber=2&eventsUntilNumber=4")
    assert [issue for issue in check(found) if issue.is_error] == []
    told = status_of(found)
    assert (told["type"], told["events-since-subscription-start"]) == ("query-event", "5")
    assert {number: one["focus"] for number, one in told["events"].items()} == {
        str(number): f"{PUBLIC_URL}/fhir/Task/{ids[number - 1]}" for number in (2, 3, 4)
    }
    whole = north.read(f"Subscription/{identity}/$events?eventsSinceNumber=5&content=full-resource")
    assert [entry["resource"]["id"] for entry in whole["entry"][1:]] == [ids[4]]
    assert north.get(f"Subscription/{identity}/$events?eventsSinceNumber=x").status_code == 400


def test_a_header_goes_along_and_is_never_shown_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    north = world.register("north")
    identity = world.subscribed(north, channel={"header": [f"Authorization: {SECRET}"]})
    shown = north.read(f"Subscription/{identity}")
    assert shown["channel"]["header"] == ["Authorization: ***"]
    answer = north.put(f"Subscription/{identity}", shown | {"reason": "Another reason"})
    assert (answer.status_code, SECRET in answer.text) == (200, False)
    world.works()
    north.create(referral("N-1"))
    world.works()
    assert [call.headers["Authorization"] for call in world.hook.calls] == [SECRET, SECRET]
    assert SECRET not in caplog.text


def test_a_heartbeat_comes_when_nothing_was_told_for_its_period(world: World) -> None:
    north = world.register("north")
    world.subscribed(north, periods={"backport-heartbeat-period": {"valueUnsignedInt": 60}})
    world.passes(50)
    north.create(referral("N-1"))
    world.works()
    world.passes(50)
    world.works()
    assert [status_of(call.body)["type"] for call in world.hook.calls] == ["event-notification"]
    world.passes(10)
    world.works()
    world.passes(59)
    world.works()
    world.passes(1)
    world.works()
    assert [status_of(call.body)["type"] for call in world.hook.calls] == ["event-notification", *["heartbeat"] * 2]
    assert status_of(world.hook.calls[-1].body)["events-since-subscription-start"] == "1"


def test_a_heartbeat_that_is_not_taken_comes_again_in_ever_longer_steps(world: World) -> None:
    world.subscribed(world.register("north"), periods={"backport-heartbeat-period": {"valueUnsignedInt": 10}})
    world.hook.answer = status(503)
    world.passes(10)
    pauses = []
    for _ in range(8):
        assert world.works() == 1
        with world.site.store.reading() as connection:
            before, world.at = world.at, datetime.fromisoformat(subscriptions.next_due(connection) or "")
        pauses.append((world.at - before).total_seconds())
    assert pauses == [10, 10, 10, 10, 16, 32, 64, 128]


def test_while_a_receiver_is_silent_its_client_is_told_nothing_elsewhere_and_others_are(world: World) -> None:
    north, south = world.register("north"), world.register("south")
    beating = {"backport-heartbeat-period": {"valueUnsignedInt": 10}}
    for caller, path in ((north, "/n-1"), (north, "/n-2"), (south, "/s")):
        world.subscribed(caller, path=path, periods=beating)
    world.hook.answer = reset
    world.passes(10)
    world.works()
    heard = [call.path for call in world.hook.calls]
    assert (len(heard), heard.count("/s")) == (2, 1)
    north.create(referral("N-1"))
    world.hook.calls.clear()
    world.works()
    assert [call.path for call in world.hook.calls] in (["/n-1"], ["/n-2"])


def test_after_its_end_nothing_is_told(world: World) -> None:
    north = world.register("north")
    end = world.at + timedelta(hours=1)
    identity = world.subscribed(north, end=end.isoformat())
    world.at = end
    north.create(referral("N-1"))
    world.works()
    assert (world.hook.calls, north.read(f"Subscription/{identity}")["status"]) == ([], "off")


def test_one_that_is_off_or_deleted_is_told_nothing(world: World) -> None:
    north = world.register("north")
    off, gone = world.subscribed(north, path="/off"), world.subscribed(north, path="/gone")
    north.create(referral("N-1"))
    world.hook.answer = status(503)
    world.works()
    shown = north.read(f"Subscription/{off}")
    assert north.put(f"Subscription/{off}", shown | {"status": "off"}).get_json(force=True)["status"] == "off"
    ended = north.http.open(f"/fhir/Subscription/{gone}", method="DELETE")
    assert (ended.status_code, ended.data, "Content-Type" in ended.headers) == (204, b"", False)
    assert north.get(f"Subscription/{gone}").status_code == 404
    north.create(referral("N-2"))
    world.hook.calls.clear()
    world.passes(600)
    world.works()
    assert (world.hook.calls, world.states()) == ([], ["dropped", "dropped"])


def test_one_that_fails_again_and_again_is_in_error_and_active_once_it_is_reached(world: World) -> None:
    north = world.register("north")
    identity = world.subscribed(north)
    north.create(referral("N-1"))
    world.hook.answer = status(502)
    for _ in range(ERROR_AFTER - 1):
        world.works()
        world.passes(3600)
    assert north.read(f"Subscription/{identity}")["status"] == "active"
    world.works()
    world.passes(3600)
    found = north.read(f"Subscription/{identity}/$status")
    assert (status_of(found)["status"], status_of(found)["error"]) == ("error", {"text": "http-502"})
    north.create(referral("N-2"))
    world.hook.answer = None
    world.works()
    assert north.read(f"Subscription/{identity}")["status"] == "active"
    assert [one[0] for one in world.told()][-2:] == [1, 2]


def test_what_changes_while_a_subscription_is_asked_for_anew_is_told_afterwards(world: World) -> None:
    north = world.register("north")
    identity = world.subscribed(north)
    world.hook.answer = status(500)
    north.put(f"Subscription/{identity}", north.read(f"Subscription/{identity}") | {"status": "requested"})
    north.create(referral("N-1"))
    world.works()
    assert [status_of(call.body)["type"] for call in world.hook.calls] == ["handshake"]
    world.hook.answer, world.hook.calls = None, []
    world.passes(2)
    world.works()
    assert [status_of(call.body)["type"] for call in world.hook.calls] == ["handshake", "event-notification"]


def test_one_finds_its_own_and_changes_none_of_anothers(world: World) -> None:
    north, south = world.register("north"), world.register("south")
    one = world.subscribed(north, path="/a")
    other = world.subscribed(north, path="/b")

    def found(caller: Caller, query: str = "") -> list[str]:
        return [entry["resource"]["id"] for entry in caller.read(f"Subscription{query}").get("entry", [])]

    assert (sorted(found(north)), found(south)) == (sorted([one, other]), [])
    assert found(north, f"?url={world.hook.origin}/b") == [other]
    assert (found(north, "?status=active&_id=" + one), found(north, "?status=off")) == ([one], [])
    assert north.get("Subscription?criteria=x").status_code == 400
    shown = north.read(f"Subscription/{one}")
    answers = [
        south.get(f"Subscription/{one}"),
        south.get(f"Subscription/{one}/$status"),
        south.get(f"Subscription/{one}/$events"),
        south.put(f"Subscription/{one}", shown),
        south.http.open(f"/fhir/Subscription/{one}", method="DELETE"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 5
    assert north.read(f"Subscription/{one}") == shown


def test_a_stale_change_is_refused(world: World) -> None:
    north = world.register("north")
    identity = world.subscribed(north)
    shown = north.read(f"Subscription/{identity}")
    assert north.put(f"Subscription/{identity}", shown, If_Match='W/"1"').status_code == 412
    assert north.put(f"Subscription/{identity}", shown, If_Match='W/"2"').status_code == 200
    assert north.put("Subscription/other", shown).status_code == 400


def test_the_topics_stand_in_the_capability_statement(world: World) -> None:
    north = world.register("north")
    resources = north.read("metadata")["rest"][0]["resource"]
    (found,) = [one for one in resources if one["type"] == "Subscription"]
    url = f"{BACKPORT}/capabilitystatement-subscriptiontopic-canonical"
    assert found["extension"] == [{"url": url, "valueCanonical": topic} for topic in (TASKS, REQUESTS)]
    assert [one["code"] for one in found["interaction"]] == ["create", "read", "update", "delete", "search-type"]
    assert {"status", "events"} < {one["name"] for one in found["operation"]}
