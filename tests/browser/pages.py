"""What the stories share: who sends, what is pressed, and what every page must stand in every look."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page

from tests.serving import Server
from tests.shapes import Resource, patient, referral

CHILD = f"{datetime.now(UTC).year - 7}-02-03"
RED = "Acute dystonic reaction after metoclopramide"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "at 200 percent": {"viewport": {"width": 640, "height": 430}, "device_scale_factor": 2},
    "on a phone": {"viewport": {"width": 320, "height": 700}, "is_mobile": True, "has_touch": True},
}
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def arrive(server: Server, family: str = "Vellum", reason: str = "Cervical dystonia", **more: Any) -> str:
    """A referral that an EHR posts; its id."""
    born = more.pop("born", "1971-06-13")
    subject = patient(born, id="p", name=[{"family": family, "given": ["Ada"]}])
    body = referral(None, reason, subject={"reference": "#p"}, contained=[subject], **more)
    answer = server.post("/fhir/ServiceRequest", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def task_of(server: Server, identity: str) -> Resource:
    found = server.get(f"/fhir/Task?focus=ServiceRequest/{identity}").json()["entry"]
    assert len(found) == 1
    return dict(found[0]["resource"])


def names(page: Page) -> list[str]:
    return page.locator("#worklist a.name").all_inner_texts()


def open_form(page: Page, title: str) -> Locator:
    """The form that opens below a button of the moves."""
    page.locator("summary", has_text=re.compile(f"^{title}$")).click()
    return page.locator("details[open] > form.asking")


def more(page: Page, title: str) -> Locator:
    page.locator("summary", has_text=re.compile("^More$")).click()
    return open_form(page, title)


def act(page: Page, title: str, **filled: str) -> None:
    """One move by its form; ``filled`` by the name of the field."""
    form = open_form(page, title)
    for name, value in filled.items():
        field = form.locator(f"[name={name}]")
        field.select_option(value) if field.evaluate("one => one.tagName") == "SELECT" else field.fill(value)
    form.locator("button").click()


def unfold(page: Page) -> None:
    """Opens all that can be opened."""
    for summary in page.locator("main summary").all():
        if summary.is_visible() and summary.evaluate("one => !one.parentElement.open"):
            summary.click()


def check(page: Page) -> None:
    """Axe finds nothing, and nothing sticks out sideways. A phone zooms out of what does, so its own width counts."""
    page.wait_for_load_state()  # Words can be read before the styles have come.
    found = Axe().run(page, options={"runOnly": WCAG}).response["violations"]
    faults = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]
    assert faults == [], f"{page.url}: {faults}"
    assert page.viewport_size is not None
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"], f"{page.url} is {width} wide"
