"""Real processes are killed with deliveries in hand; what they had is taken by others, and nothing is lost."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import select, update

from referral_service.store import tables
from referral_service.store.engine import open_store
from tests.delivery.world import status_of, subscription
from tests.receivers import Receiver, status
from tests.serving import Server
from tests.shapes import Resource, referral
from tests.test_workers import SECONDS, Workers, until


class Site:
    """A service with whoever delivers: worker processes on PostgreSQL, the serving process itself on SQLite."""

    def __init__(self, url: str, folder: Path, hook: Receiver) -> None:
        self.environment = {"REFERRAL_DATABASE_URL": url, "REFERRAL_AUTH": "none", "REFERRAL_OUTBOUND": hook.origin}
        self.server = Server(url, folder, {"REFERRAL_OUTBOUND": hook.origin})
        self.workers = Workers(self.environment, folder)
        self.is_shared = url.startswith("postgresql")
        self.server.start()
        self.deliverer = self.workers.start() if self.is_shared else None

    def kill(self) -> None:
        """Whoever delivers dies at once, and another comes."""
        if self.deliverer is None:
            self.server.kill()
            self.server.start()
        else:
            self.deliverer.send_signal(signal.SIGKILL)
            assert self.deliverer.wait(SECONDS) == -signal.SIGKILL
            self.deliverer = self.workers.start()

    def end(self) -> None:
        self.workers.end()
        self.server.stop()

    def a_minute_passes(self) -> None:
        """As far as the database knows: every lease has ended, every pause is over."""
        with self.opened() as store, store.writing() as connection:
            past = update(tables.delivery).where(tables.delivery.c.due.is_not(None))
            connection.execute(past.values(due="2026-01-01T00:00:00.000Z"))

    def opened(self) -> Any:
        return closing(open_store(self.environment["REFERRAL_DATABASE_URL"]))

    def query(self, statement: Any) -> list[Any]:
        with self.opened() as store, store.reading() as connection:
            return list(connection.execute(statement).all())

    def state(self, identity: str) -> str:
        return str(self.server.get(f"/fhir/Subscription/{identity}").json()["status"])


@pytest.fixture
def hook() -> Iterator[Receiver]:
    receiver = Receiver()
    with receiver.open():
        yield receiver


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path: Path, hook: Receiver) -> Iterator[Site]:
    url = f"sqlite:///{tmp_path / 'service.db'}"
    made = Site(url if request.param == "sqlite" else request.getfixturevalue("postgres_url"), tmp_path, hook)
    with ExitStack() as stack:
        stack.callback(made.end)
        yield made


def sent(site: Site, number: str) -> Resource:
    answer = site.server.post("/fhir/ServiceRequest", referral(number))
    assert answer.status_code == 201, answer.text
    found = site.server.get(f"/fhir/Task?focus=ServiceRequest/{answer.json()['id']}").json()["entry"]
    return dict(found[0]["resource"])


def moved(site: Site, task: Resource, **changes: Any) -> Resource:
    etag = f'W/"{task["meta"]["versionId"]}"'
    answer = site.server.put(f"/fhir/Task/{task['id']}", task | changes, **{"If-Match": etag})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def flaky(taken: list[Resource]) -> Callable[[Any], None]:
    """Every third call fails, every fifth is taken without an answer; ``taken`` are the Bundles that arrived."""
    calls = [0]

    def answer(request: Any) -> None:
        calls[0] += 1
        number, bundle = calls[0], request.server.receiver.calls[-1].body
        if number % 3 == 0:
            status(500)(request)
            return
        taken.append(bundle)
        if number % 5 == 0:
            request.connection.close()
            request.close_connection = True
        else:
            status(204)(request)

    return answer


def test_every_change_reaches_its_sender_once_and_in_order_although_whoever_delivers_is_killed(
    site: Site, hook: Receiver
) -> None:
    wanted = subscription(f"{hook.origin}/hook", periods={"backport-timeout": {"valueUnsignedInt": 20}})
    identity = site.server.post("/fhir/Subscription", wanted).json()["id"]
    assert until(lambda: site.state(identity) == "active"), site.workers.log
    hook.calls.clear()
    hook.called.clear()
    hook.hold = Event()
    tasks = [sent(site, f"K-{number}") for number in range(3)]
    assert hook.called.wait(SECONDS)
    site.kill()
    hook.hold.set()
    hook.hold = None
    hook.calls.clear()
    taken: list[Resource] = []
    hook.answer = flaky(taken)
    tasks = [moved(site, task, status="accepted") for task in tasks]
    reason = [{"text": "Known there."}]
    tasks[0] = moved(site, tasks[0], owner={"reference": "HealthcareService/pediatric-neuromotor"}, note=reason)
    tasks[1] = moved(site, tasks[1], status="in-progress")
    tasks[1] = moved(site, tasks[1], status="completed")
    undo = {"resourceType": "Parameters", "parameter": [{"name": "reason", "valueString": "Made in error."}]}
    assert site.server.post(f"/fhir/Task/{tasks[1]['id']}/$undo", undo).status_code == 200
    before = site.server.get(f"/fhir/{tasks[2]['focus']['reference']}").json()
    corrected = before | {"patientInstruction": "Bring the list."}
    etag = {"If-Match": f'W/"{before["meta"]["versionId"]}"'}
    assert site.server.put(f"/fhir/{tasks[2]['focus']['reference']}", corrected, **etag).status_code == 200
    site.kill()
    open_ones = select(tables.delivery.c.number).where(tables.delivery.c.state == "waiting")

    def is_done() -> bool:
        site.a_minute_passes()
        return not site.query(select(tables.outbox.c.number)) and not site.query(open_ones)

    assert until(is_done), site.query(select(tables.delivery))
    change = tables.status_change
    rows = site.query(select(change.c.task_id, change.c.version).distinct().order_by(change.c.version))
    assert told(taken) == {task["id"]: [row.version for row in rows if row.task_id == task["id"]] for task in tasks}
    numbers = [row.number for row in site.query(select(tables.delivery.c.number).order_by(tables.delivery.c.number))]
    assert numbers == list(range(1, len(numbers) + 1))


def told(bundles: list[Resource]) -> dict[str, list[int]]:
    """The versions of each Task as they came; what has the number of something before is dropped."""
    found: dict[str, list[int]] = {}
    seen: set[str] = set()
    for bundle in bundles:
        (number,) = status_of(bundle)["events"]
        if number not in seen:
            seen.add(number)
            task = bundle["entry"][1]["resource"]
            found.setdefault(task["id"], []).append(int(task["meta"]["versionId"]))
    return found
