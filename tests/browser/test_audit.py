"""The audit trail in a browser: narrowed, followed to one patient, and printed."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.pages import LOOKS, arrive, check
from tests.serving import Server

PAGES = ("/audit", "/audit?outcome=4&to=2020-01-01", "/audit?person=local")


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_on_the_trail_and_nothing_sticks_out(server: Server, opened: Open, look: str) -> None:
    identity = arrive(server)
    server.get(f"/fhir/ServiceRequest/{identity}")
    page = opened("/audit", **LOOKS[look])
    patient = page.locator("a[href^='/audit/patients/']").first.get_attribute("href")
    assert patient is not None
    for path in (*PAGES, patient, "/audit/patients/nobody"):
        page.goto(f"{server.base}{path}")
        check(page)


def test_an_auditor_follows_an_access_to_its_patient_and_prints_who_looked(server: Server, opened: Open) -> None:
    identity = arrive(server)
    page = opened(f"/referrals/{identity}")
    page.get_by_role("link", name="Audit", exact=True).click()
    page.get_by_label("Action").select_option("Read")
    page.get_by_role("button", name="Show").click()
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text(f"ServiceRequest/{identity}")
    rows.locator("a").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Who has touched")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.emulate_media(media="print")
    expect(page.locator("header.top")).to_be_hidden()
    expect(page.locator("form")).to_be_hidden()
    expect(page.locator("tbody tr").first).to_be_visible()
