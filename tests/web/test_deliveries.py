"""The page of what is not delivered, and what the page of a referral says of what was sent back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import pytest

from referral_service.intake import Site
from referral_service.referral import Queue
from referral_service.web.deliveries import PAGE
from referral_service.worklist import Role
from tests.callers import person
from tests.delivery.world import World
from tests.receivers import status
from tests.shapes import Caller, referral

LEAD, INTEGRATOR = person("Lee", Role.LEAD), person("Ingo", Role.INTEGRATOR)


@pytest.fixture
def world(site: Site) -> Iterator[World]:
    made = World(site)
    with made.hook.open():
        yield made


def page(caller: Caller, path: str) -> str:
    """The words of a page, with one space between."""
    answer = caller.http.open(path, method="GET")
    assert answer.status_code == 200, answer.text
    main = answer.text.partition("<main")[2].partition("</main>")[0]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


def lines(caller: Caller) -> list[tuple[str, ...]]:
    """Who, of what, and how it stands, for each row of the list."""
    text = caller.http.open("/deliveries", method="GET").text
    rows = re.findall(r'<tr role="row"[^>]*>\s*<td(.*?)</tr>', text, re.DOTALL)
    cells = [re.findall(r'data-label="(?:Who|State)">(.*?)</td>', f"<td{row}", re.DOTALL) for row in rows]
    return [tuple(" ".join(unescape(re.sub(r"<[^>]+>", " ", cell)).split()) for cell in row) for row in cells]


def again(caller: Caller, address: str) -> int:
    form = caller.http.open("/deliveries", method="GET").text
    token = re.findall(r'name="token" value="([^"]+)"', form)[0]
    headers = {"Sec-Fetch-Site": "same-origin"}
    return int(caller.http.open(address, method="POST", data={"token": token}, headers=headers).status_code)


def test_what_waits_has_failed_or_was_given_up_is_listed_with_the_reason(world: World) -> None:
    north = world.register("north", ehr_base=f"{world.hook.origin}/r4", tell="task")
    world.subscribed(north)
    lead = world.doors.of(LEAD)
    assert "Everything is delivered" in page(lead, "/deliveries")
    north.create(referral("N-1"))
    world.hook.answer = lambda request: status(422 if request.command == "PUT" else 503)(request)
    world.works()
    found = lines(lead)
    assert [one[0] for one in found] == [
        "The system north by a Subscription",
        "The system north as a Task at its server",
    ]
    assert found[0][1].startswith("Failed 1 attempt failed: it answered 503 Tried again")
    assert found[1][1] == "Given up Given up: it answered 422"
    assert "1 change on the way, 1 given up." in page(lead, "/deliveries")


@pytest.mark.parametrize("who", [LEAD, INTEGRATOR])
def test_what_was_given_up_is_sent_again_by_hand(world: World, who: object) -> None:
    north = world.register("north", ehr_base=f"{world.hook.origin}/r4", tell="task")
    north.create(referral("N-1"))
    world.hook.answer = status(422)
    world.works()
    caller = world.doors.of(who)  # type: ignore[arg-type]
    assert again(caller, "/deliveries/task/north/1/again") == 303
    world.hook.answer = None
    world.works()
    assert (world.states(), lines(caller)) == (["delivered"], [])


def test_what_is_delivered_is_not_sent_again(world: World) -> None:
    north = world.register("north", ehr_base=f"{world.hook.origin}/r4", tell="task")
    north.create(referral("N-1"))
    world.works()
    north.create(referral("N-2"))
    world.hook.answer = status(422)
    world.works()
    lead = world.doors.of(LEAD)
    unknown = ("north/1", "south/2", "north/9", f"north/{10**22}")
    assert [again(lead, f"/deliveries/task/{one}/again") for one in unknown] == [404] * 4


def test_a_long_list_goes_on_where_the_page_before_ended(world: World) -> None:
    north = world.register("north", ehr_base=f"{world.hook.origin}/r4", tell="task")
    ids = [north.create(referral(f"N-{number}")).get_json(force=True)["id"] for number in range(PAGE + 1)]
    world.hook.answer = status(422)
    world.works()
    lead, path, found = world.doors.of(LEAD), "/deliveries", list[str]()
    for _ in range(2):
        text = lead.http.open(path, method="GET").text
        found += re.findall(r"of referral ([0-9a-f-]{36})", text)
        following = re.search(r'href="(/deliveries\?after=[^"]+)"', text)
        path = unescape(following[1]) if following else ""
    assert (found, path) == (ids, "")
    assert lead.http.open("/deliveries?after=x", method="GET").status_code == 400


def test_the_page_of_a_referral_says_who_was_told_and_who_was_not(world: World) -> None:
    north = world.register("north", ehr_base=f"{world.hook.origin}/r4", tell="task")
    clinic = world.register("clinic", Queue.ADULT)
    world.subscribed(clinic)
    identity = north.create(referral("N-1")).get_json(force=True)["id"]
    lead = world.doors.of(LEAD)
    assert "No receiver is registered for this referral" in page(lead, f"/referrals/{identity}")
    world.hook.answer = lambda request: status(500 if request.command == "PUT" else 204)(request)
    world.works()
    text = page(lead, f"/referrals/{identity}").partition("Sent back")[2].partition("Attachments")[0]
    sender, filler = text.partition("The system clinic")[::2]
    assert sender.startswith(" The sender, The system north as a Task at its server Not told yet.")
    assert "Task, version 1: failed 1 attempt failed: it answered 500" in sender
    assert filler.startswith(" by a Subscription Last told ")


def test_nothing_of_the_patient_stands_on_the_list(world: World) -> None:
    north = world.register("north", ehr_base=f"{world.hook.origin}/r4", tell="task")
    north.create(referral("SECRET-1", "Cervical dystonia since the wedding"))
    world.hook.answer = status(422)
    world.works()
    shown = page(world.doors.of(INTEGRATOR), "/deliveries")
    assert [word for word in ("SECRET", "wedding", "G24", "dystonia", "1970") if word in shown] == []
