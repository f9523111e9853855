"""Signing in with a browser: to the list, a referral in hand, and out again; a list whose session is over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from referral_service.app import prepare, site_of
from referral_service.intake import Incoming, receive
from referral_service.policy import load_policy
from referral_service.settings import from_environment
from referral_service.store.engine import open_store
from tests.browser.conftest import Open
from tests.browser.pages import LOOKS, WCAG
from tests.browser.test_worklist import look_again
from tests.serving import Server
from tests.web.signing import PASSWORD, add_users


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """The service as it is by default, with somebody of each role and one referral."""
    url = f"sqlite:///{tmp_path / 'service.db'}"
    prepare(from_environment({"REFERRAL_DATABASE_URL": url}))
    store = open_store(url)
    add_users(store)
    example = Path(__file__).parents[2] / "profiles/examples/valid/01-cervical-dystonia-contained-patient.json"
    site = site_of(store, load_policy(), "http://localhost")
    receive(site, Incoming("ehr", "test", "r-1", example.read_bytes(), datetime.now(UTC)), "ServiceRequest")
    store.close()
    running = Server(url, tmp_path, {"REFERRAL_AUTH": "smart"})
    running.start()
    yield running
    running.stop()


def sign_in(page: Page, user: str, password: str = PASSWORD) -> None:
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def check(page: Page) -> None:
    found = Axe().run(page, options={"runOnly": WCAG}).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_coordinator_signs_in_takes_a_referral_in_hand_and_signs_out(server: Server, opened: Open) -> None:
    page = opened("/?queue=adult-movement-disorders")
    expect(page).to_have_title("Sign in · Dystonia referrals")
    sign_in(page, "coordinator")
    expect(page.get_by_role("heading", level=1)).to_have_text("Adult movement disorders")
    page.locator("#worklist a.name").click()
    page.get_by_role("button", name="Take in hand").click()
    expect(page.locator(".done")).to_contain_text("Done:")
    expect(page.locator(".strip")).to_contain_text("with Sample coordinator")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{server.base}/sign-in")
    page.go_back()
    page.reload()
    expect(page).to_have_title("Sign in · Dystonia referrals")


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_on_the_pages_of_people(server: Server, opened: Open, look: str) -> None:
    page = opened("/sign-in?next=/account", **LOOKS[look])
    check(page)
    sign_in(page, "coordinator")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sample coordinator")
    check(page)
    page.goto(f"{server.base}/?queue=all")
    check(page)
    page.goto(f"{server.base}/not-taken")
    check(page)


def test_a_wrong_password_is_told_and_nothing_but_the_name_is_kept(
    server: Server, opened: Open, complaints: list[str]
) -> None:
    page = opened("/sign-in")
    sign_in(page, "lead", "not the password")
    expect(page.get_by_role("alert")).to_contain_text("do not go together")
    expect(page.get_by_label("User name")).to_have_value("lead")
    expect(page.get_by_label("Password")).to_have_value("")
    expect(page.get_by_label("Password")).to_be_focused()
    check(page)
    assert page.url == f"{server.base}/sign-in"
    assert [line for line in complaints if "401" not in line] == []
    complaints.clear()


def test_a_list_whose_session_is_over_says_so_and_keeps_what_was_typed(
    server: Server, opened: Open, complaints: list[str]
) -> None:
    page = opened("/?queue=all")
    sign_in(page, "lead")
    page.get_by_label("Name or identifier").fill("typed")
    page.locator("input[name=task]").check()
    page.context.clear_cookies()
    look_again(page)
    said = page.locator("#signed-out")
    expect(said).to_be_visible()
    expect(page.locator("#stale")).to_be_hidden()
    expect(page.get_by_label("Name or identifier")).to_have_value("typed")
    expect(page.locator("input[name=task]")).to_be_checked()
    check(page)
    said.get_by_role("link", name="Sign in again").click()
    sign_in(page, "lead")
    expect(page).to_have_url(f"{server.base}/?queue=all")
    assert [line for line in complaints if "401" not in line] == []
    complaints.clear()
