"""A real server, a real browser. Without a browser on the machine these tests are skipped, and say so."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.serving import Server

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
Open = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser on this machine: none of {', '.join(BROWSERS)} is on the PATH")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found)
        yield running
        running.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """The service on an SQLite file of its own."""
    running = Server(f"sqlite:///{tmp_path / 'service.db'}", tmp_path)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def complaints() -> list[str]:
    """What pages complain of: errors of scripts, of the security policy, of what cannot be loaded, and dialogues."""
    return []


@pytest.fixture
def opened(browser: Browser, server: Server, complaints: list[str]) -> Iterator[Open]:
    """Opens a page of the server in a context of its own; at the end no page may have complained of anything."""
    contexts: list[BrowserContext] = []

    def open_page(path: str = "/", **settings: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, "locale": "en-GB", **settings})
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda problem: complaints.append(str(problem)))
        page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.goto(f"{server.base}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def unbothered(complaints: list[str]) -> Callable[[int], None]:
    """Chromium complains of every answer that is a fault; a form that is told its faults is one."""

    def forget(number: int) -> None:
        assert complaints == [one for one in complaints if one.startswith("Failed to load resource")]
        assert len(complaints) == number
        complaints.clear()

    return forget
