"""The worklist in a browser: a coordinator's morning, by mouse, by keyboard, without a script, and under attack."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.pages import CHILD, RED, arrive, names
from tests.serving import Server
from tests.web.test_pages import WICKED, wicked


def look_again(page: Page) -> None:
    """As when somebody comes back to the page: it refreshes itself soon, not only after its usual pause."""
    with page.expect_response(lambda response: "/refresh" in response.url):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


@pytest.fixture
def morning(server: Server) -> Server:
    """Three who wait, one of them a child, one urgent."""
    arrive(server, "Vellum")
    arrive(server, "Sparrow", "?Blepharospasm", priority="urgent")
    arrive(server, "Makebelieve", "Generalized dystonia", born=CHILD)
    return server


def test_the_day_begins_with_the_queue_of_the_red_flag_and_who_is_to_be_seen_first(
    morning: Server, opened: Open
) -> None:
    page = opened("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Adult movement disorders")
    arrive(morning, "Featherstub", RED, born=CHILD)
    page.get_by_role("link", name="Dystonia referrals").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Pediatric neuromotor")
    assert names(page) == ["Ada Featherstub", "Ada Makebelieve"]
    expect(page.locator("#tabs a")).to_have_text(
        [
            "Adult movement disorders 2 open",
            "Pediatric neuromotor 2 open 1 with a red flag",
            "Intake review 0 open",
            "All queues 4 open 1 with a red flag",
            "Closed 0 closed",
            "Alerts 1 open",
            "Not taken 0",
        ]
    )
    expect(page.locator(".alerts-banner")).to_contain_text("1 alert not acknowledged")
    page.get_by_role("link", name="Adult movement disorders").click()
    assert names(page) == ["Ada Sparrow", "Ada Vellum"]
    page.get_by_role("link", name="Ada Sparrow").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Ada Sparrow")


def test_a_list_is_narrowed_by_filters_and_the_address_can_be_kept(morning: Server, opened: Open) -> None:
    page = opened("/?queue=all")
    page.locator("details.filters summary").click()
    page.get_by_label("Age", exact=True).select_option("6 to 12")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".set a")).to_have_text([re.compile("^Take away the filter Age: 6 to 12")])
    assert names(page) == ["Ada Makebelieve"]
    kept = page.url
    assert names(opened(kept.removeprefix(morning.base))) == ["Ada Makebelieve"]
    page.locator(".set a").click()
    assert names(page) == ["Ada Sparrow", "Ada Vellum", "Ada Makebelieve"]


def test_who_is_looked_for_by_name_stands_in_no_address(morning: Server, opened: Open) -> None:
    page = opened("/?queue=all")
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    page.get_by_label("Name or identifier").fill("vell ada")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("#worklist a.name")).to_have_text(["Ada Vellum"])
    arrive(morning, "Vellichor")
    look_again(page)
    expect(page.locator("#worklist a.name")).to_have_text(["Ada Vellum", "Ada Vellichor"])
    assert [url for url in [*seen, page.url] if "vell" in url.lower()] == []


def test_a_red_flag_is_announced_while_the_list_is_open_and_nothing_is_lost(morning: Server, opened: Open) -> None:
    page = opened("/?queue=all")
    page.locator("a.name", has_text="Makebelieve").focus()
    arrive(morning, "Featherstub", RED)
    look_again(page)
    expect(page.locator("#worklist a.name")).to_have_text(
        ["Ada Featherstub", "Ada Sparrow", "Ada Vellum", "Ada Makebelieve"]
    )
    expect(page.locator("[aria-live=assertive]")).to_have_text(
        re.compile(r"^\d\d:\d\d: Red flag: 1 new referral in Adult movement disorders\.$")
    )
    assert page.title() == "(1) All queues · Dystonia referrals"
    assert page.evaluate("document.activeElement.textContent") == "Ada Makebelieve"
    expect(page.locator("#tabs a[aria-current]")).to_have_text("All queues 4 open 1 with a red flag")


def test_an_ordinary_arrival_is_said_politely(morning: Server, opened: Open) -> None:
    page = opened("/?queue=pediatric-neuromotor")
    arrive(morning, "Quillfeather")
    look_again(page)
    expect(page.locator("[aria-live=polite]")).to_have_text(
        re.compile(r"^\d\d:\d\d: 1 new referral in Adult movement disorders\.$")
    )
    expect(page.locator("[aria-live=assertive]")).to_have_text("")
    assert names(page) == ["Ada Makebelieve"]


@pytest.mark.usefixtures("morning")
def test_an_unchanged_list_is_not_sent_again(opened: Open) -> None:
    page = opened("/?queue=all")
    with page.expect_response(lambda response: "/refresh" in response.url) as answer:
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert answer.value.status in (200, 304)  # the minute may just have turned, and with it how long they wait
    with page.expect_response(lambda response: "/refresh" in response.url) as answer:
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert answer.value.status == 304
    assert names(page) == ["Ada Sparrow", "Ada Vellum", "Ada Makebelieve"]


@pytest.mark.usefixtures("morning")
def test_a_server_that_is_away_is_told_and_the_list_stays(opened: Open, complaints: list[str]) -> None:
    page = opened("/?queue=all")
    page.context.set_offline(True)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#stale")).to_be_visible()
    assert names(page) == ["Ada Sparrow", "Ada Vellum", "Ada Makebelieve"]
    page.context.set_offline(False)
    complaints.clear()
    look_again(page)
    expect(page.locator("#stale")).to_be_hidden()


@pytest.mark.usefixtures("morning")
def test_the_whole_list_is_worked_by_keyboard(opened: Open) -> None:
    page = opened("/")
    page.keyboard.press("g")
    page.keyboard.press("e")
    expect(page.get_by_role("heading", level=1)).to_have_text("All queues")
    page.wait_for_load_state()
    for key in ("j", "j", "j", "k"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.textContent") == "Ada Vellum"
    page.keyboard.press("/")
    page.keyboard.type("jkx?g")
    expect(page.get_by_label("Name or identifier")).to_have_value("jkx?g")
    page.keyboard.press("Tab")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Ada Sparrow")


@pytest.mark.usefixtures("morning")
def test_the_keys_can_be_switched_off(opened: Open) -> None:
    page = opened("/?queue=all")
    page.get_by_role("button", name="Keys").click()
    page.get_by_label("Use these keys in this browser").uncheck()
    page.keyboard.press("Escape")
    page.reload()
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.tagName") == "BODY"


@pytest.mark.usefixtures("morning")
def test_everything_essential_works_without_a_script(opened: Open) -> None:
    page = opened("/?queue=all", java_script_enabled=False)
    page.get_by_role("link", name="Waiting", exact=True).click()
    assert names(page) == ["Ada Vellum", "Ada Sparrow", "Ada Makebelieve"]
    page.locator("details.filters summary").click()
    page.get_by_label("Priority", exact=True).select_option("urgent")
    page.get_by_role("button", name="Show").click()
    assert names(page) == ["Ada Sparrow"]
    page.get_by_label("Name or identifier").fill("nobody by that name")
    page.get_by_role("button", name="Find").click()
    page.get_by_role("link", name="Show everybody again").click()
    page.locator("#worklist a.name").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Ada Sparrow")


def test_what_a_sender_writes_runs_nowhere_on_the_list(server: Server, opened: Open) -> None:
    for number in range(2):
        body = wicked() | {
            "identifier": [{"value": f"{WICKED}{number}"}],
            "subject": {"reference": "#p", "display": WICKED},
        }
        assert server.post("/fhir/ServiceRequest", body).status_code == 201
    page = opened("/?queue=all")
    assert names(page) == [f"{WICKED} {WICKED}"] * 2
    page.get_by_label("Name or identifier").fill(WICKED)
    page.get_by_role("button", name="Find").click()
    expect(page.locator(".found-by bdi")).to_have_text(WICKED)
    page.locator("details.filters summary").click()
    page.get_by_label("From", exact=True).select_option(WICKED)
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".set a bdi")).to_have_text(WICKED)
    look_again(page)
    assert page.locator("main script, main img").count() == 0
