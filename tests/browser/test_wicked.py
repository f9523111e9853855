"""What senders and coordinators write is text on every page: it runs nowhere, and nothing is loaded for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.pages import RED, names, unfold
from tests.serving import Server
from tests.shapes import Resource, placer
from tests.web.test_pages import WICKED

EXAMPLE = Path("profiles/examples/valid/02-generalised-dystonia-child-transaction.json")
FREE = frozenset(
    {
        *("text", "display", "description", "title", "value", "valueString", "patientInstruction"),
        *("name", "family", "given", "prefix", "suffix"),
        *("line", "city", "district", "state", "postalCode", "country"),
    }
)
"""The names of elements that hold whatever somebody typed."""


def wickedly(value: Any, name: str = "") -> Any:
    """The same resource with an attack in each of its free texts."""
    if isinstance(value, dict):
        return {key: wickedly(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [wickedly(inner, name) for inner in value]
    return WICKED if isinstance(value, str) and name in FREE else value


def full(**more: Any) -> Resource:
    """A transaction with the patient, the family, the practice and a referral with all texts that one can have."""
    bundle = json.loads(EXAMPLE.read_text("utf-8"))
    said = [{"text": "as said"}]
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] == "Patient":
            entry["resource"]["contact"] = [{"relationship": said, "name": {"text": "An aunt"}}]
            entry["resource"]["maritalStatus"] = said[0]
        if entry["resource"]["resourceType"] == "ServiceRequest":
            referral = entry["resource"]
            referral |= {"code": said[0], "orderDetail": said, "bodySite": said, "category": said, "locationCode": said}
            referral |= {"note": [{"authorString": "the clerk", "text": "See soon."}], "patientInstruction": "Rest."}
            referral |= {"performerType": said[0], "asNeededCodeableConcept": said[0]}
            shown = {"display": "as shown"}
            referral |= {"insurance": [shown], "performer": [shown], "locationReference": [shown], "specimen": [shown]}
            referral |= {"supportingInfo": [shown], "encounter": shown, "requisition": {"value": "R-1"}}
            referral |= {"extension": [{"url": "https://ehr.example/told", "valueString": "as told"}]}
    written = wickedly(bundle)
    for entry in written["entry"]:
        if entry["resource"]["resourceType"] == "ServiceRequest":
            entry["resource"] |= {"reasonCode": [{"text": f"{RED} {WICKED}"}], "identifier": [placer(WICKED)], **more}
    return dict(written)


def referral_of(bundle: Resource) -> Resource:
    (found,) = (one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == "ServiceRequest")
    return dict(found)


def is_harmless(page: Page) -> None:
    """The attack is read on the page as it was typed, and became no element of it. A dialogue fails any test."""
    assert WICKED in page.locator("main").inner_text() or page.locator("main").evaluate(FIELDS, WICKED), page.url
    assert page.locator("main script, main img, main [onerror]").count() == 0, page.url


FIELDS = "(main, wicked) => [...main.querySelectorAll('input, textarea')].some(one => one.value.includes(wicked))"


@pytest.fixture
def attacked(server: Server) -> str:
    """The attack in what was taken, rejected and refused; the id of what was taken."""
    answer = server.post("/fhir", full())
    assert answer.status_code == 200, answer.text
    assert server.post("/fhir", full(status="draft", identifier=[placer(f"{WICKED}2")])).status_code == 422
    assert server.post("/fhir", full(status=WICKED, identifier=[placer(f"{WICKED}3")])).status_code == 400
    assert server.post("/fhir", full(**{"identifier": [placer(f"{WICKED}4")], WICKED: WICKED})).status_code == 400
    places = [one["response"].get("location", "") for one in answer.json()["entry"]]
    (place,) = (one for one in places if "/ServiceRequest/" in one)
    return str(place.split("/ServiceRequest/")[1].split("/")[0])


def test_what_a_sender_writes_runs_on_no_page(server: Server, opened: Open, attacked: str) -> None:
    assert json.dumps(referral_of(full())).count(json.dumps(WICKED)[1:-1]) >= 20
    page = opened(f"/referrals/{attacked}")
    unfold(page)
    is_harmless(page)
    page.goto(f"{server.base}/?queue=all")
    is_harmless(page)
    assert names(page) == [f"{WICKED} {WICKED}"]
    page.locator("input[name=task]").check()
    page.get_by_role("button", name="Mark as received").click()
    is_harmless(page)
    page.goto(f"{server.base}/not-taken")
    is_harmless(page)
    for link in [one.get_attribute("href") for one in page.locator("a.name").all()]:
        page.goto(f"{server.base}{link}")
        is_harmless(page)
    for path in ("/overview", "/alerts"):
        page.goto(f"{server.base}{path}")
        assert page.locator("main script, main img, main [onerror]").count() == 0


def test_what_is_looked_for_runs_on_no_page(server: Server, opened: Open, attacked: str) -> None:
    page = opened("/not-taken")
    page.get_by_label("Words in the text received").fill(f"no such {WICKED}")
    page.get_by_role("button", name="Search").click()
    is_harmless(page)
    expect(page.locator(".narrowed bdi")).to_have_text(f"no such {WICKED}")
    page.goto(f"{server.base}/?queue=all")
    page.get_by_label("Name or identifier").fill(WICKED)
    page.get_by_role("button", name="Find").click()
    is_harmless(page)
    assert attacked in str(page.locator("a.name").get_attribute("href"))


def test_what_a_coordinator_types_in_the_form_runs_on_no_page(
    opened: Open, unbothered: Callable[[int], None], attacked: str
) -> None:
    assert attacked
    page = opened("/referrals/new")
    for one in page.locator("main input[type=text], main input[type=tel], main textarea").all():
        one.fill(WICKED)
    fax = {"name": "<img src=x onerror=alert(3)>.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 a fax"}
    page.get_by_label("The fax or letter").set_input_files(fax)
    page.get_by_role("button", name="Check and show the decision").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved.")
    is_harmless(page)
    unbothered(1)
    page.locator("#birth_date").fill("1971-06-13")
    page.locator("#reason").fill(f"{RED} {WICKED}")
    page.get_by_role("button", name="Check and show the decision").click()
    expect(page.locator(".headline")).to_have_text("Routed to Adult movement disorders")
    is_harmless(page)
    page.get_by_role("button", name="Save the referral").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{WICKED} {WICKED}")
    unfold(page)
    is_harmless(page)
