"""What a referral points at is read from its sender's EHR: at the door when that is quick, else later by the worker."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any

import pytest
import trustme
from sqlalchemy import select, update

from referral_service.ehr import reading
from referral_service.fetching import Fetcher
from referral_service.intake import Site
from referral_service.outbound import Limits
from referral_service.store import fetches, systems, tables
from referral_service.worker import now
from tests.callers import Doors, placer
from tests.ehrs import FHIR, Ehr, ehrs, flood, reset, resource
from tests.receivers import Handler, status
from tests.shapes import ADULT_BORN, CHILD_BORN, Caller, Resource, bundle, entry, flags, patient, referral
from tests.systems import System

NEVER = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"
SHORT = Limits(connect=0.5, read=0.5, whole=0.5, max_bytes=1024 * 1024)


@dataclass
class World:
    """A site with an EHR of its client, and another server that is nobody's EHR here."""

    site: Site
    ehr: Ehr
    elsewhere: Ehr
    at: datetime = field(default_factory=now)
    doors: Doors = field(init=False)
    fetcher: Fetcher = field(init=False)
    ticks: float = 1000.0

    def __post_init__(self) -> None:
        known = ehrs(self.ehr, self.elsewhere, clock=lambda: self.ticks)
        self.doors = Doors(replace(self.site, ehrs=known))
        self.fetcher = Fetcher(self.site, known, lambda: self.at, lambda: 0.0)

    def register(self, client: str = "ehr-a", **changed: Any) -> Caller:
        System(client).register(
            self.site.store, **{**self.ehr.registration, "private": frozenset({self.ehr.origin}), **changed}
        )
        return self.caller(client)

    def caller(self, client: str = "ehr-a") -> Caller:
        return self.doors.of(placer(client))

    def works(self) -> int:
        """The worker until nothing is due at this hour; how many records it took in hand."""
        self.at = max(self.at, now())
        count = 0
        while self.fetcher.step():
            count += 1
        return count

    def later(self, **time: float) -> None:
        self.at = max(self.at, now()) + timedelta(**time)
        self.ticks += timedelta(**time).total_seconds()

    def rows(self) -> list[Any]:
        fetch = tables.ehr_fetch
        with self.site.store.reading() as connection:
            return [dict(row) for row in connection.execute(select(fetch).order_by(fetch.c.name)).mappings()]

    def standing(self) -> list[tuple[Any, ...]]:
        return [(row["type"], row["tries"], row["fault"], row["ended"]) for row in self.rows()]


