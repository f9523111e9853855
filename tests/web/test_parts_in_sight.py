"""A request that was taken in part: what stands in another queue is shown to nobody who does not work on that one."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from referral_service.access.gate import Gate
from referral_service.app import application
from referral_service.intake import Site
from referral_service.store import tables
from tests.shapes import CHILD_BORN, FHIR_JSON, Resource, bundle, entry, patient, referral
from tests.systems import System
from tests.web.signing import KEY, USERS, add_users, form, sign_in
from tests.web.test_audit import events, named, new_events, query
from tests.web.test_pages import said

CHILD, ANKLE, OTHER = (f"urn:uuid:0000000{number}-0000-4000-8000-000000000000" for number in (1, 2, 3))
KINDS_OF_PATHS = ("/not-taken/{}", "/not-taken/{}/text", "/referrals/new?source={}~2")


@pytest.fixture
def app(site: Site) -> Iterator[Flask]:
    served = application(site, Gate(asks=True, secret_key=KEY))
    add_users(site.store)
    yield served
    served.extensions["recorder"].settle()


@pytest.fixture
def people(app: Flask) -> dict[str, FlaskClient]:
    """Signed in; the coordinator has the adults' queue and intake review."""
    found = {user: app.test_client() for user in USERS}
    for user, browser in found.items():
        sign_in(browser, user)
    return found


def send(app: Flask, sent: Resource) -> list[Resource]:
    """Sends a batch by a registered system; the responses."""
    headers = System().register(app.extensions["site"].store, scopes=("system/*.cruds",)).bearer(app, "system/*.cruds")
    answer = app.test_client().post("/fhir", data=json.dumps(sent), content_type=FHIR_JSON, headers=headers)
    assert answer.status_code == 200, answer.text
    return [one["response"] for one in answer.get_json(force=True)["entry"]]


def about(reason: str, number: str, subject: str) -> Resource:
    return entry(referral(number, reason, subject={"reference": subject}))


@pytest.fixture
def partly(app: Flask) -> tuple[bytes, list[Resource]]:
    """A child with dystonia, taken, between an ankle and a knee, both rejected; each with a Patient in the batch."""
    people = [
        (CHILD, "Childsname", CHILD_BORN),
        (ANKLE, "Anklesname", "1970-01-01"),
        (OTHER, "Kneesname", "1971-01-01"),
    ]
    patients = [entry(patient(born, name=[{"family": name}]), url) for url, name, born in people]
    dystonia, ankle = about("Dystonia since Easter", "A-1", CHILD), about("Ankle sprain", "A-2", ANKLE)
    sent = bundle(*patients, ankle, dystonia, about("Knee pain", "A-3", OTHER), kind="batch")
    return json.dumps(sent).encode(), send(app, sent)


def received_id(site: Site) -> str:
    with site.store.reading() as connection:
        return str(connection.execute(select(tables.received.c.id)).scalar_one())


def patient_ids(answers: list[Resource]) -> list[str]:
    return [f"Patient/{one['location'].split('/')[-3]}" for one in answers[:3]]


@pytest.mark.usefixtures("partly")
@pytest.mark.parametrize("user", ["coordinator", "integrator"])
def test_who_has_no_sight_of_what_was_taken_sees_only_what_was_not(
    site: Site, people: dict[str, FlaskClient], user: str
) -> None:
    one = received_id(site)
    paths = KINDS_OF_PATHS if user == "coordinator" else KINDS_OF_PATHS[:2]
    for path in paths:
        answer = people[user].get(path.format(one))
        shown = [word in answer.text for word in ("Anklesname", "Ankle sprain", "Kneesname", "Childsname", "Easter")]
        assert (answer.status_code, shown) == (200, [True, True, True, False, False]), path
    text = json.loads(people[user].get(f"/not-taken/{one}/text").text)
    kinds = [entry["resource"]["resourceType"] for entry in text["entry"]]
    assert kinds == ["Patient", "Patient", "ServiceRequest", "ServiceRequest"]
    assert "the rest of it is not yours to see" in said(people[user].get(f"/not-taken/{one}").text)


@pytest.mark.usefixtures("partly")
def test_the_form_is_filled_in_from_the_referral_that_is_entered_anew(
    site: Site, people: dict[str, FlaskClient]
) -> None:
    for position, name in ((0, "Anklesname"), (2, "Kneesname")):
        shown = people["coordinator"].get(f"/referrals/new?source={received_id(site)}~{position}").text
        assert f'value="{name}"' in shown


def test_a_lead_sees_the_text_byte_for_byte(
    site: Site, people: dict[str, FlaskClient], partly: tuple[bytes, list[Resource]]
) -> None:
    assert people["lead"].get(f"/not-taken/{received_id(site)}/text").data == partly[0]


@pytest.mark.usefixtures("partly")
@pytest.mark.parametrize(("user", "found"), [("coordinator", False), ("integrator", False), ("lead", True)])
def test_words_are_not_found_in_what_is_out_of_sight(
    site: Site, people: dict[str, FlaskClient], user: str, found: bool
) -> None:
    link = f"/not-taken/{received_id(site)}"
    for words, expected in (("childsname", found), ("anklesname", True)):
        answer = form(people[user], "/not-taken", page="/not-taken", words=words)
        assert (answer.status_code, link in answer.text) == (200, expected)


def test_the_trail_names_the_patients_who_were_shown(
    app: Flask, site: Site, people: dict[str, FlaskClient], partly: tuple[bytes, list[Resource]]
) -> None:
    child, ankle, knee = patient_ids(partly[1])
    one = received_id(site)
    for user, shown in (("coordinator", {ankle, knee}), ("lead", {child, ankle, knee})):
        before = events(app)
        for path in KINDS_OF_PATHS:
            assert people[user].get(path.format(one)).status_code == 200
        left = new_events(app, before)
        assert [(query(event), named(event)) for event in left] == [(f"not-taken/{one}", shown)] * 3


def test_the_trail_names_a_patient_who_was_here_before(app: Flask, site: Site, people: dict[str, FlaskClient]) -> None:
    here = entry(patient(id="p1", name=[{"family": "Herebefore"}]), None, "PUT", "Patient/p1")
    rejected = bundle(here, entry(referral("A-1", "Ankle sprain", subject={"reference": "Patient/p1"})), kind="batch")
    answers = send(app, rejected)
    assert [one["status"][:3] for one in answers] == ["201", "422"]
    before = events(app)
    assert "Herebefore" in people["coordinator"].get(f"/not-taken/{received_id(site)}").text
    assert [named(one) for one in new_events(app, before)] == [{f"Patient/{answers[0]['location'].split('/')[-3]}"}]


def test_what_was_taken_in_since_leaves_with_its_queue(app: Flask, site: Site, people: dict[str, FlaskClient]) -> None:
    send(app, bundle(entry(referral("A-1", "Ankle sprain")), kind="batch"))
    one, coordinator = received_id(site), people["coordinator"]
    taken = form(coordinator, f"/not-taken/{one}/0/take-in", page=f"/not-taken/{one}", reason="Phoned")
    assert (taken.status_code, coordinator.get(f"/not-taken/{one}/text").status_code) == (303, 200)
    with site.store.writing() as connection:
        connection.execute(tables.task.update().values(queue="pediatric-neuromotor"))
    assert coordinator.get(taken.headers["Location"]).status_code == 404
    page = coordinator.get(f"/not-taken/{one}")
    assert (page.status_code, "Ankle" in page.text) == (200, False)
    assert coordinator.get(f"/not-taken/{one}/text").status_code == 404
    assert people["lead"].get(f"/not-taken/{one}/text").status_code == 200
