"""Every page, in every state that it knows, for every eye: light, dark, enlarged, and on a phone."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.pages import CHILD, LOOKS, RED, act, arrive, check, more, task_of, unfold
from tests.delivery.world import subscription
from tests.receivers import Receiver
from tests.serving import Server
from tests.shapes import Resource, patient, placer, referral
from tests.test_workers import policy_that_tells

pytestmark = pytest.mark.parametrize("look", LOOKS)
Unbothered = Callable[[int], None]
Visit = Callable[..., Page]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """The service with somebody to tell of alerts."""
    pager = Receiver()
    with pager.open():
        told = {"REFERRAL_POLICY": str(policy_that_tells(tmp_path, pager.origin)), "REFERRAL_OUTBOUND": pager.origin}
        running = Server(f"sqlite:///{tmp_path / 'service.db'}", tmp_path, told)
        running.start()
        yield running
        running.stop()


@pytest.fixture
def visit(server: Server, opened: Open, look: str) -> Visit:
    """Goes to an address in one window, and looks at what stands there."""
    page = opened("/", **LOOKS[look])

    def go(path: str, heading: str) -> Page:
        page.goto(f"{server.base}{path}")
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        check(page)
        return page

    return go


def refuse(server: Server, body: Resource, status: int) -> str:
    """Something that is not taken; the address of its page."""
    answer = server.post("/fhir/ServiceRequest", body)
    assert answer.status_code == status, answer.text
    (received_id,) = query(server, "SELECT received_id FROM ledger ORDER BY at DESC, rowid DESC LIMIT 1")
    return f"/not-taken/{received_id}"


def query(server: Server, statement: str) -> list[str]:
    """The first column of what the database holds, or nothing of what is changed in it."""
    connection = sqlite3.connect(server.database_url.removeprefix("sqlite:///"), timeout=30)
    try:
        found = [str(row[0]) for row in connection.execute(statement)]
        connection.commit()
    finally:
        connection.close()
    return found


def test_a_service_in_which_nothing_has_happened(visit: Visit, unbothered: Unbothered) -> None:
    for path, heading in (
        ("/?queue=adult-movement-disorders", "Adult movement disorders"),
        ("/?queue=all", "All queues"),
        ("/?queue=closed", "Closed"),
        ("/not-taken", "Not taken"),
        ("/not-taken?state=rejected&flag=red-flag", "Not taken"),
        ("/alerts", "Alerts"),
        ("/deliveries", "Deliveries"),
        ("/overview", "Overview"),
        ("/referrals/new", "New referral by telephone or fax"),
    ):
        visit(path, heading)
    unbothered(0)
    for path in ("/nowhere", "/referrals/unknown", "/overview?weeks=7"):
        visit(path, "That did not work")
    unbothered(3)


def test_the_lists_and_what_was_done_to_many(server: Server, visit: Visit, opened: Open) -> None:
    arrive(server, "Vellum")
    arrive(server, "Sparrow", "?Blepharospasm", priority="urgent")
    arrive(server, "Makebelieve", "Generalized dystonia", born=CHILD)
    arrive(server, "Quillfeather", "Tremor, no dystonia", born=None)
    arrive(server, "Featherstub", RED)
    for words in ("queue=all", "queue=all&priority=urgent&due=soon", "queue=intake-review", "queue=closed"):
        headings = {"intake-review": "Intake review", "closed": "Closed"}
        page = visit(f"/?{words}", headings.get(words.removeprefix("queue="), "All queues"))
        unfold(page)
        check(page)
    other = opened("/?queue=all")
    other.get_by_label("Select Ada Vellum").check()
    page.goto(f"{server.base}/?queue=all")
    page.get_by_label("Select Ada Vellum").check()
    page.get_by_label("Select Ada Sparrow").check()
    other.get_by_role("button", name="Take in hand").click()
    expect(other.locator(".told")).to_be_visible()
    page.get_by_role("button", name="Take in hand").click()
    expect(page.locator(".told")).to_contain_text("1 of 2 taken in hand.")
    check(page)
    page.get_by_role("button", name="Take in hand").click()
    expect(page.locator(".told")).to_contain_text("Nothing was selected.")
    check(page)
    page.get_by_label("Select Ada Makebelieve").check()
    check(page)
    page.get_by_label("Name or identifier").fill("vell")
    page.get_by_role("button", name="Find").click()
    expect(page.locator(".found-by")).to_be_visible()
    check(page)


def test_what_others_were_told_and_what_they_did_not_take(server: Server, visit: Visit) -> None:
    wanted = subscription(f"{server.settings['REFERRAL_OUTBOUND']}/hook")
    identity = server.post("/fhir/Subscription", wanted).json()["id"]
    page = visit("/deliveries", "Deliveries")
    while server.get(f"/fhir/Subscription/{identity}").json()["status"] != "active":
        page.wait_for_timeout(200)
    first, second, third = (arrive(server) for _ in range(3))
    while len(query(server, "SELECT number FROM delivery WHERE state = 'delivered'")) < 3:
        page.wait_for_timeout(200)
    ended = (
        "UPDATE delivery SET due = NULL, ended_at = NULL, state = 'dead', fault = 'http-422' WHERE referral_id = '{}'"
    )
    query(server, ended.format(first))
    waits = "UPDATE delivery SET due = '2099-01-01T00:00:00.000Z', state = 'waiting', failures = 3, fault = 'timeout'"
    query(server, f"{waits} WHERE referral_id = '{second}'")
    page = visit("/deliveries", "Deliveries")
    expect(page.locator("table.list-deliveries tbody tr")).to_have_count(2)
    for one in (first, second, third):
        page = visit(f"/referrals/{one}", "Ada Vellum")
        expect(page.get_by_role("heading", name="Sent back")).to_be_visible()
    page = visit("/deliveries", "Deliveries")
    page.get_by_role("button", name="Send again").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Deliveries")
    check(page)


def test_a_referral_in_each_state(server: Server, visit: Visit, unbothered: Unbothered) -> None:
    for identity in _untouched(server):
        unfold(visit(f"/referrals/{identity}", "Ada Vellum"))
    page = visit(f"/referrals/{arrive(server)}", "Ada Vellum")
    act(page, "Ask the sender", comment="Which medicines?")
    _look_whole(page)
    page = visit(f"/referrals/{arrive(server)}", "Ada Vellum")
    page.get_by_role("button", name="Accept").click()
    act(page, "Book appointment", date="2030-01-15T09:15", comment="By letter.")
    _look_whole(page)
    page.get_by_role("button", name="Start").click()
    form = more(page, "Correct the code")
    form.locator("[name=code]").select_option("G24.1")
    form.locator("[name=comment]").fill("A variant is known.")
    form.get_by_role("button").click()
    act(page, "Complete with a report", report="Seen; injections begun.")
    _look_whole(page)
    page = visit(f"/referrals/{arrive(server)}", "Ada Vellum")
    act(page, "Reject", comment="Too far.")
    expect(page.locator(".problem")).to_be_visible()
    check(page)
    unbothered(1)


def _untouched(server: Server) -> list[str]:
    """New with a red flag, held for review, and with a letter; the last two withdrawn and entered in error."""
    letter = {"contentType": "text/plain", "title": "Letter", "data": base64.b64encode(b"Dear colleague").decode()}
    document = {
        "resourceType": "DocumentReference",
        "id": "d",
        "status": "current",
        "content": [{"attachment": letter}],
    }
    subject = patient("1971-06-13", id="p", name=[{"family": "Vellum", "given": ["Ada"]}])
    body = referral(None, subject={"reference": "#p"}, contained=[subject, document])
    answer = server.post("/fhir/ServiceRequest", body | {"supportingInfo": [{"reference": "#d"}]})
    withdrawn = arrive(server, identifier=[placer("N-1")])
    sent = server.get(f"/fhir/ServiceRequest/{withdrawn}").json()
    headers = {"If-Match": f'W/"{sent["meta"]["versionId"]}"'}
    revoked = server.put(f"/fhir/ServiceRequest/{withdrawn}", sent | {"status": "revoked"}, **headers)
    assert revoked.status_code == 200
    return [
        arrive(server, reason=RED, note=[{"text": "Please see soon."}]),
        arrive(server, reason="Dystonic cerebral palsy", born=CHILD),
        arrive(server, born=None),
        str(answer.json()["id"]),
        withdrawn,
    ]


def _look_whole(page: Page) -> None:
    check(page)
    unfold(page)
    check(page)


def test_what_was_not_taken(server: Server, visit: Visit, unbothered: Unbothered) -> None:
    rejected = refuse(server, referral("N-1", "Right knee pain"), 422)
    refused = refuse(server, {"resourceType": "ServiceRequest", "note": [{"text": "status dystonicus"}]}, 400)
    gone = refuse(server, referral("N-2", "Left knee pain"), 422)
    query(server, f"UPDATE received SET body = NULL WHERE id = '{gone.removeprefix('/not-taken/')}'")
    page = visit("/not-taken", "Not taken")
    page.get_by_label("Words in the text received").fill("knee")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    check(page)
    page.get_by_label("Words in the text received").fill("elbow")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("heading", name="Nothing fits")).to_be_visible()
    check(page)
    for path, heading in ((refused, "Refused"), (gone, "Rejected"), (rejected, "Rejected")):
        visit(path, heading)
    page.get_by_label("It belongs here after all, because").evaluate("one => { one.value = 'x'; one.required = false }")
    page.get_by_label("It belongs here after all, because").fill("")
    page.get_by_role("button", name="Take it in").click()
    expect(page.locator(".wrong")).to_be_visible()
    check(page)
    unbothered(1)
    page.get_by_label("It belongs here after all, because").fill("The neck is twisted too.")
    page.get_by_role("button", name="Take it in").click()
    expect(page.get_by_text("Taken in by hand").first).to_be_visible()
    _look_whole(page)
    visit(rejected, "Rejected, taken in since")
    visit("/not-taken?state=taken-in", "Not taken")
    page = visit(refused, "Refused")
    page.get_by_role("link", name="Enter it in the form").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Take in a referral that could not be read")
    check(page)


def test_the_form_for_a_new_referral(visit: Visit, unbothered: Unbothered) -> None:
    page = visit("/referrals/new", "New referral by telephone or fax")
    page.get_by_label("Family name").fill("Vellum")
    page.get_by_label("Birth date").fill("last spring")
    check_decision = page.get_by_role("button", name="Check and show the decision")
    check_decision.click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved.")
    check(page)
    unbothered(1)
    page.get_by_label("Birth date").fill("1971-06-13")
    page.get_by_label("The fax or letter").set_input_files(
        {"name": "fax.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 a fax"}
    )
    for reason, headline in (
        (RED, "Routed to Adult movement disorders"),
        ("Tremor of both hands, no dystonia", "Held for a person to decide, in Intake review"),
        ("Right knee pain", "It would not be taken"),
    ):
        page.get_by_label("Reason", exact=False).last.fill(reason)
        check_decision.click()
        expect(page.locator(".headline")).to_contain_text(headline)
        check(page)


def test_alerts(server: Server, visit: Visit) -> None:
    first = arrive(server, "Featherstub", RED)
    refuse(server, {"resourceType": "ServiceRequest", "note": [{"text": "status dystonicus"}]}, 400)
    page = visit("/alerts", "Alerts")
    expect(page.locator(".alerts-banner")).to_contain_text("2 alerts not acknowledged")
    expect(page.locator("tr.is-red")).to_have_count(2)
    page.get_by_role("button", name="Acknowledge").first.click()
    expect(page.get_by_role("heading", name="Ended last")).to_be_visible()
    check(page)
    page.get_by_role("button", name="Acknowledge").first.click()
    expect(page.get_by_role("heading", name="No alert is open")).to_be_visible()
    check(page)
    visit(f"/referrals/{first}", "Ada Featherstub")
    assert task_of(server, first)["priority"] == "urgent"


def test_the_overview(server: Server, visit: Visit) -> None:
    for family in ("Vellum", "Sparrow"):
        arrive(server, family)
    identity = arrive(server, "Makebelieve", "Writer's cramp", born=CHILD)
    arrive(server, "Quillfeather", "Tremor, no dystonia", born=None)
    refuse(server, referral("N-1", "Right knee pain"), 422)
    refuse(server, {"resourceType": "ServiceRequest"}, 400)
    page = visit(f"/referrals/{identity}", "Ada Makebelieve")
    form = more(page, "Correct the code")
    form.locator("[name=code]").select_option("G24.1")
    form.locator("[name=comment]").fill("A variant is known.")
    form.get_by_role("button").click()
    page.get_by_role("button", name="Accept").click()
    for weeks in (4, 13, 26, 52):
        page = visit(f"/overview?weeks={weeks}", "Overview")
        assert page.locator("main .quiet", has_text="Nobody").count() == 0


def test_a_service_that_cannot_reach_its_records(server: Server, visit: Visit, unbothered: Unbothered) -> None:
    query(server, "ALTER TABLE alert RENAME TO elsewhere")
    page = visit("/?queue=all", "That did not work")
    expect(page.locator("main")).to_contain_text("The database cannot be reached. What was sent may not be stored")
    unbothered(1)
