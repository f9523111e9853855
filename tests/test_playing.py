"""A sandbox plays what a referral asks for by an identifier, through the ordinary doors and moves."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from referral_service.app import application
from referral_service.intake import Site, sandbox
from referral_service.playing import Player
from tests.shapes import Caller, Resource, all_rules, bundle, entry, patient, placer, referral

SYSTEM = "https://referral-service.example/fhir/sandbox"
SOON = timedelta(seconds=1)
LATER = timedelta(seconds=60)


@pytest.fixture
def caller(site: Site) -> Caller:
    made = replace(site, sandbox=True)
    return Caller(application(made).test_client(), made)


def asking(name: str, number: str = "A-1") -> Resource:
    return referral(None, identifier=[placer(number), {"system": SYSTEM, "value": name}])


def play(caller: Caller, after: timedelta = LATER) -> list[bool]:
    """What each of two looks of the worker finds to do, so long after now."""
    player = Player(caller.site, lambda: datetime.now(UTC) + after)
    return [player.step(), player.step()]


def task(caller: Caller, created: Any) -> Resource:
    return caller.task_of(created.get_json(force=True)["id"])


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("accepted", "accepted", None),
        ("accepted-again", "accepted", None),
        ("on-hold", "on-hold", "more-information-needed"),
        ("rejected", "rejected", "out-of-scope"),
    ],
)
def test_a_task_is_moved_a_little_later_by_the_sandbox(
    caller: Caller, name: str, status: str, reason: str | None
) -> None:
    created = caller.create(asking(name))
    assert (created.status_code, task(caller, created)["status"], play(caller, SOON)) == (201, "requested", [False] * 2)
    assert play(caller) == [True, False]
    moved = task(caller, created)
    given = moved.get("statusReason", {}).get("coding", [{}])[0].get("code")
    assert (moved["status"], given) == (status, reason)


def test_it_is_played_once_also_when_the_referral_is_sent_again(caller: Caller) -> None:
    caller.create(asking("accepted"))
    assert play(caller) == [True, False]
    assert (caller.create(asking("accepted")).status_code, play(caller)) == (200, [False, False])


def test_it_is_played_for_each_referral_of_a_bundle(caller: Caller) -> None:
    one, other = (asking(name, name) for name in ("accepted", "rejected"))
    assert caller.post("", bundle(entry(patient()), entry(one), entry(other))).status_code == 200
    assert play(caller) == [True, True]
    assert sorted(one["status"] for one in caller.stored("Task")) == ["accepted", "rejected"]


def test_a_task_that_somebody_moved_meanwhile_is_left_as_it_is(caller: Caller) -> None:
    created = caller.create(asking("accepted"))
    reason = {"coding": [{"system": f"{SYSTEM[:-8]}/CodeSystem/status-reason", "code": "out-of-scope"}], "text": "No."}
    assert caller.move(task(caller, created), status="rejected", statusReason=reason).status_code == 200
    assert (play(caller), task(caller, created)["status"]) == ([True, False], "rejected")


def test_a_fault_is_made_once_and_nothing_is_stored(caller: Caller) -> None:
    first = caller.create(asking("error"))
    assert (first.status_code, all_rules(first.get_json(force=True))) == (503, ["sandbox-error"])
    assert (first.headers["Retry-After"], caller.count("ServiceRequest")) == ("5", 0)
    assert caller.create(asking("error")).status_code == 201
    assert caller.create(asking("error-b", "B-1")).status_code == 503


def test_an_answer_can_take_its_time(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "SLOW_SECONDS", 0.3)
    begun = time.monotonic()
    assert caller.create(asking("slow")).status_code == 201
    assert time.monotonic() - begun >= 0.3


@pytest.mark.parametrize("name", ["other", "acceptedly", ""])
def test_any_other_value_is_an_ordinary_referral(caller: Caller, name: str) -> None:
    identifier = {"system": SYSTEM, **({"value": name} if name else {})}
    created = caller.create(referral(None, identifier=[placer("A-1"), identifier]))
    assert (created.status_code, play(caller)) == (201, [False, False])


def test_a_service_that_is_no_sandbox_plays_nothing(site: Site) -> None:
    usual = Caller(application(site).test_client(), site)
    assert usual.create(asking("error")).status_code == 201
    usual.create(asking("rejected", "B-1"))
    assert play(usual) == [False, False]
    assert "sandbox" not in usual.http.get("/").text


def test_every_page_and_the_capability_statement_say_that_it_is_one(caller: Caller) -> None:
    assert "A sandbox: nothing here is of a real patient" in caller.http.get("/").text
    assert "A sandbox" in caller.read("metadata")["implementation"]["description"]
