"""The pages in docs/ are true: their steps, run as they stand, do what they say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from referral_service.access.registering import TELLING
from referral_service.cli import client_add
from tests.serving import Server

DOCS = Path(__file__).parent.parent / "docs"
NO_CURL = pytest.mark.skipif(which("curl") is None, reason="the steps use curl, which is not on this machine")
BETWEEN = "-----8<-----"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(f"sqlite:///{tmp_path / 'referrals.db'}", tmp_path, {"REFERRAL_AUTH": "smart"})
    running.start()
    yield running
    running.stop()


def run(name: str, server: Server, folder: Path) -> list[str]:
    """What each step of a page prints."""
    steps = re.findall(r"<!-- step -->\n```sh\n(.*?)\n```", (DOCS / name).read_text("utf-8"), re.DOTALL)
    script = f"\necho '{BETWEEN}'\n".join(steps).replace("http://127.0.0.1:8080", server.base)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "REFERRAL_DATABASE_URL": server.database_url,
    }
    ran = subprocess.run(
        ["bash", "-eu", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split(f"{BETWEEN}\n")


def shown(name: str) -> list[Any]:
    """The answers that a page shows."""
    return [json.loads(one) for one in re.findall(r"```json\n(.*?)\n```", (DOCS / name).read_text("utf-8"), re.DOTALL)]


@NO_CURL
def test_the_steps_lead_from_a_key_to_a_referral_in_its_queue(server: Server, tmp_path: Path) -> None:
    made, registered, discovery, token, sent, found = run("systems.md", server, tmp_path)
    assert (made, registered, token) == ("", "clinic-a is registered.\n", "")
    assert json.loads(discovery)["token_endpoint"] == f"{server.base}/auth/token"
    given = json.loads((tmp_path / "token.json").read_text("utf-8"))
    assert [given | {"access_token": "…"}] == shown("systems.md")
    [task] = json.loads(found)["entry"]
    assert task["resource"]["focus"]["reference"] == f"ServiceRequest/{json.loads(sent)['id']}"
    assert task["resource"]["owner"]["reference"] == "HealthcareService/adult-movement-disorders"


@NO_CURL
def test_the_steps_lead_from_discovery_to_a_card_and_what_was_made_of_it(server: Server, tmp_path: Path) -> None:
    discovery, registered, signed, asked, feedback = run("cds-hooks.md", server, tmp_path)
    assert [one["id"] for one in json.loads(discovery)["services"]] == ["dystonia-referral"]
    assert (registered, signed, feedback) == ("ehr-a is registered.\n", "", "{}")
    [card] = json.loads(asked)["cards"]
    [expected] = shown("cds-hooks.md")
    assert {name: card[name] for name in expected} == expected


@NO_CURL
def test_the_steps_lead_from_a_preview_to_what_became_of_all_that_was_sent(tmp_path: Path) -> None:
    server = Server(f"sqlite:///{tmp_path / 'referrals.db'}", tmp_path)
    server.start()
    try:
        asked, sent, again, together, withdrawn, rejected, tasks, receipts = run("sending.md", server, tmp_path)
    finally:
        server.stop()
    assert json.loads(asked)["parameter"][0] == {"name": "disposition", "valueCode": "routed"}
    assert (sent.split()[1], again, withdrawn, rejected.split()[0]) == ("201", "200\n", "200\n", "422")
    assert [one["response"]["status"] for one in json.loads(together)["entry"]] == ["201 Created"] * 3
    [receipt] = json.loads(rejected.partition("\n")[2])["parameter"]
    assert {"name": "disposition", "valueCode": "rejected"} in receipt["part"]
    found = [one["resource"] for one in json.loads(tasks)["entry"] if one["search"]["mode"] == "match"]
    assert sorted((task["status"], task["owner"]["reference"]) for task in found) == [
        ("cancelled", "HealthcareService/adult-movement-disorders"),
        ("requested", "HealthcareService/pediatric-neuromotor"),
    ]
    assert receipts == "monday-1 routed Task\nmonday-2 routed Task\nmonday-3 rejected -\n"


@NO_CURL
def test_the_steps_lead_a_clinic_from_what_waits_to_a_question_and_a_report(tmp_path: Path) -> None:
    server = Server(f"sqlite:///{tmp_path / 'referrals.db'}", tmp_path)
    server.start()
    try:
        sent, waiting, actions, accepted, held, ended = run("tasks.md", server, tmp_path)
        one, other = waiting.split()
        question = server.get(f"/fhir/Task/{other}").json()["statusReason"]["text"]
    finally:
        server.stop()
    assert (sent, accepted, held) == ("201\n201\n", "200\n", "200\n")
    assert '"valueCode":"accept"' in actions
    assert question == "Which medicines does the patient take?"
    booked, _, report = ended.partition("\n")
    task = json.loads(report)
    assert (booked, task["id"], task["status"]) == ("200", one, "completed")
    assert task["output"][0]["valueString"] == "Treated with botulinum toxin."


@NO_CURL
def test_the_steps_lead_from_a_file_to_the_page_of_its_referral(tmp_path: Path) -> None:
    server = Server(f"sqlite:///{tmp_path / 'referrals.db'}", tmp_path)
    server.start()
    try:
        posted, sent, given = run("attachments.md", server, tmp_path)
        assert (given, json.loads(posted)["contentType"]) == ("%PDF-1.7 invented", "application/pdf")
        located = [one["response"]["location"] for one in json.loads(sent)["entry"]]
        identity = located[2].partition("ServiceRequest/")[2].partition("/")[0]
        page = server.get(f"/referrals/{identity}").text
        assert f'href="/referrals/{identity}/files/' in page
        assert "<bdi>Letter</bdi>" in page
    finally:
        server.stop()


@NO_CURL
def test_the_steps_play_a_rejection_and_a_fault_in_a_sandbox(tmp_path: Path) -> None:
    server = Server(f"sqlite:///{tmp_path / 'referrals.db'}", tmp_path, {"REFERRAL_SANDBOX": "1"})
    server.start()
    try:
        _, found, tried = run("sandbox.md", server, tmp_path)
        [task] = json.loads(found)["entry"]
        assert task["resource"]["status"] == "rejected"
        assert tried.split() == ["503", "201"]
    finally:
        server.stop()


def test_the_readme_leads_to_every_page() -> None:
    readme = (DOCS.parent / "README.md").read_text("utf-8")
    assert sorted(re.findall(r"\| \[docs/(\w[\w-]*\.md)\]\(docs/\1\) \|", readme)) == sorted(
        page.name for page in DOCS.glob("*.md")
    )


def test_the_page_of_systems_names_every_option_of_their_registration_and_every_way_of_telling() -> None:
    told = (DOCS / "systems.md").read_text("utf-8")
    options = {name for option in client_add.params for name in option.opts}
    assert {one for one in options | {f"`{way}`" for way in TELLING} if one not in told} == set()


def test_every_link_of_a_page_leads_somewhere() -> None:
    pages = {page.name: page.read_text("utf-8") for page in DOCS.glob("*.md")}
    links = [(name, *link) for name, text in pages.items() for link in re.findall(r"\]\(([\w./-]+)?(#[\w-]+)?\)", text)]
    headings = {
        (name, "#" + re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-"))
        for name, text in pages.items()
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    lost = [
        (name, path, anchor)
        for name, path, anchor in links
        if not (DOCS / path).exists() or (anchor and (path or name, anchor) not in headings)
    ]
    assert lost == []
