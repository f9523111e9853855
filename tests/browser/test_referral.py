"""One referral in a browser: each story is what a coordinator and a sender do with it, over real HTTP."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.pages import CHILD, act, arrive, more, names, open_form, task_of, unfold
from tests.serving import Server
from tests.web.test_pages import WICKED, wicked


def timeline(page: Page) -> list[str]:
    return page.locator("ol.timeline[reversed] li > .fact").all_inner_texts()


def test_of_two_who_press_at_once_one_wins_and_the_other_is_told_who(
    server: Server, opened: Open, unbothered: Any
) -> None:
    identity = arrive(server)
    first, second = opened(f"/referrals/{identity}"), opened(f"/referrals/{identity}")
    first.get_by_role("button", name="Take in hand").click()
    expect(first.get_by_role("status")).to_have_text(re.compile(r"Done: Taken in hand\."))
    form = open_form(second, "Ask the sender")
    form.get_by_label("What is missing").fill("Which medicines does she take?")
    form.get_by_role("button").click()
    expect(second.locator(".problem")).to_contain_text("Somebody was quicker")
    expect(second.locator(".problem li")).to_have_text(re.compile(r"^Local user, .*: Taken in hand$"))
    expect(second.locator(".problem")).to_be_focused()
    expect(second.get_by_label("What is missing")).to_have_value("Which medicines does she take?")
    assert task_of(server, identity)["status"] == "requested"
    second.locator("details[open] > form.asking button").click()
    expect(second.get_by_role("status")).to_contain_text("Returned to the sender for information")
    unbothered(1)


def test_of_two_browsers_that_take_one_in_hand_one_has_it_and_the_other_sees_who(
    server: Server, opened: Open, unbothered: Any
) -> None:
    identity = arrive(server)
    first, second = opened("/?queue=all"), opened(f"/referrals/{identity}", viewport={"width": 800, "height": 600})
    first.get_by_label("Select Ada Vellum").check()
    first.get_by_role("button", name="Take in hand").click()
    expect(first.locator(".told")).to_contain_text("1 of 1 taken in hand.")
    second.get_by_role("button", name="Take in hand").click()
    expect(second.locator(".problem")).to_contain_text("Somebody was quicker")
    expect(second.locator(".problem li")).to_have_text(re.compile(r"^Local user, .*: Taken in hand$"))
    assert second.get_by_role("button", name="Take in hand").count() == 0
    task = task_of(server, identity)
    assert (task["meta"]["versionId"], task["status"]) == ("2", "requested")
    unbothered(1)


def test_a_question_is_answered_by_the_sender_and_the_referral_comes_back(server: Server, opened: Open) -> None:
    identity = arrive(server)
    page = opened(f"/referrals/{identity}")
    page.get_by_role("button", name="Take in hand").click()
    form = open_form(page, "Ask the sender")
    form.get_by_label("What is missing").fill("Which medicines does she take?")
    form.get_by_role("button").click()
    expect(page.locator(".chip-notice")).to_have_text("Awaiting information")
    task = task_of(server, identity)
    assert (task["status"], task["statusReason"]["text"]) == ("on-hold", "Which medicines does she take?")
    sent = server.get(f"/fhir/ServiceRequest/{identity}").json()
    answer = sent | {"note": [{"text": "None but the pill."}]}
    version = sent["meta"]["versionId"]
    put = server.put(f"/fhir/ServiceRequest/{identity}", answer, **{"If-Match": f'W/"{version}"'})
    assert put.status_code == 200, put.text
    page.reload()
    assert timeline(page)[:2] == ["New", "Returned to the sender for information"]
    expect(page.locator(".messages .theirs")).to_contain_text("None but the pill.")
    assert task_of(server, identity)["restriction"] == task["restriction"]


def test_what_is_held_for_review_is_routed_by_one_press(server: Server, opened: Open) -> None:
    identity = arrive(server, "Sparrow", "Dystonic cerebral palsy", born=CHILD)
    page = opened("/?queue=intake-review")
    page.get_by_role("link", name="Ada Sparrow").click()
    expect(page.get_by_label("Queue")).to_have_value("pediatric-neuromotor")
    page.get_by_role("button", name="Move to Pediatric neuromotor").click()
    expect(page.get_by_role("status")).to_contain_text("Moved from Intake review to Pediatric neuromotor")
    task = task_of(server, identity)
    assert task["owner"] == {"reference": "HealthcareService/pediatric-neuromotor"}
    assert task["note"][0]["text"].startswith("Looked at by hand: “Athetoid, dyskinetic or dystonic cerebral palsy”")
    expect(page.locator(".by-hand h3")).to_have_text("Queue: Pediatric neuromotor instead of Intake review")


def test_a_reason_to_reject_is_read_by_the_sender_and_the_end_can_be_undone(server: Server, opened: Open) -> None:
    identity = arrive(server)
    page = opened(f"/referrals/{identity}")
    form = open_form(page, "Reject")
    form.get_by_label("Reason").select_option("Treated elsewhere")
    form.get_by_label("In words, for the sender").fill("She is seen at the other hospital.")
    form.get_by_role("button", name="Reject").click()
    task = task_of(server, identity)
    assert (task["status"], task["statusReason"]["coding"][0]["code"]) == ("rejected", "treated-elsewhere")
    assert task["statusReason"]["text"] == "She is seen at the other hospital."
    page.get_by_role("status").get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status")).to_contain_text("End taken back; New.")
    task = task_of(server, identity)
    assert (task["status"], "statusReason" in task) == ("requested", False)
    assert timeline(page) == ["End taken back; New", "Rejected", "Received and placed in Adult movement disorders"]


def test_a_code_is_corrected_beside_the_one_proposed(server: Server, opened: Open) -> None:
    identity = arrive(server, reason="Generalized dystonia")
    page = opened(f"/referrals/{identity}")
    form = more(page, "Correct the code")
    form.get_by_label("Code").select_option("G24.1")
    form.get_by_label("Why").fill("A variant of TOR1A is known.")
    form.get_by_role("button").click()
    expect(page.locator(".by-hand h3")).to_have_text("Code: G24.1 instead of G24.8")
    expect(page.locator(".codes li").first).to_contain_text("G24.8")
    codes = [one["code"] for one in task_of(server, identity)["reasonCode"]["coding"]]
    assert codes == ["G24.1", "G24.1"]


def test_a_birth_date_confirmed_by_telephone_routes_what_waited_for_it(server: Server, opened: Open) -> None:
    identity = arrive(server, "Makebelieve", born=None)
    page = opened(f"/referrals/{identity}")
    form = page.locator("details[open] > form.asking")
    form.get_by_label("Birth date").fill(CHILD)
    form.get_by_label("Who confirmed it, and how").fill("The mother, by telephone.")
    form.get_by_role("button", name="Confirm the birth date").click()
    expect(page.get_by_role("status")).to_contain_text("Moved from Intake review to Pediatric neuromotor")
    expect(page.locator(".who")).to_contain_text("born 3 Feb")
    sent = server.get(f"/fhir/ServiceRequest/{identity}").json()
    assert "birthDate" not in sent["contained"][0]
    assert task_of(server, identity)["owner"]["reference"] == "HealthcareService/pediatric-neuromotor"


def test_an_appointment_is_booked_and_a_report_completes_it(server: Server, opened: Open) -> None:
    identity = arrive(server)
    page = opened(f"/referrals/{identity}")
    page.get_by_role("button", name="Accept").click()
    when = datetime.now(UTC).replace(month=1, day=15) + timedelta(days=365)
    form = open_form(page, "Book appointment")
    form.get_by_label("Day and time").fill(f"{when.year}-01-15T09:15")
    form.get_by_role("button").click()
    expect(page.locator("[aria-labelledby=standing]")).to_contain_text(f"15 Jan {when.year}, 09:15")
    page.get_by_role("button", name="Start").click()
    form = open_form(page, "Patient was seen")
    form.get_by_role("button").click()
    form = open_form(page, "Complete with a report")
    form.get_by_label("Closing report").fill("Seen; injections begun.")
    form.get_by_role("button").click()
    task = task_of(server, identity)
    assert (task["status"], [one["valueString"] for one in task["output"]]) == (
        "completed",
        ["Seen; injections begun."],
    )
    expect(page.locator("[aria-labelledby=standing] .note")).to_have_text("Seen; injections begun.")
    page.goto(f"{server.base}/?queue=closed")
    assert names(page) == ["Ada Vellum"]


def test_a_referral_is_worked_by_keyboard_alone(server: Server, opened: Open, unbothered: Any) -> None:
    identity = arrive(server)
    page = opened("/?queue=all")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Ada Vellum")

    def tab_to(words: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            found = page.evaluate("(document.activeElement.labels?.[0] ?? document.activeElement).innerText")
            if (found or "").split("\n")[0].strip().startswith(words):
                return
        raise AssertionError(f"{words} is not reached")

    tab_to("Take in hand")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_be_focused()
    tab_to("Reject")
    page.keyboard.press("Enter")
    tab_to("Reason")
    page.keyboard.type("Other")
    tab_to("Reject")
    page.keyboard.press("Enter")
    expect(page.locator(".problem")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#reject-comment")).to_be_focused()
    page.keyboard.type("Moved abroad.")
    tab_to("Reject")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_be_focused()
    assert task_of(server, identity)["statusReason"]["text"] == "Moved abroad."
    tab_to("Undo")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("End taken back")
    unbothered(1)


def test_a_referral_is_worked_without_a_script(server: Server, opened: Open, unbothered: Any) -> None:
    identity = arrive(server)
    page = opened(f"/referrals/{identity}", java_script_enabled=False)
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_role("status")).to_contain_text("Done: Accepted.")
    form = open_form(page, "Book appointment")
    form.get_by_role("button").click()
    expect(page.locator(".wrong")).to_have_text("Say on which day and at what time.")
    page.locator("#book-appointment-date").fill("2030-01-15T09:15")
    page.locator("details[open] > form.asking button").click()
    expect(page.get_by_role("status")).to_contain_text("Appointment booked for 15 Jan 2030, 09:15.")
    page.goto(f"{server.base}/?queue=all")
    page.get_by_label("Select Ada Vellum").check()
    page.get_by_role("button", name="Take in hand").click()
    expect(page.locator(".told")).to_contain_text("1 of 1 taken in hand.")
    assert task_of(server, identity)["status"] == "accepted"
    unbothered(1)


def test_many_are_selected_with_shift_and_by_key_and_taken_in_hand(server: Server, opened: Open) -> None:
    for family in ("Adams", "Brook", "Child", "Doubt", "Early"):
        arrive(server, family)
    page = opened("/?queue=all")
    other = opened("/?queue=all")
    boxes = other.locator("input[name=task]")
    boxes.nth(1).click()
    boxes.nth(3).click(modifiers=["Shift"])
    assert [boxes.nth(place).is_checked() for place in range(5)] == [False, True, True, True, False]
    other.get_by_role("button", name="Take in hand").click()
    expect(other.locator(".told")).to_contain_text("3 of 3 taken in hand.")
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Take in hand").click()
    expect(page.locator(".told")).to_be_focused()
    expect(page.locator(".told")).to_contain_text("1 of 2 taken in hand.")
    expect(page.locator(".told li")).to_have_text(re.compile(r"^Ada Brook: with Local user since "))
    page.get_by_role("link", name="Show mine").click()
    assert names(page) == ["Ada Adams", "Ada Brook", "Ada Child", "Ada Doubt"]


def test_what_anybody_writes_runs_nowhere_on_a_referral(server: Server, opened: Open, unbothered: Any) -> None:
    data = base64.b64encode(f"<p>{WICKED}</p><script>alert(3)</script>".encode()).decode()
    attachment = {"contentType": "text/html", "title": WICKED, "data": data}
    document = {"resourceType": "DocumentReference", "id": "d", "status": "current", "description": WICKED}
    body = wicked()
    body["contained"].append(document | {"content": [{"attachment": attachment}]})
    body["supportingInfo"] = [{"reference": "#d", "display": WICKED}]
    body["extension"] = [{"url": "http://x.org/y", "valueString": WICKED}]
    identity = str(server.post("/fhir/ServiceRequest", body).json()["id"])
    page = opened(f"/referrals/{identity}")
    act(page, "Write to the sender", comment=WICKED)
    page.locator("summary", has_text=re.compile("^More$")).click()
    act(page, "Assign", assignee=WICKED, comment=WICKED)
    act(page, "Ask the sender", comment=WICKED)
    act(page, "Reject", reason="other")
    expect(page.locator(".problem")).to_contain_text("Say it in words.")
    act(page, "Write to the sender", comment=WICKED * 300)
    expect(page.locator(".problem")).to_contain_text("At most 10,000 letters.")
    unbothered(2)
    page.goto(f"{server.base}/referrals/{identity}")
    unfold(page)
    expect(page.locator(".messages li")).to_have_count(3)
    assert page.locator("main script, main img").count() == 0
    with page.expect_download() as download:
        page.locator(".files a").click()
    assert download.value.suggested_filename.startswith("script_alert_1")
