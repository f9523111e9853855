"""The same referral from twenty senders at once over two processes: one is made, and all are told of that one.

Two servers on one PostgreSQL, as behind a balancer that knows nothing of who sends what.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from threading import Barrier
from typing import TypeVar

import pytest
import requests

from referral_service.store.engine import open_store
from referral_service.store.ledger import sums
from tests.conftest import new_database
from tests.serving import FHIR, SMART, Server, policy_without_limits, registered
from tests.shapes import Resource, bundle, entry, ledger_of, patient, referral

THREADS, ROUNDS, FEWER = 20, 50, 10
NAMES = count(1)
"""No two rounds of this module speak of the same referral."""
ORDERS = "urn:example:orders"
URN = "urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f0001"
T = TypeVar("T")


@dataclass
class Sender:
    """One of those who send at once: a connection of its own to one of the servers."""

    number: int
    base: str
    http: requests.Session = field(default_factory=requests.Session)

    def post(self, path: str, body: Resource, **headers: str) -> requests.Response:
        return self.send("POST", path, body, **headers)

    def send(self, method: str, path: str, body: Resource, **headers: str) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, f"{self.base}/fhir{path}", json=body, headers=FHIR | named, timeout=60)


@dataclass
class Replicas:
    """Two servers on one database, and twenty senders at their doors by turns."""

    url: str
    servers: tuple[Server, Server]
    senders: list[Sender] = field(init=False)

    def __post_init__(self) -> None:
        self.senders = [Sender(number, self.servers[number % 2].base) for number in range(THREADS)]

    def at_once(self, act: Callable[[Sender], T]) -> list[T]:
        """What each of the senders was told, all starting at the same moment."""
        start = Barrier(THREADS)

        def one(sender: Sender) -> T:
            start.wait()
            return act(sender)

        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(one, self.senders))

    def sums(self) -> dict[str, int]:
        store = open_store(self.url)
        with store.reading() as connection:
            counted = sums(connection)
        store.close()
        return counted


def serve(url: str, folder: Path, settings: dict[str, str]) -> Iterator[Replicas]:
    one, two = (Server(url, folder, dict(settings)) for _ in range(2))
    two.settings["REFERRAL_PUBLIC_URL"] = one.base
    try:
        one.start()
        two.start()
        yield Replicas(url, (one, two))
    finally:
        one.stop()
        two.stop()


@pytest.fixture(scope="module")
def replicas(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    with new_database(postgres_server) as url:
        yield from serve(url, tmp_path_factory.mktemp("replicas"), {})


@pytest.fixture
def asking_replicas(postgres_url: str, tmp_path: Path) -> Iterator[Replicas]:
    """Two servers that ask who calls, and take any number of calls."""
    yield from serve(postgres_url, tmp_path, {**SMART, "REFERRAL_POLICY": str(policy_without_limits(tmp_path))})


def by_placer(number: int, _: Sender) -> tuple[Resource, dict[str, str]]:
    return referral(f"R-{number}"), {}


def by_query(number: int, sender: Sender) -> tuple[Resource, dict[str, str]]:
    """If-None-Exist: what else stands in the body does not matter."""
    named = [{"system": ORDERS, "value": f"R-{number}"}, {"system": "urn:example:sender", "value": str(sender.number)}]
    return referral(None, identifier=named), {"If_None_Exist": f"identifier={ORDERS}|R-{number}"}


def by_request(number: int, _: Sender) -> tuple[Resource, dict[str, str]]:
    return referral(None), {"Idempotency_Key": f"K-{number}"}


Keyed = Callable[[int, Sender], tuple[Resource, dict[str, str]]]
KEYS = pytest.mark.parametrize("keyed", [by_placer, by_query, by_request])


@KEYS
def test_of_the_same_referral_sent_at_once_one_is_made(replicas: Replicas, keyed: Keyed) -> None:
    before = replicas.sums()["routed"]

    def send(sender: Sender, number: int) -> tuple[int, str]:
        body, headers = keyed(number, sender)
        answer = sender.post("/ServiceRequest", body, **headers)
        return answer.status_code, answer.json().get("id", answer.text)

    for number in islice(NAMES, ROUNDS):
        told = replicas.at_once(lambda sender, number=number: send(sender, number))
        assert (Counter(status for status, _ in told), len({identity for _, identity in told})) == (ONE_OF_ALL, 1), told
    assert replicas.sums() == ledger_of(routed=before + ROUNDS)


@KEYS
def test_of_the_same_transaction_sent_at_once_one_is_made(replicas: Replicas, keyed: Keyed) -> None:
    before = replicas.sums()["routed"]

    def send(sender: Sender, number: int) -> tuple[int, str, str]:
        body, headers = keyed(number, sender)
        sent = entry({**without_patient(body), "subject": {"reference": URN}})
        if "If_None_Exist" in headers:
            sent["request"]["ifNoneExist"] = headers.pop("If_None_Exist")
        answer = sender.post("", bundle(entry(patient(), URN), sent), **headers)
        if answer.status_code != 200:
            return answer.status_code, answer.text, ""
        made = answer.json()["entry"][1]["response"]
        return answer.status_code, made["status"], made["location"].split("/_history")[0]

    for number in islice(NAMES, ROUNDS):
        told = replicas.at_once(lambda sender, number=number: send(sender, number))
        assert Counter(one[:2] for one in told) == {(200, "201 Created"): 1, (200, "200 OK"): THREADS - 1}, told
        assert len({location for *_, location in told}) == 1, told
    assert replicas.sums() == ledger_of(routed=before + ROUNDS)


ONE_OF_ALL = {201: 1, 200: THREADS - 1}


def without_patient(body: Resource) -> Resource:
    return {name: value for name, value in body.items() if name != "contained"}


def test_a_task_is_claimed_by_one(replicas: Replicas) -> None:
    for number in islice(NAMES, FEWER):
        sender = replicas.senders[0]
        created = sender.post("/ServiceRequest", referral(f"R-{number}"))
        task_id = created.links["related"]["url"].rpartition("/")[2]
        address = f"/Task/{task_id}"
        task = sender.http.get(f"{sender.base}/fhir{address}", timeout=60).json()

        def claim(one: Sender, task: Resource = task, address: str = address) -> int:
            who = {"url": ASSIGNEE, "valueReference": {"display": f"Nurse {one.number}"}}
            return one.send("PUT", address, {**task, "extension": [who]}, If_Match='W/"1"').status_code

        told = replicas.at_once(claim)
        assert Counter(told) == {200: 1, 412: THREADS - 1}
        now = sender.http.get(f"{sender.base}/fhir{address}", timeout=60).json()
        winner = f"Nurse {told.index(200)}"
        assert [one["valueReference"]["display"] for one in now["extension"]] == [winner]
        assert now["meta"]["versionId"] == "2"


ASSIGNEE = "https://referral-service.example/fhir/StructureDefinition/assignee"


def test_of_corrections_at_the_same_version_one_wins(replicas: Replicas) -> None:
    for number in islice(NAMES, FEWER):
        sent = referral(f"R-{number}")
        identity = replicas.senders[0].post("/ServiceRequest", sent).json()["id"]

        def correct(one: Sender, sent: Resource = sent, identity: str = identity) -> int:
            body = {**sent, "id": identity, "note": [{"text": f"Note {one.number}"}]}
            return one.send("PUT", f"/ServiceRequest/{identity}", body, If_Match='W/"1"').status_code

        assert Counter(replicas.at_once(correct)) == {200: 1, 412: THREADS - 1}


def test_an_assertion_is_good_for_one_token_and_a_key_for_one_request_at_all_doors(
    asking_replicas: Replicas, tmp_path: Path
) -> None:
    system = registered(asking_replicas.servers[0], tmp_path)
    for number in islice(NAMES, FEWER):
        form = system.form("system/ServiceRequest.cr")
        answers = asking_replicas.at_once(
            lambda one, form=form: one.http.post(f"{one.base}/auth/token", data=form, timeout=60)
        )
        assert Counter(answer.status_code for answer in answers) == {200: 1, 401: THREADS - 1}
        bearer = f"Bearer {next(answer.json()['access_token'] for answer in answers if answer.ok)}"

        def send(one: Sender, number: int = number, bearer: str = bearer) -> tuple[int, str]:
            answer = one.post("/ServiceRequest", referral(None), Idempotency_Key=f"K-{number}", Authorization=bearer)
            return answer.status_code, answer.json().get("id", answer.text)

        told = asking_replicas.at_once(send)
        assert (Counter(status for status, _ in told), len({identity for _, identity in told})) == (ONE_OF_ALL, 1), told
