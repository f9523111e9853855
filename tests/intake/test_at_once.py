"""Many at once: one wins, the others are told, nobody sees a fault of the server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import TypeVar

from flask import Flask

from referral_service.intake import Answer, Site
from referral_service.intake.moves import act
from referral_service.issues import FaultKind
from referral_service.referral import Queue
from referral_service.worklist import Actor, Role
from tests.shapes import OWN, Caller, bundle, entry, ledger_of, patient, referral

THREADS = 16
T = TypeVar("T")


def at_once(app: Flask, site: Site, act: Callable[[Caller, int], T]) -> list[T]:
    """What each of the callers was told, all starting at the same moment."""
    start = Barrier(THREADS)

    def one(number: int) -> T:
        caller = Caller(app.test_client(), site)
        start.wait()
        return act(caller, number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(THREADS)))


def test_the_same_referral_sent_at_once_is_one_referral(app: Flask, site: Site, caller: Caller) -> None:
    def act(caller: Caller, _: int) -> tuple[int, str]:
        answer = caller.create(referral())
        return answer.status_code, answer.json["id"]

    told = at_once(app, site, act)
    assert Counter(status for status, _ in told) == {201: 1, 200: THREADS - 1}
    assert (len({identity for _, identity in told}), caller.sums()) == (1, ledger_of(routed=1))
    assert [caller.count(kind) for kind in ("ServiceRequest", "Task", "Patient")] == [1, 1, 1]


def test_the_same_transaction_sent_at_once_is_one(app: Flask, site: Site, caller: Caller) -> None:
    urn = "urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f0001"

    def act(caller: Caller, _: int) -> str:
        sent = bundle(entry(patient(), urn), entry(referral(None, subject={"reference": urn})))
        answer = caller.post("", sent, Idempotency_Key="k")
        return f"{answer.status_code} {answer.json['entry'][1]['response']['status']}"

    assert Counter(at_once(app, site, act)) == {"200 201 Created": 1, "200 200 OK": THREADS - 1}
    assert (caller.count("Patient"), caller.sums()) == (1, ledger_of(routed=1))


def test_the_same_message_sent_at_once_is_one(app: Flask, site: Site, caller: Caller) -> None:
    event = {"system": "http://terminology.hl7.org/CodeSystem/v2-0003", "code": "I12"}
    header = {"resourceType": "MessageHeader", "id": "m-1", "eventCoding": event, "source": {"endpoint": "urn:ehr"}}

    def act(caller: Caller, _: int) -> tuple[int, str]:
        sent = bundle({"resource": header}, {"resource": referral(None)}, kind="message")
        answer = caller.post("$process-message", sent)
        return answer.status_code, str(answer.get_json(force=True)["entry"][0]["resource"]["focus"])

    assert list(Counter(at_once(app, site, act)).values()) == [THREADS]
    assert (caller.count("MessageHeader"), caller.sums()) == (1, ledger_of(routed=1))


def test_other_referrals_at_once_are_all_stored(app: Flask, site: Site, caller: Caller) -> None:
    told = at_once(app, site, lambda one, number: one.create(referral(f"A-{number}")).status_code)
    assert (set(told), caller.sums()) == ({201}, ledger_of(routed=THREADS))


def test_a_conditional_create_at_once_makes_one_resource(app: Flask, site: Site, caller: Caller) -> None:
    def act(caller: Caller, number: int) -> tuple[int, str]:
        sent = patient(identifier=[{"system": "urn:example:mrn", "value": "7"}], name=[{"text": str(number)}])
        answer = caller.post("Patient", sent, If_None_Exist="identifier=urn:example:mrn|7")
        return answer.status_code, answer.json["id"]

    told = at_once(app, site, act)
    assert Counter(status for status, _ in told) == {201: 1, 200: THREADS - 1}
    assert len({identity for _, identity in told}) == caller.count("Patient") == 1


def test_one_patient_put_at_once_ends_in_one_patient(app: Flask, site: Site, caller: Caller) -> None:
    def act(caller: Caller, number: int) -> int:
        return caller.put("Patient/p1", patient(f"19{70 + number}-01-01", id="p1")).status_code

    told = Counter(at_once(app, site, act))
    assert told == {201: 1, 200: THREADS - 1}
    assert caller.read("Patient/p1")["meta"]["versionId"] == str(THREADS)
    assert (caller.count("Patient"), caller.read("Patient/p1/_history")["total"]) == (1, THREADS)


def test_of_updates_at_the_same_version_one_wins(app: Flask, site: Site, caller: Caller) -> None:
    identity = caller.create(referral()).json["id"]

    def act(caller: Caller, number: int) -> int:
        sent = referral(id=identity, note=[{"text": f"Note {number}"}])
        return caller.put(f"ServiceRequest/{identity}", sent, If_Match='W/"1"').status_code

    assert Counter(at_once(app, site, act)) == {200: 1, 412: THREADS - 1}
    assert caller.read(f"ServiceRequest/{identity}")["meta"]["versionId"] == "2"


def test_of_moves_of_one_task_one_wins(app: Flask, site: Site, caller: Caller) -> None:
    task = caller.task_of(caller.create(referral()).json["id"])
    told = at_once(app, site, lambda one, _: one.move(task, status="accepted").status_code)
    assert Counter(told) == {200: 1, 412: THREADS - 1}


def test_of_those_who_claim_at_once_one_wins_and_the_others_learn_who(app: Flask, site: Site, caller: Caller) -> None:
    task = caller.task_of(caller.create(referral()).json["id"])

    def act_as(_: Caller, number: int) -> Answer:
        who = Actor(f"n{number}", f"Nurse {number}", frozenset({Role.COORDINATOR}), frozenset(Queue))
        return act(site, who, task["id"], 1, "claim", {}, datetime.now(UTC), f"r-{number}")

    told = at_once(app, site, act_as)
    assert Counter(answer.fault for answer in told) == {None: 1, FaultKind.PRECONDITION: THREADS - 1}
    winner = caller.task_of(task["focus"]["reference"][15:])["extension"][0]["valueReference"]["display"]
    words = {answer.issues[0].diagnostics for answer in told if answer.fault}
    assert len(words) == 1
    assert words.pop().startswith(f"The Task is at version 2: {winner} made it requested (claim) at ")


def test_after_the_first_has_ended_one_new_referral_is_made(app: Flask, site: Site, caller: Caller) -> None:
    first = caller.create(referral()).json["id"]
    coding = {"system": f"{OWN}/CodeSystem/status-reason", "code": "duplicate"}
    caller.move(caller.task_of(first), status="rejected", statusReason={"coding": [coding]})
    told = at_once(app, site, lambda one, _: one.create(referral(priority="urgent")).status_code)
    assert Counter(told) == {201: 1, 200: THREADS - 1}
    assert caller.sums() == ledger_of(routed=2)


def test_bundles_that_share_patients_in_any_order_do_not_block_each_other(
    app: Flask, site: Site, caller: Caller
) -> None:
    names = [f"p{number}" for number in range(6)]

    def act(caller: Caller, number: int) -> int:
        turned = names if number % 2 else names[::-1]
        born = f"19{70 + number}-01-01"
        sent = [entry(patient(born, id=name), method="PUT", url=f"Patient/{name}") for name in turned]
        return caller.post("", bundle(*sent)).status_code

    assert set(at_once(app, site, act)) == {200}
    assert caller.count("Patient") == 6


def test_a_referral_and_its_patient_at_once_end_routed(app: Flask, site: Site, caller: Caller) -> None:
    def act(caller: Caller, number: int) -> int:
        who = f"q{number // 2}"
        if number % 2:
            return caller.put(f"Patient/{who}", patient(id=who)).status_code
        return caller.create(referral(who, subject={"reference": f"Patient/{who}"})).status_code

    assert set(at_once(app, site, act)) == {201}
    assert caller.sums() == ledger_of(routed=THREADS // 2)
