"""What may happen in a short while, each as one function from a running world to what was violated by it.

The tests of this folder hold that nothing is; those of seeded faults, that each fault shows.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from threading import Barrier, Event, Thread

from tests.faults.invariants import Violation
from tests.faults.load import Journal, Stopped, Writer
from tests.faults.tracing import SYNCS, traced, unsynced_answers
from tests.faults.waiting import until
from tests.faults.world import World

NAMES = count(1)
THREADS = 20
A_DAY = 40


def quiet_day(world: World) -> list[Violation]:
    """One of everything that writers do, and nobody is told."""
    writer = a_writer(world)
    for _ in range(A_DAY):
        writer.step()
    return world.check()


def ordinary_day(world: World) -> list[Violation]:
    """The same, and all of it is told to whoever asked."""
    world.subscribe()
    found = quiet_day(world)
    world.settle()
    return found or world.check(is_settled=True)


def a_writer(world: World) -> Writer:
    return Writer(world.door(), f"day-{next(NAMES)}")


def power_cut(world: World) -> list[Violation]:
    """Everything is killed the moment after an answer."""
    a_writer(world).create()
    world.power_cut()
    return world.check()


def cut_in_between(world: World) -> list[Violation]:
    """Everything is killed while a transaction is under way."""
    door = world.door(Journal())

    def send() -> None:
        with suppress(Stopped):
            Writer(door, f"cut-{next(NAMES)}").transact()

    thread = Thread(target=send)
    thread.start()
    written = "SELECT COUNT(*) FROM resource"
    until(lambda: world.ask(written) != [(0,)])
    door.stopping.set()
    world.power_cut()
    thread.join()
    return world.check()


def same_at_once(world: World) -> list[Violation]:
    """The same referral from twenty senders, time and again; each is answered, and all with one id."""
    for _ in range(10):
        key, start = f"same-{next(NAMES)}", Barrier(THREADS)

        def send(number: int, key: str = key, start: Barrier = start) -> None:
            writer = Writer(world.door(first=number), key)
            start.wait()
            writer.create()

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(send, range(THREADS)))
        found = world.check()
        if found:
            return found
    return []


def stale_moves(world: World) -> list[Violation]:
    """A Task is moved by somebody who has not seen how it stands."""
    writer = a_writer(world)
    writer.create()
    assert writer.task is not None
    seen = writer.task
    writer.move()
    operation = {"op": "replace", "path": "/status", "value": "on-hold"}
    reason = {"coding": [{"system": REASONS, "code": "more-information-needed"}], "text": "Since when?"}
    operations = [operation, {"op": "add", "path": "/statusReason", "value": reason}]
    named = {"If_Match": f'W/"{seen[1]}"', "Content_Type": "application/json-patch+json"}
    answer = writer.door.once("PATCH", f"/Task/{seen[0]}", operations, **named)
    wrong = [] if answer.status == 412 else [Violation("if-match", f"a stale move was answered {answer.status}")]
    return [*wrong, *world.check()]


REASONS = "https://referral-service.example/fhir/CodeSystem/status-reason"


def worker_dies(world: World) -> list[Violation]:
    """Whoever delivers is killed with an event in hand; another takes it over once the lease is over."""
    world.receiver.hold = Event()
    world.subscribe()
    assert until(lambda: bool(world.receiver.calls)), "no handshake came"
    world.receiver.hold.set()
    assert until(lambda: world.ask("SELECT COUNT(*) FROM subscription WHERE verified = 1") == [(2,)])
    world.receiver.hold = Event()
    a_writer(world).create()
    assert until(lambda: any("event-notification" in str(call.body) for call in world.receiver.calls)), "nothing came"
    for one in world.deliverers:
        world.kill(one)
    world.receiver.hold.set()
    found = world.check()
    if found:
        return found
    for one in world.deliverers:
        one.start()
    world.settle()
    return world.check(is_settled=True)


def durable_answers(world: World) -> list[Violation]:
    """Between a request and its 201 the disk is told to keep what was written."""
    writer = a_writer(world)
    writer.create()
    with traced([*world.serving_processes(), *world.database_processes()], SYNCS) as trace:
        for _ in range(CREATES):
            writer.number += 1
            writer.create()
        answered, faults = unsynced_answers(trace)
    assert answered == CREATES
    return [*(Violation("durable", one) for one in faults), *world.check()]


CREATES = 20