@pytest.fixture
def world(site: Site) -> Iterator[World]:
    with Ehr().open() as ehr, Ehr().open() as elsewhere:
        yield World(site, ehr, elsewhere)


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """So much time at the door that a slow machine changes nothing."""
    monkeypatch.setattr(reading, "DOOR_SECONDS", 60.0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits, shorter, so that nobody waits for them in a test."""
    monkeypatch.setattr(reading, "DOOR_SECONDS", 0.3)
    monkeypatch.setattr(reading, "LATER", SHORT)


def points_at(reference: str = "Patient/77", number: str = "A-1", **more: Any) -> Resource:
    return referral(number, subject={"reference": reference}, **more)


def is_held(caller: Caller, sent: Resource) -> str:
    answer = caller.create(sent)
    assert (answer.status_code, flags(answer.json)) == (201, ["age-undetermined"])
    assert caller.queue_of(answer.json["id"]) == "intake-review"
    return str(answer.json["id"])


@pytest.mark.parametrize("log_in", [True, False])
@pytest.mark.parametrize("absolute", [True, False])
def test_a_patient_at_the_senders_ehr_is_read_at_the_door_and_the_referral_routed_at_once(
    world: World, absolute: bool, log_in: bool
) -> None:
    world.ehr.log_in = log_in
    world.ehr.holds(patient(CHILD_BORN, id="77"))
    caller = world.register()
    answer = caller.create(points_at(f"{world.ehr.base}/Patient/77" if absolute else "Patient/77"))
    assert (answer.status_code, flags(answer.json)) == (201, [])
    assert caller.queue_of(answer.json["id"]) == "pediatric-neuromotor"
    token = ["POST /oauth/token"] if log_in else []
    assert (world.ehr.paths, world.ehr.refusals) == ([*token, "GET /r4/fhir/Patient/77"], [])
    ours = caller.read("Patient/77")
    assert answer.json["subject"]["reference"] == f"Patient/{ours['id']}"
    assert (world.standing(), world.works()) == ([], 0)


def test_a_condition_that_the_referral_points_at_is_read_as_its_reason(world: World) -> None:
    condition = {
        "resourceType": "Condition",
        "id": "c1",
        "subject": {"reference": "Patient/77"},
        "code": {"text": "Cervical dystonia"},
    }
    world.ehr.holds(patient(ADULT_BORN, id="77"), condition)
    sent = points_at(reason="", reasonReference=[{"reference": "Condition/c1"}])
    answer = world.register().create(sent)
    assert [tag["code"] for tag in answer.json["meta"]["tag"] if "icd-10-cm" in tag["system"]] == ["G24.3"]
    assert world.ehr.paths == ["POST /oauth/token", "GET /r4/fhir/Patient/77", "GET /r4/fhir/Condition/c1"]


def test_a_condition_of_another_patient_is_not_taken(world: World) -> None:
    condition = {
        "resourceType": "Condition",
        "id": "c1",
        "subject": {"reference": f"{world.ehr.base}/Patient/78"},
        "code": {"text": "Cervical dystonia"},
    }
    world.ehr.holds(patient(ADULT_BORN, id="77"), condition)
    caller = world.register()
    answer = caller.create(points_at(reason="", reasonReference=[{"reference": "Condition/c1"}]))
    assert flags(answer.json) == ["indication-undetermined"]
    assert (caller.count("Condition"), world.standing()) == (0, [("Condition", 1, "another-patient", "refused")])


def test_every_referral_of_a_bundle_finds_its_patient(world: World) -> None:
    world.ehr.holds(patient(CHILD_BORN, id="77"), patient(ADULT_BORN, id="78"))
    sent = bundle(entry(points_at()), entry(points_at("Patient/78", "A-2")), kind="batch")
    caller = world.register()
    places = [one["response"]["location"].split("/")[-3] for one in caller.post("", sent).json["entry"]]
    assert [caller.queue_of(one) for one in places] == ["pediatric-neuromotor", "adult-movement-disorders"]
    assert world.ehr.paths.count("POST /oauth/token") == 1


def test_one_token_serves_until_shortly_before_its_end(world: World) -> None:
    world.ehr.holds(patient(CHILD_BORN, id="77"), patient(id="78"), patient(id="79"))
    caller = world.register()
    caller.create(points_at())
    world.ticks += world.ehr.seconds - 31
    caller.create(points_at("Patient/78", "A-2"))
    assert world.ehr.paths.count("POST /oauth/token") == 1
    world.ticks += 2
    caller.create(points_at("Patient/79", "A-3"))
    assert world.ehr.paths.count("POST /oauth/token") == 2


def test_a_token_that_no_longer_counts_is_asked_for_once_more(world: World) -> None:
    world.ehr.holds(patient(CHILD_BORN, id="77"), patient(id="78"))
    caller = world.register()
    caller.create(points_at())
    world.ehr.tokens.clear()
    answer = caller.create(points_at("Patient/78", "A-2"))
    assert (flags(answer.json), world.ehr.paths.count("POST /oauth/token")) == ([], 2)
    world.ehr.records["Patient/79"] = status(401)
    is_held(caller, points_at("Patient/79", "A-3"))
    assert world.ehr.paths.count("GET /r4/fhir/Patient/79") == 2
    assert world.standing() == [("Patient", 1, "not-let-in", None)]


def test_scopes_of_smart_1_are_asked_for_where_those_of_smart_2_are_not_known(world: World) -> None:
    world.ehr.knows_smart_2 = False
    world.ehr.holds(patient(CHILD_BORN, id="77"))
    assert flags(world.register().create(points_at()).json) == []
    assert ["system/Patient.r" in scope.split() for scope in world.ehr.scopes] == [True, False]
    assert "system/Patient.read" in world.ehr.scopes[1].split()


NEVER = [
    "https://127.0.0.1:{port}/r4/fhir/Patient/77",
    "http://localhost:{port}/r4/fhir/Patient/77",
    "http://127.0.0.1:{other}/r4/fhir/Patient/77",
    "http://127.0.0.1:{port}0/r4/fhir/Patient/77",
    "http://127.0.0.1.example:{port}/r4/fhir/Patient/77",
    "http://127.0.0.1:{port}@127.0.0.1:{other}/r4/fhir/Patient/77",
    "http://user:pass@127.0.0.1:{port}/r4/fhir/Patient/77",
    "http://127.0.0.1:{port}/r4/fhirs/Patient/77",
    "http://127.0.0.1:{port}/r4/Patient/77",
    "http://127.0.0.1:{port}/Patient/77",
    "http://127.0.0.1:{port}/r4/fhir/deeper/Patient/77",
    "http://127.0.0.1:{port}/r4/fhir/../fhir/Patient/77",
    "http://127.0.0.1:{port}/r4/fhir?x=/Patient/77",
    "http://127.0.0.1:{port}/r4/fhir/Patient/..",
    "http://127.0.0.1:{port}/r4/fhir/Patient/.",
    "Patient/..",
    "urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f0001",
]


@pytest.mark.parametrize("reference", NEVER)
def test_what_does_not_lie_below_the_registered_base_is_never_called(world: World, reference: str) -> None:
    world.ehr.holds(patient(CHILD_BORN, id="77"))
    world.elsewhere.holds(patient(CHILD_BORN, id="77"))
    world.elsewhere.log_in = False
    caller = world.register()
    is_held(caller, points_at(reference.format(port=world.ehr.port, other=world.elsewhere.port)))
    assert (world.works(), world.standing(), world.ehr.calls, world.elsewhere.calls) == (0, [], 0, 0)


def test_a_relative_reference_is_meant_at_the_base_of_its_own_full_url(world: World) -> None:
    world.ehr.holds(patient(CHILD_BORN, id="77"))
    sent = points_at() | {"id": "s1"}
    theirs = {"fullUrl": f"{world.elsewhere.base}/ServiceRequest/s1", "resource": sent}
    caller = world.register()
    caller.post("", {"resourceType": "Bundle", "type": "collection", "entry": [theirs]})
    assert (world.standing(), world.ehr.calls, world.elsewhere.calls) == ([], 0, 0)
    ours = {"fullUrl": f"{world.ehr.base}/ServiceRequest/s2", "resource": sent | {"id": "s2", "identifier": []}}
    del ours["resource"]["identifier"]
    caller.post("", {"resourceType": "Bundle", "type": "collection", "entry": [ours]})
    assert world.ehr.paths[-1] == "GET /r4/fhir/Patient/77"


def test_the_ehr_of_another_client_is_never_asked(world: World) -> None:
    world.elsewhere.holds(patient(CHILD_BORN, id="77"))
    caller = world.register()
    world.register(
        "ehr-b",
        ehr_base=world.elsewhere.base,
        private=frozenset({world.elsewhere.origin}),
        ehr_token_url=None,
        ehr_client_id=None,
    )
    is_held(caller, points_at(f"{world.elsewhere.base}/Patient/77"))
    assert (world.works(), world.elsewhere.calls) == (0, 0)


def test_a_client_without_an_ehr_waits_for_what_it_sends_itself(world: World) -> None:
    caller = world.register(ehr_base=None, ehr_token_url=None, ehr_client_id=None)
    is_held(caller, points_at())
    assert (world.standing(), world.works(), world.ehr.calls) == ([], 0, 0)


def test_the_same_referral_again_is_one_referral_and_nothing_is_fetched_for_it(world: World) -> None:
    caller = world.register()
    first = is_held(caller, points_at())
    asked = world.ehr.calls
    world.ehr.holds(patient(CHILD_BORN, id="77"))
    again = caller.create(points_at())
    assert (again.status_code, again.json["id"], world.ehr.calls) == (200, first, asked)
    assert len(world.rows()) == 1


@pytest.mark.parametrize(
    "sent",
    [
        points_at(status="draft"),
        points_at(reason="Ankle sprain"),
        points_at(doNotPerform=True),
        points_at(intent="nonsense"),
    ],
)
def test_nothing_is_fetched_for_what_is_not_taken(world: World, sent: Resource) -> None:
    world.ehr.holds(patient(CHILD_BORN, id="77"))
    assert world.register().create(sent).status_code in (400, 422)
    assert (world.ehr.calls, world.standing()) == (0, [])


def test_a_preview_fetches_nothing(world: World) -> None:
    world.ehr.holds(patient(CHILD_BORN, id="77"))
    answer = world.register().post("ServiceRequest/$preview", points_at())
    assert (answer.status_code, world.ehr.calls, world.standing()) == (200, 0, [])


def hostile(world: World, how: str) -> Handler:
    elsewhere = f"{world.elsewhere.base}/Patient/77"
    child = patient(CHILD_BORN, id="77")
    handlers: dict[str, Handler] = {
        "timeout hangs": world.ehr.hang,
        "timeout trickles": world.ehr.trickle,
        "connection resets": reset,
        "server-error fails": status(500, b"Patient/77 went wrong"),
        "server-error is away": status(503),
        "redirect points elsewhere": status(301, Location=elsewhere),
        "redirect points elsewhere for now": status(307, Location=elsewhere),
        "too-large floods": flood,
        "wrong-resource gives another patient": resource(child | {"id": "78"}),
        "wrong-resource gives another type": resource({"resourceType": "Practitioner", "id": "77"}),
        "wrong-resource gives an outcome": resource({"resourceType": "OperationOutcome", "issue": []}),
        "not-valid gives nonsense": resource(child | {"birthDate": "yesterday"}),
        "not-valid gives a name twice": status(
            200, b'{"resourceType":"Patient","id":"77","id":"77"}', **{"Content-Type": FHIR}
        ),
        "not-fhir gives a page": status(200, b"<html>Log in</html>", **{"Content-Type": "text/html"}),
        "not-fhir gives a page that calls itself FHIR": status(200, b"<html>", **{"Content-Type": FHIR}),
        "not-fhir gives a list": status(200, b"[]", **{"Content-Type": FHIR}),
        "server-error is away for longer than there are years": status(503, **{"Retry-After": NEVER}),
        "throttled sends away": status(429, **{"Retry-After": "120"}),
        "not-found knows nothing": status(404),
        "gone has removed it": status(410),
        "not-let-in forbids": status(403),
        "refused takes no such request": status(406),
    }
    return handlers[how]


def test_a_fault_that_nobody_foresaw_is_one_of_the_call_and_the_referral_is_kept(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def sign(_who: str, _where: str) -> str:
        raise ArithmeticError("key of Ada Vellum")

    world.ehr.holds(patient(ADULT_BORN, id="77"))
    known = reading.Ehrs(frozenset({world.ehr.origin}), sign)
    world.doors = Doors(replace(world.site, ehrs=known))
    world.fetcher = replace(world.fetcher, ehrs=known)
    is_held(world.register(), points_at())
    world.later(seconds=2)
    assert (world.works(), world.standing()) == (1, [("Patient", 2, "not-understood", None)])
    assert [line.split(" at=")[0] for line in caplog.messages if "not_understood" in line] == [
        "ehr_not_understood kind=ArithmeticError"
    ] * 2
    assert "Ada" not in caplog.text


HOW = [
    "timeout hangs",
    "timeout trickles",
    "connection resets",
    "server-error fails",
    "server-error is away",
    "redirect points elsewhere",
    "redirect points elsewhere for now",
    "too-large floods",
    "wrong-resource gives another patient",
    "wrong-resource gives another type",
    "wrong-resource gives an outcome",
    "not-valid gives nonsense",
    "not-valid gives a name twice",
    "not-fhir gives a page",
    "not-fhir gives a page that calls itself FHIR",
    "not-fhir gives a list",
    "server-error is away for longer than there are years",
    "throttled sends away",
    "not-found knows nothing",
    "gone has removed it",
    "not-let-in forbids",
    "refused takes no such request",
]
FOR_GOOD = {"too-large", "wrong-resource", "not-valid", "gone"}


@pytest.mark.parametrize("how", HOW)
def test_a_hostile_ehr_neither_loses_nor_keeps_out_a_referral_and_leads_nowhere_else(
    world: World, how: str, request: pytest.FixtureRequest
) -> None:
    kind = how.partition(" ")[0]
    if kind == "timeout":
        request.getfixturevalue("impatient")
    world.ehr.records["Patient/77"] = hostile(world, how)
    caller = world.register()
    first = is_held(caller, points_at())
    ended = "refused" if kind in FOR_GOOD else None
    assert world.standing() == [("Patient", 1, kind, ended)]
    world.later(days=1)
    assert world.works() == (0 if ended else 1)
    assert world.standing() == [("Patient", 1 if ended else 2, kind, ended)]
    assert (caller.queue_of(first), caller.sums()["received"], world.elsewhere.calls) == ("intake-review", 1, 0)
    assert caller.count("Patient") == 0
    assert caller.create(referral("A-9")).status_code == 201


def test_whoever_sends_is_told_what_is_awaited_and_why(world: World) -> None:
    answer = world.register().create(points_at(), Prefer="return=OperationOutcome")
    [told] = [one for one in answer.json["issue"] if one["details"]["coding"][0]["code"] == "awaited-from-ehr"]
    assert told["diagnostics"] == (
        f"What this refers to is awaited from 127.0.0.1:{world.ehr.port}: it does not know the record. "
        "It is asked by itself, and the referral is decided again with what it says."
    )


@pytest.mark.usefixtures("impatient")
def test_what_came_too_late_for_the_door_is_fetched_by_the_worker_and_the_referral_decided_again(world: World) -> None:
    world.ehr.records["Patient/77"] = world.ehr.hang
    caller = world.register()
    first = is_held(caller, points_at())
    before = caller.task_of(first)
    world.ehr.holds(patient(CHILD_BORN, id="77"))
    world.later(seconds=2)
    assert world.works() == 1
    after, served = caller.task_of(first), caller.read(f"ServiceRequest/{first}")
    assert after["owner"] == {"reference": "HealthcareService/pediatric-neuromotor"}
    assert (served["meta"]["versionId"], after["meta"]["versionId"], flags(served)) == ("2", "2", [])
    assert (after["authoredOn"], after["for"]) == (
        before["authoredOn"],
        {"reference": f"Patient/{caller.read('Patient/77')['id']}"},
    )
    assert caller.sums() == {"received": 1, "routed": 1, "review": 0, "rejected": 0, "refused": 0}
    change = tables.status_change
    with world.site.store.reading() as connection:
        found = connection.execute(select(change.c.action, change.c.from_queue, change.c.queue).order_by(change.c.at))
        assert [tuple(row) for row in found] == [
            ("create", None, "intake-review"),
            ("update", "intake-review", "pediatric-neuromotor"),
        ]
    assert world.standing() == [("Patient", 2, None, "fetched")]


def test_what_is_read_is_audited_as_done_by_the_service_itself(world: World) -> None:
    world.ehr.holds(patient(CHILD_BORN, id="77"))
    caller = world.register()
    caller.create(points_at())
    event = tables.audit_event
    with world.site.store.reading() as connection:
        contents = connection.execute(select(event.c.content).order_by(event.c.at, event.c.id)).scalars().all()
    ours = caller.read("Patient/77")["id"]
    made = [json.loads(text) for text in contents]
    first = next(one for one in made if f"Patient/{ours}" in json.dumps(one["entity"]))
    assert first["action"] == "C"


def test_numbers_keep_their_digits(world: World) -> None:
    text = json.dumps(patient(CHILD_BORN, id="77"))[:-1] + (
        ', "extension": [{"url": "https://ehr.example/weight", "valueDecimal": 1.10}]}'
    )
    world.ehr.records["Patient/77"] = status(200, b"\xef\xbb\xbf" + text.encode(), **{"Content-Type": FHIR})
    caller = world.register()
    assert flags(caller.create(points_at()).json) == []
    assert '"valueDecimal":1.10' in caller.get("Patient/77").get_data(as_text=True)


def test_retry_after_is_kept_to(world: World) -> None:
    world.ehr.records["Patient/77"] = status(503, **{"Retry-After": "600"})
    caller = world.register()
    is_held(caller, points_at())
    world.later(seconds=2)
    assert world.works() == 1
    asked = world.ehr.calls
    world.later(seconds=590)
    assert (world.works(), world.ehr.calls) == (0, asked)
    world.ehr.holds(patient(CHILD_BORN, id="77"))
    world.later(seconds=20)
    assert (world.works(), world.standing()) == (1, [("Patient", 3, None, "fetched")])


def test_tries_come_ever_later_and_end_after_three_days(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert timedelta(hours=72) == fetches.KEPT_ASKING
    monkeypatch.setattr(fetches, "KEPT_ASKING", timedelta(minutes=30))
    caller = world.register()
    first = is_held(caller, points_at())
    began, pauses = world.at, []
    while world.rows()[0]["ended"] is None:
        due = datetime.fromisoformat(world.rows()[0]["due"])
        pauses.append((due - world.at).total_seconds())
        world.later(seconds=max(pauses[-1], 0) + 0.001)
        world.works()
    assert [round(one) for one in pauses[1:12]] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 450, 450]
    assert timedelta(minutes=20) < world.at - began < timedelta(minutes=31)
    assert world.standing()[0][2:] == ("not-found", "given-up")
    assert caller.queue_of(first) == "intake-review"


def test_nothing_is_fetched_for_what_the_sender_has_sent_meanwhile(world: World) -> None:
    caller = world.register()
    first = is_held(caller, points_at())
    asked = world.ehr.calls
    caller.put("Patient/77", patient(CHILD_BORN, id="77"))
    assert caller.queue_of(first) == "pediatric-neuromotor"
    world.later(seconds=2)
    assert (world.works(), world.standing()[0][3], world.ehr.calls) == (1, "called-off", asked)


def meanwhile(world: World, done: Callable[[], object]) -> None:
    """Something is done while the EHR answers."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        done()
        resource(patient(ADULT_BORN, id="77"))(request)

    world.ehr.records["Patient/77"] = answer


def test_what_was_fetched_does_not_replace_what_the_sender_sent_meanwhile(world: World) -> None:
    caller = world.register()
    world.ehr.records["Patient/77"] = status(503)
    referral_id = is_held(caller, points_at())
    meanwhile(world, lambda: caller.put("Patient/77", patient(CHILD_BORN, id="77")))
    world.later(minutes=1)
    world.works()
    ours = caller.read(caller.read(f"ServiceRequest/{referral_id}")["subject"]["reference"])
    assert (ours["birthDate"], ours["meta"]["versionId"]) == (CHILD_BORN, "1")
    assert (caller.queue_of(referral_id), world.standing()[0][3]) == ("pediatric-neuromotor", "called-off")


def test_what_was_read_at_the_door_does_not_replace_what_the_sender_sent_meanwhile(world: World) -> None:
    caller, other = world.register(), world.caller()
    meanwhile(world, lambda: other.put("Patient/77", patient(CHILD_BORN, id="77")))
    answer = caller.create(points_at())
    assert (answer.status_code, flags(answer.json)) == (201, [])
    ours = caller.read(answer.json["subject"]["reference"])
    assert (ours["birthDate"], ours["meta"]["versionId"]) == (CHILD_BORN, "1")
    assert caller.queue_of(answer.json["id"]) == "pediatric-neuromotor"


def revokes(world: World) -> None:
    with world.site.store.writing() as connection:
        systems.revoke(connection, "ehr-a", datetime.now(UTC))


def another_takes_it(world: World) -> None:
    with world.site.store.writing() as connection:
        fetch = tables.ehr_fetch
        connection.execute(update(fetch).values(attempts=fetch.c.attempts + 1))


@pytest.mark.parametrize(("happens", "ended"), [(revokes, "called-off"), (another_takes_it, None)])
def test_what_was_fetched_for_a_client_that_was_revoked_or_for_another_worker_is_not_stored(
    world: World, happens: Callable[[World], None], ended: str | None
) -> None:
    world.ehr.records["Patient/77"] = status(503)
    caller = world.register()
    referral_id = is_held(caller, points_at())
    meanwhile(world, lambda: happens(world))
    world.later(minutes=1)
    assert world.fetcher.step()
    assert (caller.count("Patient"), caller.queue_of(referral_id)) == (0, "intake-review")
    assert world.standing() == [("Patient", 1, "server-error", ended)]


def test_nothing_is_fetched_for_a_referral_that_has_ended_or_a_client_that_was_revoked(world: World) -> None:
    caller = world.register()
    is_held(caller, points_at())
    caller.create(points_at(status="revoked"))
    other = world.register("ehr-b")
    is_held(other, points_at())
    with world.site.store.writing() as connection:
        systems.revoke(connection, "ehr-b", datetime.now(UTC))
    asked = world.ehr.calls
    world.later(seconds=2)
    assert (world.works(), {row[3] for row in world.standing()}, world.ehr.calls) == (2, {"called-off"}, asked)


def test_a_base_that_was_registered_anew_is_the_only_one_asked(world: World) -> None:
    caller = world.register()
    is_held(caller, points_at())
    with world.site.store.writing() as connection:
        connection.execute(update(tables.client).values(ehr_base=world.elsewhere.base))
    asked = world.ehr.calls
    world.later(seconds=2)
    assert (world.works(), world.ehr.calls, world.elsewhere.calls) == (1, asked, 0)
    assert world.standing()[0][3] == "called-off"


def test_an_update_that_names_another_record_has_that_fetched(world: World) -> None:
    caller = world.register()
    sent = points_at(supportingInfo=[{"reference": "Observation/o1"}])
    first = is_held(caller, sent)
    changed = sent | {"id": first, "supportingInfo": [{"reference": "Observation/o2"}]}
    assert caller.put(f"ServiceRequest/{first}", changed, If_Match='W/"1"').status_code == 200
    assert [row["full_url"].rpartition("/")[2] for row in world.rows()] == ["o1", "o2", "77"]
    world.later(seconds=3)
    world.works()
    assert [row["ended"] for row in world.rows()] == ["called-off", None, None]


@pytest.mark.usefixtures("impatient")
def test_an_ehr_that_fails_three_times_in_a_row_is_left_alone_for_a_while_and_then_tried_by_one(world: World) -> None:
    world.ehr.log_in = False
    world.ehr.always = world.ehr.hang
    caller = world.register()
    for number in range(6):
        is_held(caller, points_at(f"Patient/{number}", f"A-{number}"))
    assert world.ehr.calls == 3
    world.ticks += 29.9
    is_held(caller, points_at("Patient/7", "A-7"))
    assert world.ehr.calls == 3
    world.ticks += 0.2
    is_held(caller, points_at("Patient/8", "A-8"))
    is_held(caller, points_at("Patient/9", "A-9"))
    assert world.ehr.calls == 4
    world.ehr.always = None
    world.ehr.holds(*(patient(id=str(number)) for number in range(10, 12)))
    world.ticks += 30.1
    assert [flags(caller.create(points_at(f"Patient/{n}", f"A-{n}")).json) for n in (10, 11)] == [[], []]


def test_a_certificate_that_nobody_trusts_is_told_and_one_that_the_machine_trusts_counts(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Ehr().open(context) as ehr:
        ehr.holds(patient(CHILD_BORN, id="77"))
        world = World(site, ehr, Ehr())
        caller = world.register()
        first = is_held(caller, points_at())
        assert (world.standing(), ehr.calls) == ([("Patient", 1, "tls", None)], 0)
        authority.cert_pem.write_to_path(str(tmp_path / "trusted.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
        world.later(seconds=2)
        assert (world.works(), caller.queue_of(first)) == (1, "pediatric-neuromotor")


def test_an_ehr_that_turns_out_to_lie_at_a_private_address_is_not_called_unless_it_is_listed(
    site: Site, world: World
) -> None:
    world.ehr.scheme = "https"
    caller = Doors(replace(site, ehrs=ehrs())).of(placer("ehr-a"))
    world.register()
    is_held(caller, points_at())
    assert (world.standing(), world.ehr.calls) == ([("Patient", 1, "not-allowed", None)], 0)


def test_two_requests_wait_for_an_ehr_and_a_third_is_not_kept_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LATER", Limits(connect=60.0, read=60.0, whole=60.0))
    world.ehr.log_in = False
    world.ehr.always = world.ehr.hang
    caller = world.register()
    waiting = [Thread(target=caller.create, args=(points_at(f"Patient/{n}", f"A-{n}"),)) for n in range(2)]
    for thread in waiting:
        thread.start()
    while world.ehr.calls < 2:
        sleep(0.01)
    is_held(caller, points_at("Patient/3", "A-3"))
    assert (world.ehr.calls, world.standing()) == (2, [("Patient", 0, "crowded", None)])
    world.ehr.released.set()
    for thread in waiting:
        thread.join()
    assert caller.sums() == {"received": 3, "routed": 0, "review": 3, "rejected": 0, "refused": 0}


def test_all_that_waits_for_an_ehr_that_rests_is_put_off_in_one_go_and_comes_once_it_is_well(world: World) -> None:
    world.ehr.log_in = False
    world.ehr.always = status(500)
    caller = world.register()
    for number in range(10):
        is_held(caller, points_at(f"Patient/{number}", f"A-{number}"))
    world.later(seconds=2)
    before = world.ehr.calls
    assert world.works() == 4
    assert world.ehr.calls == before + 3
    assert [row["ended"] for row in world.rows()] == [None] * 10
    world.ehr.always = None
    world.ehr.holds(*(patient(CHILD_BORN, id=str(number)) for number in range(10)))
    world.later(seconds=31)
    assert world.works() == 10
    assert caller.sums() == {"received": 10, "routed": 10, "review": 0, "rejected": 0, "refused": 0}


def test_what_waits_for_an_ehr_that_never_comes_back_is_given_up_too(world: World) -> None:
    caller = world.register()
    is_held(caller, points_at())
    world.later(hours=73)
    with world.site.store.writing() as connection:
        fetches.let_rest(connection, "ehr-a", world.at, world.at + timedelta(seconds=30))
    assert world.standing() == [("Patient", 1, "not-found", "given-up")]
