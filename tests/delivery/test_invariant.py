"""Whatever happens, each change of a Task reaches its original sender exactly once, in order, if it drops duplicates.

Stories are made up by Hypothesis: referrals are sent, corrected, moved to other queues, ended and taken back, while
receivers fail, take things without saying so, and workers die with a delivery in hand.
"""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from referral_service.access.registering import TELLING
from referral_service.delivery.dispatching import Dispatcher
from referral_service.delivery.ground import Letter
from referral_service.delivery.posting import post
from referral_service.delivery.ways import PREPARE
from referral_service.referral import Queue
from referral_service.store import deliveries, tables
from referral_service.store.leases import LEASE
from referral_service.worklist import Role
from tests.callers import person
from tests.delivery.world import World, status_of
from tests.receivers import Handler, status
from tests.shapes import Resource, referral

EXAMPLES = 12
NAMES = count(1)
Told = dict[str, list[int]]
"""The versions of each Task, in the order in which they came first."""


class Story:
    """One sender that is told by a Subscription and at its own server, and a clinic that works on what it sends."""

    def __init__(self, world: World, seed: int, way: str) -> None:
        self.world, self.random, self.way, name = world, Random(seed), way, f"sender-{next(NAMES)}"
        self.usual: Handler | None = known_is_conflict if way == "bars" else None
        world.hook.answer = self.usual
        given = {"ehr_base": f"{world.hook.origin}/{name}/direct", "tell": way}
        self.name, self.sender = name, world.register(name, **given)
        self.clinic = world.doors.of(person("Lee", Role.LEAD))
        self.hands = world.register(f"{name}-clinic", *Queue)
        world.subscribed(self.sender, path=f"/{name}/hook")
        self.tasks: list[str] = []
        self.numbers = count(1)

    def send(self) -> None:
        sent = self.sender.create(referral(f"{self.name}-{next(self.numbers)}"))
        self.tasks.append(self.sender.task_of(sent.get_json(force=True)["id"])["id"])

    def _task(self) -> Resource | None:
        return self.sender.read(f"Task/{self.random.choice(self.tasks)}") if self.tasks else None

    def move(self) -> None:
        task = self._task()
        target = {"requested": "accepted", "accepted": "in-progress", "in-progress": "completed"}
        if task is not None and task["status"] in target:
            wanted = {"op": "replace", "path": "/status", "value": target[task["status"]]}
            assert self.hands.patch(task, wanted).status_code == 200

    def reroute(self) -> None:
        task = self._task()
        if task is not None and task["status"] not in ("completed", "cancelled"):
            here = task["owner"]["reference"].partition("/")[2]
            other = self.random.choice([queue for queue in Queue if queue != here])
            assert self.hands.reroute(task, other).status_code == 200

    def correct(self) -> None:
        task = self._task()
        if task is None or task["status"] in ("completed", "cancelled"):
            return
        before = self.sender.read(task["focus"]["reference"])
        wanted = before | {"patientInstruction": f"Said {next(self.numbers)} times."}
        answer = self.sender.put(task["focus"]["reference"], wanted, If_Match=f'W/"{before["meta"]["versionId"]}"')
        assert answer.status_code == 200

    def cancel(self) -> None:
        task = self._task()
        if task is not None and task["status"] not in ("completed", "cancelled"):
            before = self.sender.read(task["focus"]["reference"])
            if before["status"] == "active":
                etag = f'W/"{before["meta"]["versionId"]}"'
                assert self.sender.put(task["focus"]["reference"], before | {"status": "revoked"}, If_Match=etag)

    def undo(self) -> None:
        from referral_service.intake.moves import act
        from referral_service.worklist import everyone

        task = self._task()
        if task is not None and task["status"] == "completed":
            given = {"comment": "Made in error."}
            answer = act(self.world.site, everyone(self.name), task["id"], None, "undo", given, self.world.at, "r")
            assert answer.fault is None

    def fail(self) -> None:
        """From now on the receivers answer otherwise."""
        later = refusing(status(429, **{"Retry-After": "3"}))
        self.world.hook.answer = self.random.choice([refusing(status(500)), later, silent, self.usual])

    def die(self) -> None:
        """A worker dies with a delivery in hand, before or after it was sent."""
        Dispatcher(self.world.ground).step()
        with self.world.site.store.writing() as connection:
            row = deliveries.claim(connection, self.world.at)
            letter = PREPARE[row["kind"]](connection, row, self.world.ground) if row else None
        if isinstance(letter, Letter) and self.random.random() < 0.5:
            post(letter, self.world.ground)

    def work(self) -> None:
        self.world.works(self.random.randrange(1, 6))

    def wait(self) -> None:
        self.world.passes(self.random.choice([1, 10, LEASE.total_seconds()]))

    def end(self) -> None:
        """All comes well again, and time passes."""
        self.world.hook.answer = self.usual
        for _ in range(8):
            self.world.works()
            self.world.passes(900)

    def told(self, where: str) -> Told:
        """What a receiver makes of what it got: what has the number, version or id of something before is dropped."""
        found: Told = {}
        seen: set[Any] = set()
        for call in self.world.hook.calls:
            if not call.path.startswith(f"/{self.name}/{where}"):
                continue
            key, task = _event(call.body) if where == "hook" else _direct(call.body)
            if task is not None and key not in seen:
                seen.add(key)
                found.setdefault(task["id"], []).append(int(task["meta"]["versionId"]))
        return found

    def made(self) -> Told:
        """The versions that were made of each Task, one row a change."""
        change, found = tables.status_change, Told()
        query = select(change.c.task_id, change.c.version).where(change.c.task_id.in_(self.tasks)).distinct()
        with self.world.site.store.reading() as connection:
            for task_id, version in connection.execute(query.order_by(change.c.version)):
                found.setdefault(task_id, []).append(version)
        return found


