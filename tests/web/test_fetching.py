"""The page of a referral says what is awaited from its sender's EHR, and has it asked again; our key is published."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape

import pytest
from flask.testing import FlaskClient

from referral_service.access.gate import Gate
from referral_service.access.keys import read_key_set
from referral_service.app import application
from referral_service.ehr import reading
from referral_service.fetching import Fetcher, FileFetcher
from referral_service.intake import Site
from referral_service.store import fetches
from referral_service.worker import now
from tests.callers import Doors, placer
from tests.ehrs import OWN, Ehr, ehrs
from tests.receivers import status
from tests.shapes import CHILD_BORN, patient, referral
from tests.systems import System
from tests.web.signing import KEY, add_users, form, sign_in


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """So much time at the door that a slow machine changes nothing."""
    monkeypatch.setattr(reading, "DOOR_SECONDS", 60.0)


@pytest.fixture
def ehr() -> Iterator[Ehr]:
    with Ehr().open() as opened:
        yield opened


@pytest.fixture
def doors(site: Site, ehr: Ehr) -> Doors:
    System().register(site.store, **ehr.registration, private=frozenset({ehr.origin}))
    return Doors(replace(site, ehrs=ehrs(ehr)))


def sent(doors: Doors) -> str:
    answer = doors.of(placer("ehr-a")).create(referral(subject={"reference": "Patient/77"}))
    assert answer.status_code == 201
    return str(answer.json["id"])


@pytest.fixture
def lead(site: Site) -> FlaskClient:
    add_users(site.store)
    return browser(site, "lead")


def browser(site: Site, user: str) -> FlaskClient:
    opened = application(site, Gate(asks=True, secret_key=KEY)).test_client()
    sign_in(opened, user)
    return opened


def shown(lead: FlaskClient, identity: str) -> str:
    answer = lead.get(f"/referrals/{identity}")
    assert answer.status_code == 200
    found = re.search(r'<section class="panel" aria-labelledby="awaited">.*?</section>', answer.text, re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", found[0])).split()) if found else ""


def press(client: FlaskClient, identity: str) -> int:
    return form(client, f"/referrals/{identity}/ask-again", page="/account").status_code


def works(doors: Doors, ehr: Ehr) -> None:
    fetcher = Fetcher(doors.site, ehrs(ehr), now)
    while fetcher.step():
        pass


def test_it_says_what_is_awaited_from_where_when_it_was_tried_and_what_came_of_it(
    doors: Doors, ehr: Ehr, lead: FlaskClient
) -> None:
    words = shown(lead, sent(doors))
    assert re.fullmatch(
        rf"Waiting for the sender.s EHR The patient's record is awaited from 127.0.0.1:{ehr.port} ; last tried .+ : "
        r"it does not know the record. "
        r"It is asked again by itself, and the referral decided again with what it says. Try again now",
        words,
    ), words


def test_the_button_has_it_asked_at_once_and_what_comes_is_no_longer_awaited(
    doors: Doors, ehr: Ehr, lead: FlaskClient
) -> None:
    identity = sent(doors)
    ehr.holds(patient(CHILD_BORN, id="77"))
    assert press(lead, identity) == 303
    works(doors, ehr)
    assert shown(lead, identity) == ""
    assert doors.of(placer("ehr-a")).queue_of(identity) == "pediatric-neuromotor"


def test_what_was_given_up_can_be_asked_for_again(doors: Doors, ehr: Ehr, lead: FlaskClient) -> None:
    ehr.records["Patient/77"] = status(410)
    identity = sent(doors)
    assert "It is not asked again by itself, for it would say the same. Try again now" in shown(lead, identity)
    ehr.holds(patient(CHILD_BORN, id="77"))
    works(doors, ehr)
    assert doors.of(placer("ehr-a")).queue_of(identity) == "intake-review"
    assert press(lead, identity) == 303
    works(doors, ehr)
    assert shown(lead, identity) == ""
    assert doors.of(placer("ehr-a")).queue_of(identity) == "pediatric-neuromotor"


def test_what_came_is_not_asked_for_again_by_pressing(doors: Doors, ehr: Ehr, lead: FlaskClient) -> None:
    identity = sent(doors)
    ehr.holds(patient(CHILD_BORN, id="77"))
    press(lead, identity)
    works(doors, ehr)
    asked = ehr.calls
    assert press(lead, identity) == 303
    works(doors, ehr)
    with doors.site.store.reading() as connection:
        [row] = fetches.of_referral(connection, identity)
    assert (row["ended"], ehr.calls) == ("fetched", asked)


def test_a_person_who_does_not_see_the_queue_cannot_have_it_asked(
    doors: Doors, ehr: Ehr, lead: FlaskClient, site: Site
) -> None:
    ehr.holds(patient(CHILD_BORN, id="77"))
    identity = sent(doors)
    assert press(lead, identity) == 303
    assert press(browser(site, "coordinator"), identity) == 404


def sent_with_file(doors: Doors) -> str:
    letter = {"attachment": {"title": "Letter", "contentType": "application/pdf", "url": "Binary/f1"}}
    held = {"resourceType": "DocumentReference", "id": "d", "status": "current", "content": [letter]}
    body = referral(supportingInfo=[{"reference": "#d"}])
    body["contained"].append(held)
    answer = doors.of(placer("ehr-a")).create(body)
    assert answer.status_code == 201
    return str(answer.json["id"])


def listed(lead: FlaskClient, identity: str) -> str:
    found = re.search(r'aria-labelledby="attachments">.*?</section>', lead.get(f"/referrals/{identity}").text, re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", found[0])).split()) if found else ""


def files_work(doors: Doors, ehr: Ehr) -> None:
    fetcher = FileFetcher(doors.site, ehrs(ehr), now)
    while fetcher.step():
        pass


def test_a_file_is_awaited_until_it_comes_and_then_shown_as_one_that_was_posted(
    doors: Doors, ehr: Ehr, lead: FlaskClient
) -> None:
    identity = sent_with_file(doors)
    host = f"127.0.0.1:{ehr.port}"
    assert shown(lead, identity) == (
        "Waiting for the sender\N{RIGHT SINGLE QUOTATION MARK}s EHR"
        f" The file “Letter” is awaited from {host} ; not tried yet. It is asked again by itself. Try again now"
    )
    assert listed(lead, identity).endswith(f"Attachments Letter application/pdf Awaited from {host}")
    ehr.records["Binary/f1"] = status(200, b"<html>Log in</html>", **{"Content-Type": "text/html"})
    files_work(doors, ehr)
    words = shown(lead, identity)
    assert re.search(
        r"; last tried .+ : what it answered with is no file of a type that is taken here, and was not taken\. "
        r"It is not asked again by itself, for it would say the same\. Try again now$",
        words,
    ), words
    ehr.records["Binary/f1"] = status(200, b"%PDF-1.7 invented", **{"Content-Type": "application/pdf"})
    files_work(doors, ehr)
    assert shown(lead, identity) == words
    assert press(lead, identity) == 303
    files_work(doors, ehr)
    assert shown(lead, identity) == ""
    assert listed(lead, identity).endswith("Attachments Letter application/pdf , 17 Bytes Open Letter")


@pytest.mark.usefixtures("lead")
def test_a_person_who_does_not_see_the_queue_cannot_have_a_file_asked_for(doors: Doors, ehr: Ehr, site: Site) -> None:
    ehr.records["Binary/f1"] = status(410)
    identity = sent_with_file(doors)
    files_work(doors, ehr)
    asked = ehr.calls
    with_no_queue = browser(site, "auditor")
    assert press(with_no_queue, identity) in (403, 404)
    files_work(doors, ehr)
    assert ehr.calls == asked


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_the_key_that_this_service_signs_with_is_published_and_its_private_half_is_not(site: Site) -> None:
    def keys(gate: Gate) -> FlaskClient:
        return application(site, gate).test_client()

    answer = keys(Gate(asks=True, secret_key="k" * 32, own_key=OWN)).get("/.well-known/jwks.json")
    [key] = read_key_set(answer.get_data())
    assert (answer.status_code, key.kid, answer.headers["Cache-Control"]) == (200, OWN.kid, "max-age=3600")
    assert "d" not in json.loads(answer.text)["keys"][0]
    assert keys(Gate(asks=False)).get("/.well-known/jwks.json").json == {"keys": []}
