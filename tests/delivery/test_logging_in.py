"""Where a sender's server asks who calls, this service logs in as SMART Backend Services has it, and then tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from referral_service.delivery import direct
from referral_service.ehr.tokens import Tokens
from referral_service.referral import Queue
from referral_service.worker import now
from referral_service.worklist import Role
from tests.callers import person
from tests.delivery.world import World
from tests.ehrs import OWN, Ehr, reset, resource
from tests.receivers import Handler, status
from tests.shapes import Caller, referral

MESSAGES = "system/MessageHeader.c system/ServiceRequest.u system/Task.u"
ACCEPT = {"op": "replace", "path": "/status", "value": "accepted"}
TOLD, TOKEN = "PUT /r4/fhir/Task/", "POST /oauth/token"


@pytest.fixture
def ehr(world: World) -> Iterator[Ehr]:
    """The server of a sender, which this service knows how to log in to."""
    world.tokens = Tokens(lambda who, where: OWN.assertion(who, where, now()), lambda: world.at.timestamp())
    with Ehr().open() as running:
        world.listed = frozenset({running.origin})
        yield running


def sender(world: World, ehr: Ehr, tell: str = "task") -> Caller:
    return world.register("north", **ehr.registration, tell=tell)


def sends(world: World, ehr: Ehr, tell: str = "task") -> str:
    """A sender's first referral; the id of its Task."""
    north = sender(world, ehr, tell)
    return str(north.task_of(north.create(referral("N-1")).json["id"])["id"])


@pytest.mark.parametrize(("tell", "scope"), [("task", "system/Task.u"), ("bser", MESSAGES), ("bars", MESSAGES)])
def test_it_asks_for_what_it_needs_to_tell_and_for_nothing_else(world: World, ehr: Ehr, tell: str, scope: str) -> None:
    sends(world, ehr, tell)
    world.works()
    assert (ehr.scopes, ehr.refusals, world.states()) == ([scope], [], ["delivered"])
    assert list(ehr.tokens.values()) == [scope]


def test_scopes_of_smart_1_are_asked_for_where_those_of_smart_2_are_not_known(world: World, ehr: Ehr) -> None:
    ehr.knows_smart_2 = False
    sends(world, ehr)
    world.works()
    assert (ehr.scopes, world.states()) == (["system/Task.u", "system/Task.write"], ["delivered"])


def test_one_token_serves_for_all_that_is_told(world: World, ehr: Ehr) -> None:
    north = sender(world, ehr)
    for number in ("N-1", "N-2", "N-3"):
        north.create(referral(number))
    world.works()
    assert (ehr.paths.count(TOKEN), len(ehr.sent)) == (1, 3)
    world.passes(ehr.seconds)
    north.create(referral("N-4"))
    world.works()
    assert (ehr.paths.count(TOKEN), len(ehr.sent)) == (2, 4)


def test_a_token_that_no_longer_counts_is_dropped_and_one_more_asked_for_in_the_same_try(
    world: World, ehr: Ehr
) -> None:
    north = sender(world, ehr)
    task = north.task_of(north.create(referral("N-1")).json["id"])
    world.works()
    ehr.tokens.clear()
    ehr.paths.clear()
    assert world.register("clinic", Queue.ADULT).patch(task, ACCEPT).status_code == 200
    world.works()
    told = f"{TOLD}{task['id']}"
    assert ehr.paths == [told, TOKEN, told]
    assert [row[3:] for row in world.deliveries()] == [("delivered", 0, None)] * 2


def test_a_new_token_that_does_not_count_either_is_a_failed_try_and_no_end(world: World, ehr: Ehr) -> None:
    task_id = sends(world, ehr)
    ehr.answer = status(401)
    world.works(2)
    told = f"{TOLD}{task_id}"
    assert ehr.paths == [TOKEN, told, TOKEN, told]
    assert [row[3:] for row in world.deliveries()] == [("waiting", 1, "http-401")]
    ehr.answer = None
    world.passes(1)
    world.works()
    assert world.states() == ["delivered"]


def test_where_nobody_logs_in_no_token_is_asked_for_and_none_sent(world: World, ehr: Ehr) -> None:
    ehr.log_in = False
    task_id = sends(world, ehr)
    world.works()
    assert ehr.paths == [f"{TOLD}{task_id}"]
    assert [headers.get("Authorization") for headers in ehr.headers] == [None]


@pytest.mark.parametrize(
    ("answer", "fault", "words"),
    [
        (status(500), "login-server-error", "the server for that has failed"),
        (status(429), "login-throttled", "it asked to be left alone for a while"),
        (status(400, b'{"error": "invalid_client"}'), "login-failed", "it was refused"),
        (status(200, b"<html>"), "login-failed", "it was refused"),
        (resource({"access_token": "a b", "token_type": "bearer"}), "login-failed", "it was refused"),
        (reset, "login-connection", "the server for that could not be reached"),
        (status(200, b" " * 100_000), "login-too-large", "the answer was too large"),
    ],
)
def test_a_log_in_that_fails_is_a_failed_try_told_in_words_and_tried_again(
    world: World, ehr: Ehr, answer: Handler, fault: str, words: str
) -> None:
    sends(world, ehr)
    ehr.at_token = answer
    world.works()
    assert [row[3:] for row in world.deliveries()] == [("waiting", 1, fault)]
    page = world.doors.of(person("Ida", Role.INTEGRATOR)).http.get("/deliveries").text
    assert f"1 attempt failed: this service could not log in there: {words}" in page
    ehr.at_token = None
    world.passes(1)
    world.works()
    assert ([path for path in ehr.paths if path != TOKEN], world.states()) == ([ehr.paths[-1]], ["delivered"])


def test_where_the_log_in_asks_to_be_left_alone_it_is(world: World, ehr: Ehr) -> None:
    sends(world, ehr)
    ehr.at_token = status(503, **{"Retry-After": "120"})
    world.works()
    world.passes(119)
    assert world.works() == 0
    world.passes(1)
    ehr.at_token = None
    world.works()
    assert world.states() == ["delivered"]


def test_a_service_without_a_key_says_so(world: World, ehr: Ehr) -> None:
    world.tokens = Tokens(None, lambda: 0.0)
    sends(world, ehr)
    world.works()
    assert ([row[3:] for row in world.deliveries()], ehr.paths) == ([("waiting", 1, "login-no-key")], [])


def test_a_log_in_at_an_address_that_may_not_be_called_is_never_made(world: World, ehr: Ehr) -> None:
    sends(world, ehr)
    world.listed = frozenset()
    world.works()
    assert ([row[3:] for row in world.deliveries()], ehr.paths) == ([("waiting", 1, "login-not-allowed")], [])


def test_a_log_in_that_hangs_takes_no_longer_than_its_delivery_may(
    world: World, ehr: Ehr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "SECONDS", 0.5)
    sends(world, ehr)
    ehr.at_token = ehr.hang
    world.works()
    assert [row[3:] for row in world.deliveries()] == [("waiting", 1, "login-timeout")]


def test_nothing_of_a_token_stands_in_the_log(world: World, ehr: Ehr, caplog: pytest.LogCaptureFixture) -> None:
    sends(world, ehr)
    world.works()
    said: Any = [*ehr.tokens, *(headers["Authorization"] for headers in ehr.headers)]
    assert len(said) == 2
    assert [one for one in said if one in caplog.text] == []
