"""How many calls a second are taken, of whom, and what is said to those that are too many."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from referral_service.access.gate import Gate
from referral_service.app import application
from referral_service.intake import Site
from referral_service.policy import Limits
from referral_service.store import tables
from referral_service.store.engine import Store
from referral_service.web.limits import Limiter
from referral_service.worklist import Role
from tests.callers import Doors, person, placer
from tests.shapes import Caller, rules
from tests.web.signing import OURS, form, token_on

NOON = 1_800_000_000
LIMITS = Limits(known=40, unknown=3)


class Clock:
    """Seconds since 1970, as a test sets them."""

    def __init__(self) -> None:
        self.now = float(NOON)

    def __call__(self) -> float:
        return self.now


def doors(site: Site, limits: Limits) -> tuple[Doors, Clock]:
    made, clock = Doors(site), Clock()
    made.app.extensions["limiter"] = Limiter(site.store, limits, clock)
    return made, clock


def statuses(caller: Caller, calls: int, path: str = "Task") -> list[int]:
    return [caller.get(path).status_code for _ in range(calls)]


def test_a_client_may_call_so_often_in_a_second_and_again_in_the_next(site: Site) -> None:
    made, clock = doors(site, Limits(known=3, unknown=9))
    caller = made.of(placer("north"))
    assert statuses(caller, 5) == [200, 200, 200, 429, 429]
    clock.now += 1
    assert statuses(caller, 4) == [200, 200, 200, 429]


def test_one_client_takes_nothing_from_another_and_one_person_nothing_from_another(site: Site) -> None:
    made, _ = doors(site, Limits(known=1, unknown=9))
    for who in (placer("north"), placer("south"), person("Kim", Role.LEAD), person("Lee", Role.LEAD)):
        assert statuses(made.of(who), 2) == [200, 429]


def test_whoever_calls_too_often_is_told_when_to_try_again(site: Site) -> None:
    made, _ = doors(site, Limits(known=1, unknown=9))
    caller = made.of(placer("north"))
    answer = [caller.get("Task", X_Request_Id="r-1") for _ in range(2)][1]
    assert (answer.headers["Retry-After"], answer.headers["X-Request-Id"]) == ("1", "r-1")
    assert rules(answer.get_json(force=True)) == [("too-many-requests", "")]
    page = made.app.test_client().get("/")
    assert (page.status_code, page.headers["Retry-After"], page.mimetype) == (429, "1", "text/html")


def test_who_is_not_known_is_counted_by_address_whatever_is_asked(site: Site) -> None:
    made, clock = doors(site, Limits(known=9, unknown=3))
    app = application(site, Gate(asks=True))
    app.extensions["limiter"] = made.app.extensions["limiter"]
    client = app.test_client()
    asked = ["/fhir/Task", "/fhir/metadata", "/nowhere", "/static/pages.css", "/fhir/Task"]
    assert [client.get(path).status_code for path in asked] == [401, 200, 404, 429, 429]
    assert client.get("/fhir/metadata", environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == 200
    clock.now += 1
    assert client.get("/fhir/Task").status_code == 401


ODD = [("/fhir/Task", "text/html", 406), ("/fhir/Task?identifier=%00", "*/*", 400), ("/fhir/nowhere", "text/html", 406)]


@pytest.mark.parametrize(("path", "accept", "status"), ODD[:2])
def test_a_known_caller_is_counted_whatever_is_wrong_with_the_request(
    site: Site, path: str, accept: str, status: int
) -> None:
    client = doors(site, Limits(known=2, unknown=9))[0].of(placer("north")).http
    asked = [client.get(path, headers={"Accept": accept}).status_code for _ in range(3)]
    assert asked == [status, status, 429]


@pytest.mark.parametrize(("path", "accept", "status"), ODD)
def test_who_is_not_known_is_counted_whatever_is_wrong_with_the_request(
    site: Site, path: str, accept: str, status: int
) -> None:
    app = application(site, Gate(asks=True))
    app.extensions["limiter"] = Limiter(site.store, Limits(known=9, unknown=2), Clock())
    asked = [app.test_client().get(path, headers={"Accept": accept}).status_code for _ in range(3)]
    first = 401 if path.startswith("/fhir/Task") else status
    assert asked == [first, first, 429]


def test_passwords_are_tried_so_often_a_minute_from_one_address(site: Site) -> None:
    made, clock = doors(site, Limits(known=9, unknown=99, attempts=2))
    app = application(site, Gate(asks=True, secret_key="k" * 32))
    app.extensions["limiter"] = made.app.extensions["limiter"]
    browser = app.test_client()
    wrong = {"user": "nobody", "password": "wrong"}
    answers = [form(browser, "/sign-in", **wrong) for _ in range(3)]
    assert [one.status_code for one in answers] == [401, 401, 429]
    assert (answers[2].headers["Retry-After"], "password" in answers[2].text) == ("60", False)
    assert browser.get("/sign-in").status_code == 200
    token = token_on(browser, "/sign-in")
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert (
        browser.post("/sign-in", data={**wrong, "token": token}, headers=OURS, environ_base=elsewhere).status_code
        == 401
    )
    clock.now += 60
    assert form(browser, "/sign-in", **wrong).status_code == 401


def test_load_balancers_are_never_too_many(site: Site) -> None:
    made, _ = doors(site, Limits(known=1, unknown=1))
    client = made.app.test_client()
    assert {client.get(f"/health/{name}").status_code for name in ("live", "ready") * 5} == {200}


def test_a_call_too_many_is_neither_worked_on_nor_written(site: Site) -> None:
    made, _ = doors(site, Limits(known=1, unknown=9))
    caller = made.of(placer("north"))
    assert [caller.create({"resourceType": "Basic"}).status_code for _ in range(2)] == [400, 429]
    with site.store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(tables.received)).scalar_one() == 1


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "", True),
    ],
)
def test_one_network_of_ipv6_is_one_address(store: Store, first: str, second: str, same: bool) -> None:
    limiter = Limiter(store, Limits(known=1, unknown=1), Clock())
    assert (limiter.takes_unknown(first), limiter.takes_unknown(second)) == (True, not same)


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_several_processes_agree_on_what_is_left(store: Store) -> None:
    clock = Clock()
    processes = [Limiter(store, LIMITS, clock) for _ in range(3)]
    taken = [one.takes_known("north") for _ in range(20) for one in processes]
    assert sum(taken) == LIMITS.known
    clock.now += 1
    assert [one.takes_known("north") for one in processes] == [True] * 3


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_a_block_is_reserved_at_once_and_what_has_passed_is_removed(store: Store) -> None:
    clock = Clock()
    limiter = Limiter(store, Limits(known=160, unknown=3), clock)
    for _ in range(2):
        assert [limiter.takes_known("north") for _ in range(5)] == [True] * 5
        clock.now += 10
    with store.reading() as connection:
        rows = [tuple(row) for row in connection.execute(select(tables.quota))]
    assert rows == [("north", NOON + 10, 8)]


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_the_threads_of_a_process_share_a_block(store: Store) -> None:
    limiter = Limiter(store, Limits(known=480, unknown=3), Clock())
    with ThreadPoolExecutor(12) as threads:
        assert list(threads.map(lambda _: limiter.takes_known("north"), range(12))) == [True] * 12
    with store.reading() as connection:
        assert [tuple(row) for row in connection.execute(select(tables.quota))] == [("north", NOON, 12)]


def test_without_authentication_nobody_is_counted(site: Site) -> None:
    policy = replace(site.policy, limits=Limits(known=1, unknown=1))
    client = application(replace(site, policy=policy)).test_client()
    assert {client.get(path).status_code for path in ("/fhir/Task", "/fhir/metadata") * 3} == {200}
