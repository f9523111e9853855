"""Deliveries are tried until they are taken, in order, and by one worker at a time; what is refused is given up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from threading import Thread

import pytest
from sqlalchemy import update

from referral_service.delivery.dispatching import Dispatcher
from referral_service.delivery.ground import Ground
from referral_service.referral import Queue
from referral_service.store import deliveries, systems, tables
from referral_service.store.leases import LEASE
from referral_service.store.writes import insert_all
from tests.delivery.world import PUBLIC_URL, World, status_of
from tests.receivers import Handler, Receiver, status
from tests.shapes import Caller, Resource, referral

ACCEPT = {"op": "replace", "path": "/status", "value": "accepted"}
RECEIVE = {"op": "replace", "path": "/status", "value": "received"}


def task_of(caller: Caller, number: str = "N-1") -> Resource:
    return caller.task_of(caller.create(referral(number)).get_json(force=True)["id"])


def numbers(world: World) -> list[int]:
    return [int(number) for call in world.hook.calls for number in status_of(call.body)["events"]]


def refuses(number: str, answer: Handler) -> Handler:
    """Answers only the event of this number so, and takes all others."""

    def handle(request: BaseHTTPRequestHandler) -> None:
        receiver: Receiver = request.server.receiver  # type: ignore[attr-defined]
        is_meant = number in status_of(receiver.calls[-1].body)["events"]
        (answer if is_meant else status(204))(request)

    return handle


@pytest.fixture
def other() -> Iterator[Receiver]:
    receiver = Receiver()
    with receiver.open():
        yield receiver


def test_a_receiver_that_is_down_is_tried_in_ever_longer_steps(world: World) -> None:
    north = world.register("north")
    world.subscribed(north)
    task_of(north)
    world.hook.answer = status(503)
    pauses = []
    for _ in range(12):
        world.works()
        before, world.at = world.at, due(world)
        pauses.append((world.at - before).total_seconds())
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


def due(world: World) -> datetime:
    with world.site.store.reading() as connection:
        return datetime.fromisoformat(deliveries.next_due(connection) or "")


@pytest.mark.parametrize(
    ("answer", "until"),
    [
        (status(429, **{"Retry-After": "120"}), 120),
        (status(503, **{"Retry-After": "7"}), 7),
        (status(503, **{"Retry-After": "soon"}), 1),
        (status(503, **{"Retry-After": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}), 1),
        (status(503, **{"Retry-After": "Fri, 31 Dec 9999 23:59:59 -2359"}), 24 * 3600),
        (status(408), 1),
        (status(425), 1),
        (status(301, Location="https://elsewhere.example/"), 1),
    ],
)
def test_what_may_go_better_later_is_tried_again_when_the_receiver_asks_for_it(
    world: World, answer: Handler, until: float
) -> None:
    north = world.register("north")
    world.subscribed(north)
    task_of(north)
    world.hook.answer = answer
    world.works()
    assert ((due(world) - world.at).total_seconds(), world.states()) == (until, ["waiting"])


def test_a_fault_that_nobody_foresaw_is_a_failure_of_its_delivery_alone(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    north, south = world.register("north"), world.register("south")
    broken, sound = world.subscribed(north, path="/north"), world.subscribed(south, path="/south")
    with world.site.store.writing() as connection:
        table = tables.subscription
        connection.execute(update(table).where(table.c.id == broken).values(headers="no list"))
    task_of(north)
    task_of(south, "S-1")
    world.works()
    told = [("subscription", broken, 1, "waiting", 1, "unforeseen"), ("subscription", sound, 1, "delivered", 0, None)]
    assert world.deliveries() == sorted(told)
    assert [line for line in caplog.messages if line.startswith("delivery_failed kind=JSONDecodeError at=")]


@pytest.mark.parametrize("number", [400, 401, 403, 404, 410, 422])
def test_what_is_refused_for_good_is_given_up_at_once(world: World, number: int) -> None:
    north = world.register("north")
    identity = world.subscribed(north)
    task_of(north)
    world.hook.answer = status(number)
    world.works()
    assert world.deliveries() == [("subscription", identity, 1, "dead", 0, f"http-{number}")]
    assert north.read(f"Subscription/{identity}")["status"] == "error"


def test_after_72_hours_a_delivery_is_given_up(world: World) -> None:
    north = world.register("north")
    world.subscribed(north)
    task_of(north)
    world.hook.answer = status(500)
    world.works()
    world.passes(72 * 3600 - 10)
    world.works()
    assert world.states() == ["waiting"]
    world.passes(10)
    world.works()
    assert world.states() == ["dead"]


def test_a_later_change_of_a_referral_waits_for_the_earlier_one_and_no_other_does(world: World) -> None:
    north, clinic = world.register("north"), world.register("clinic", Queue.ADULT)
    world.subscribed(north)
    first = task_of(north, "N-1")
    clinic.patch(first, ACCEPT)
    other = task_of(north, "N-2")
    world.hook.answer = refuses("1", status(500))
    world.works()
    assert numbers(world) == [1, 3]
    world.hook.answer = None
    world.passes(1)
    world.works()
    assert world.told() == [
        (1, "Task", first["id"], "requested"),
        (3, "Task", other["id"], "requested"),
        (1, "Task", first["id"], "requested"),
        (2, "Task", first["id"], "accepted"),
    ]


def test_what_was_given_up_is_superseded_by_a_later_change_that_is_delivered(world: World) -> None:
    north, clinic = world.register("north"), world.register("clinic", Queue.ADULT)
    world.subscribed(north)
    task = task_of(north)
    world.hook.answer = status(422)
    world.works()
    world.hook.answer = None
    clinic.patch(task, ACCEPT)
    world.works()
    assert (world.states(), [one[0] for one in world.told()]) == (["superseded", "delivered"], [1, 2])


def test_what_was_superseded_is_never_sent_after_it(world: World) -> None:
    north, clinic = world.register("north"), world.register("clinic", Queue.ADULT)
    identity = world.subscribed(north)
    task = task_of(north)
    world.hook.answer = status(422)
    world.works()
    clinic.patch(task, ACCEPT)
    Dispatcher(world.ground).step()
    world.hook.answer = None
    with world.site.store.writing() as connection:
        second = deliveries.claim(connection, world.at)
        assert deliveries.replay(connection, ("subscription", identity, 1), world.at) is not None
    assert second is not None
    with world.site.store.writing() as connection:
        deliveries.end(connection, second, deliveries.DELIVERED, world.at)
    world.hook.calls.clear()
    world.works()
    assert (world.states(), world.hook.calls) == (["superseded", "delivered"], [])


def test_a_receiver_that_hangs_does_not_keep_others_waiting(world: World) -> None:
    north, south = world.register("north"), world.register("south")
    silent = Receiver()
    world.subscribed(north, periods={"backport-timeout": {"valueUnsignedInt": 1}})
    world.subscribed(south, path="/south")
    for number in range(4):
        task_of(north, f"N-{number}")
    task_of(south, "S-1")
    world.hook.answer = lambda request: silent.called.wait(3) if request.path == "/hook" else status(204)(request)
    taken = world.works()
    assert [call.path for call in world.hook.calls] == ["/hook", "/south"]
    assert (taken, sorted(world.states())) == (3, ["delivered", *["waiting"] * 4])


def test_nothing_follows_a_redirect(world: World, other: Receiver) -> None:
    north = world.register("north")
    world.subscribed(north)
    world.hook.answer = status(307, Location=f"{other.origin}/hook")
    task_of(north)
    world.works()
    assert (other.calls, world.deliveries()[0][3:]) == ([], ("waiting", 1, "http-307"))


def test_nothing_is_sent_to_an_origin_that_was_taken_back(world: World) -> None:
    north = world.register("north")
    world.subscribed(north)
    with world.site.store.writing() as connection:
        systems.revoke(connection, "north", world.at)
    world.register("north", callbacks=("https://new.example",))
    task_of(north)
    world.works()
    assert (world.hook.calls, world.deliveries()[0][3:]) == ([], ("dead", 0, "not-allowed"))


def test_two_workers_never_have_the_same_delivery_in_hand(world: World) -> None:
    north = world.register("north")
    world.subscribed(north)
    task_of(north)
    Dispatcher(world.ground).step()
    with world.site.store.writing() as connection:
        first = deliveries.claim(connection, world.at)
    with world.site.store.writing() as connection:
        second = deliveries.claim(connection, world.at)
    world.at += LEASE
    with world.site.store.writing() as connection:
        third = deliveries.claim(connection, world.at)
    assert first is not None
    assert third is not None
    assert (second, third["number"]) == (None, first["number"])
    with world.site.store.writing() as connection:
        assert not deliveries.end(connection, first, deliveries.DELIVERED, world.at)
        assert deliveries.end(connection, third, deliveries.DELIVERED, world.at)


def test_numbers_have_no_gap_whoever_gives_them(world: World) -> None:
    north = world.register("north")
    identity = world.subscribed(north)
    grounds = [Ground(world.site.store, world.settings, world.clock) for _ in range(3)]

    def lead(ground: Ground) -> None:
        for _ in range(40):
            Dispatcher(ground).step()

    leaders = [Thread(target=lead, args=(ground,)) for ground in grounds]
    for leader in leaders:
        leader.start()
    for number in range(20):
        task_of(north, f"N-{number}")
    for leader in leaders:
        leader.join()
    world.works()
    assert [row[1:3] for row in world.deliveries()] == [(identity, number) for number in range(1, 21)]
    assert sorted(numbers(world)) == list(range(1, 21))


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_a_change_that_is_committed_late_is_not_passed_over(world: World) -> None:
    """Its row was inserted before others that were committed and dispatched sooner; SQLite has one writer at a time."""
    north = world.register("north")
    world.subscribed(north)
    early, late = task_of(north, "N-1"), task_of(north, "N-2")
    world.works()
    world.hook.calls.clear()
    facts = {"client": "north", "type": "Task", "at": early["meta"]["lastUpdated"], "version": 1}
    with world.site.store.writing() as slow:
        insert_all(slow, {tables.outbox: [{**facts, "resource_id": early["id"]}]})
        with world.site.store.writing() as quick:
            insert_all(quick, {tables.outbox: [{**facts, "resource_id": late["id"]}]})
        world.works()
        assert [one[2] for one in world.told()] == [late["id"]]
    world.works()
    assert [one[2] for one in world.told()] == [late["id"], early["id"]]


def test_a_change_that_is_rolled_back_is_told_to_nobody(world: World) -> None:
    north = world.register("north")
    world.subscribed(north)
    facts = {"client": "north", "type": "Task", "at": "2026-03-16T12:00:00.000Z", "version": 1}

    def begin_and_fail() -> None:
        with world.site.store.writing() as connection:
            insert_all(connection, {tables.outbox: [{**facts, "resource_id": "x"}]})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        begin_and_fail()
    assert (world.works(), world.hook.calls) == (0, [])


def test_nothing_of_a_patient_stands_in_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    north = world.register("north")
    world.subscribed(north)
    north.create(referral("N-4711", "Cervical dystonia since the wedding"))
    world.hook.answer = status(500)
    world.works()
    assert "not_delivered kind=subscription" in caplog.text
    assert [word for word in ("4711", "wedding", world.hook.origin) if word in caplog.text] == []


def test_a_sender_is_told_by_a_task_at_its_own_server(world: World) -> None:
    north = world.register("north", ehr_base=f"{world.hook.origin}/fhir/r4", tell="task")
    clinic = world.register("clinic", Queue.ADULT)
    referral_id = north.create(referral("N-1")).get_json(force=True)["id"]
    task = north.task_of(referral_id)
    clinic.patch(task, ACCEPT)
    world.works()
    first, second = world.hook.calls
    assert (first.method, first.path) == ("PUT", f"/fhir/r4/Task/{task['id']}")
    assert [call.body["status"] for call in (first, second)] == ["requested", "accepted"]
    assert [call.body["meta"]["versionId"] for call in (first, second)] == ["1", "2"]
    assert first.body["focus"] == {"reference": f"{PUBLIC_URL}/fhir/ServiceRequest/{referral_id}"}
    assert first.body["owner"] == {"reference": f"{PUBLIC_URL}/fhir/HealthcareService/adult-movement-disorders"}
    assert first.body["identifier"] == task["identifier"]
    assert world.states() == ["delivered", "delivered"]


def test_a_sender_is_told_of_another_hands_changes_and_of_no_other_senders(world: World) -> None:
    north = world.register("north", ehr_base=f"{world.hook.origin}/north", tell="task")
    south = world.register("south", ehr_base=f"{world.hook.origin}/south", tell="task")
    world.register("west")
    task_of(south, "S-1")
    mine = task_of(north, "N-1")
    clinic = world.register("clinic", Queue.ADULT)
    clinic.reroute(mine, Queue.PEDIATRIC)
    world.works()
    paths = [call.path.split("/")[1] for call in world.hook.calls]
    assert (paths, json.dumps(world.hook.calls[-1].body).count("pediatric")) == (["south", "north", "north"], 1)