def _event(bundle: Resource) -> tuple[Any, Resource | None]:
    told = status_of(bundle)
    if not told["events"]:
        return None, None
    return next(iter(told["events"])), bundle["entry"][1]["resource"]


def _direct(body: Resource) -> tuple[Any, Resource]:
    if body["resourceType"] == "Task":
        return (body["id"], body["meta"]["versionId"]), body
    (task,) = (one["resource"] for one in body["entry"] if one["resource"]["resourceType"] == "Task")
    return body["entry"][0]["resource"]["id"], task


def known_is_conflict(request: BaseHTTPRequestHandler) -> None:
    """As BaRS has it: a message that has come before is answered 409."""
    *before, here = request.server.receiver.calls  # type: ignore[attr-defined]
    is_known = here.body["type"] == "message" and any(one.body["id"] == here.body["id"] for one in before)
    status(409 if is_known else 204)(request)


def refusing(answer: Handler) -> Handler:
    """What was sent is lost to the receiver, and it says so."""

    def handle(request: BaseHTTPRequestHandler) -> None:
        request.server.receiver.calls.pop()  # type: ignore[attr-defined]
        answer(request)

    return handle


def silent(request: BaseHTTPRequestHandler) -> None:
    """What was sent has arrived, and nobody says so."""
    request.connection.close()
    request.close_connection = True


STEPS: tuple[Callable[[Story], None], ...] = (
    *(Story.send, Story.send, Story.move, Story.move, Story.reroute, Story.correct, Story.cancel, Story.undo),
    *(Story.fail, Story.die, Story.work, Story.work, Story.wait),
)


@pytest.mark.parametrize("way", TELLING)
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(steps=st.lists(st.sampled_from(STEPS), min_size=10, max_size=40), seed=st.integers(0, 2**32))
def test_every_change_reaches_its_sender_exactly_once_and_in_order(
    world: World, way: str, steps: list[Callable[[Story], None]], seed: int
) -> None:
    story = Story(world, seed, way)
    story.send()
    for step in steps:
        step(story)
    story.end()
    made = story.made()
    assert len(made) == len(story.tasks)
    assert (story.told("hook"), story.told("direct")) == (made, made)
    assert world.deliveries() != []
    assert [row for row in world.deliveries() if row[3] != "delivered"] == []
