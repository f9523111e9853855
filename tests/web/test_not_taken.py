"""What was refused or rejected: searched, and taken in by a coordinator who says why."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from referral_service.intake import Incoming, Site, receive
from referral_service.store import ledger, tables
from referral_service.web import frame, http, not_taken
from tests.intake.test_moves import moved
from tests.web.test_pages import WICKED, lines, page, patient, referral, said, sections, send

MONDAY = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)
OURS = {"Sec-Fetch-Site": "same-origin"}
REASON = {"reason": "Phoned: the head is pulled to the left too"}
NUMBERED = [{"system": "urn:orders", "value": "N-1"}]


@pytest.fixture(autouse=True)
def monday_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "clock", lambda: MONDAY)
    monkeypatch.setattr(http, "now", lambda: MONDAY)


def row_of(site: Site, position: int = 0) -> dict[str, Any]:
    with site.store.reading() as connection:
        query = select(tables.ledger).where(tables.ledger.c.position == position)
        return dict(connection.execute(query).mappings().one())


def take_in(app_client: FlaskClient, site: Site, position: int = 0, **form: str) -> TestResponse:
    path = f"/not-taken/{row_of(site, position)['received_id']}/{position}/take-in"
    return app_client.post(path, data=REASON | form, headers=OURS)


def sums(site: Site) -> dict[str, int]:
    with site.store.reading() as connection:
        return ledger.sums(connection)


def requests_listed(html: str) -> list[str]:
    return [line.rpartition(" ")[2] for line in lines(html)]


# Searched


@pytest.fixture
def some(site: Site) -> None:
    send(site, b"{", timedelta(days=3), "r-broken", "south")
    send(site, referral("Right knee pain", patient(name=[{"family": "Ødegård"}])), timedelta(days=2), "r-knee")
    send(site, referral(status="draft"), timedelta(days=1), "r-draft")
    send(site, b"status dystonicus, please help", timedelta(hours=1), "r-red", "south")


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("", ["r-red", "r-draft", "r-knee", "r-broken"]),
        ("?state=rejected", ["r-draft", "r-knee"]),
        ("?state=refused", ["r-red", "r-broken"]),
        ("?state=taken-in", []),
        ("?rule=not-dystonia", ["r-knee"]),
        ("?sender=south", ["r-red", "r-broken"]),
        ("?flag=red-flag", ["r-red"]),
        ("?since=2026-03-15", ["r-red", "r-draft"]),
        ("?state=rejected&sender=south", []),
    ],
)
def test_coded_filters_stand_in_the_address(app_client: FlaskClient, filters: str, found: list[str]) -> None:
    html = page(app_client, f"/not-taken{filters}")
    assert requests_listed(html) == found
    if not found:
        assert "Nothing fits" in said(html)


def test_a_rule_whose_name_is_part_of_another_is_not_that_one(site: Site, app_client: FlaskClient) -> None:
    send(site, referral("Right knee pain"), request_id="r-knee")
    assert requests_listed(page(app_client, "/not-taken?rule=dystonia")) == []


def test_the_choices_are_those_that_there_are(site: Site, app_client: FlaskClient) -> None:
    send(site, referral("Right knee pain"), client="north")
    send(site, b"{", client="south")
    html = page(app_client, "/not-taken?sender=south")
    options = [
        re.findall(r'<option value="([^"]*)"( selected)?>', part)
        for part in re.findall(r'<select id="(?:rule|sender)".*?</select>', html, re.S)
    ]
    assert options == [
        [("", ""), ("not-dystonia", ""), ("not-json", "")],
        [("", ""), ("north", ""), ("south", " selected")],
    ]


@pytest.mark.parametrize("filters", ["state=routed", "flag=deceased", "since=yesterday", "since=9999-99-99"])
def test_a_view_that_is_none_is_told_in_words(app_client: FlaskClient, filters: str) -> None:
    response = app_client.get(f"/not-taken?{filters}")
    assert (response.status_code, "That did not work" in said(response.text)) == (400, True)


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("knee", ["r-knee"]),
        ("PAIN right", ["r-knee"]),
        ("ødegård", ["r-knee"]),
        ("vellum", ["r-draft"]),
        ("vellum knee", []),
        ("dystoni", ["r-red", "r-draft"]),
    ],
)
def test_words_are_looked_for_in_the_texts_received(app_client: FlaskClient, words: str, found: list[str]) -> None:
    assert requests_listed(_search(app_client, words=words)) == found


@pytest.mark.usefixtures("some")
def test_words_and_coded_filters_go_together_and_the_words_stand_in_no_address(app_client: FlaskClient) -> None:
    html = _search(app_client, words="dystoni", sender="south")
    assert requests_listed(html) == ["r-red"]
    addresses = re.findall(r'(?:href|action)="([^"]*)"', html)
    assert [one for one in addresses if "dystoni" in one] == []


def test_words_are_found_on_further_pages_too(
    site: Site, app_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(not_taken, "PAGE", 2)
    for number in range(5):
        send(site, referral("Right knee pain"), timedelta(hours=number), f"knee-{number}")
        send(site, referral("Sore throat"), timedelta(hours=number), f"throat-{number}")
    seen, after = [], ""
    while True:
        html = _search(app_client, words="knee", after=after)
        seen.append(requests_listed(html))
        following = re.findall(r'name="after" value="([^"]+)"', html)
        if not following:
            break
        after = following[0]
    assert seen == [["knee-0", "knee-1"], ["knee-2", "knee-3"], ["knee-4"]]


def _search(app_client: FlaskClient, **form: str) -> str:
    response = app_client.post("/not-taken", data=form, headers=OURS)
    assert response.status_code == 200
    return response.text


def test_a_text_that_is_no_longer_kept_is_not_found_by_its_words(site: Site, app_client: FlaskClient) -> None:
    send(site, referral("Right knee pain"))
    with site.store.writing() as connection:
        connection.execute(tables.received.update().values(body=None))
    assert requests_listed(_search(app_client, words="knee")) == []


# Taken in


def test_one_that_was_rejected_is_taken_in_with_its_clock_and_the_machines_words(
    site: Site, app_client: FlaskClient
) -> None:
    send(site, referral("Right knee pain", identifier=NUMBERED), timedelta(days=3), "r-knee")
    before = row_of(site)
    response = take_in(app_client, site)
    row = row_of(site)
    assert (response.status_code, response.location) == (303, f"/referrals/{row['referral_id']}")
    told = json.loads(row["outcome"])["issue"]
    assert [one["details"]["coding"][0]["code"] for one in told] == ["taken-in", "not-dystonia"]
    assert told[1:] == json.loads(before["outcome"])["issue"]
    kept = ("received_id", "position", "client", "at", "placer", "red_flag", "rules")
    assert {name: row[name] for name in kept} == {name: before[name] for name in kept}
    assert (row["state"], row["taken_from"]) == ("review", "rejected")
    assert sums(site) == {"received": 1, "refused": 0, "rejected": 0, "review": 1, "routed": 0}
    with site.store.reading() as connection:
        task = dict(connection.execute(select(tables.task)).mappings().one())
    assert [task[name] for name in ("client", "queue", "status", "authored_on", "due", "by_hand")] == [
        *("north", "intake-review", "requested", "2026-03-13T12:00:00.000Z", "2026-03-20", 1)
    ]
    assert task["last_updated"] == "2026-03-16T12:00:00.000Z"


def test_the_page_of_what_was_taken_in_says_by_whom_and_why(site: Site, app_client: FlaskClient) -> None:
    send(site, referral("Right knee pain"), timedelta(days=3))
    shown = sections(page(app_client, take_in(app_client, site).location))
    assert shown["timeline"] == (
        f"Timeline Taken in by hand and placed in Intake review {REASON['reason']} 16 Mar 2026, 12:00 , Local user"
    )
    assert "Held for a person to decide, in Intake review" in shown["decision"]
    assert "Born 13 Jun 1971, so 54 years on 13 Mar 2026, the day of first receipt" in shown["decision"]


def test_what_was_not_to_be_acted_on_is_taken_in_with_its_code(site: Site, app_client: FlaskClient) -> None:
    send(site, referral(status="draft"))
    shown = sections(page(app_client, take_in(app_client, site).location))
    assert "ICD-10-CM G24.3 Spasmodic torticollis" in shown["decision"]
    assert shown["told"].startswith(
        "What the sender was told information A coordinator has taken it in; it waits for a human's decision. taken-in "
        "warning Only an active referral can be acted on. not-active at ServiceRequest.status"
    )


def test_its_sender_sees_what_became_of_it(site: Site, app_client: FlaskClient) -> None:
    send(site, referral("Right knee pain", identifier=NUMBERED), request_id="r-knee", client="local")
    take_in(app_client, site)
    identity = row_of(site)["referral_id"]
    tasks = app_client.get(f"/fhir/Task?focus=ServiceRequest/{identity}").get_json(force=True)["entry"]
    assert [one["resource"]["owner"] for one in tasks] == [{"reference": "HealthcareService/intake-review"}]
    for asked in ("request-id=r-knee", "identifier=urn:orders|N-1"):
        (receipt,) = app_client.get(f"/fhir/ServiceRequest/$receipt?{asked}").get_json(force=True)["parameter"]
        told = {part["name"]: part.get("valueCode") or part.get("valueReference") for part in receipt["part"]}
        assert told["disposition"] == "review"
        assert told["referral"] == {"reference": f"ServiceRequest/{identity}"}
        assert told["task"] == {"reference": f"Task/{tasks[0]['resource']['id']}"}


def test_the_text_received_stays_and_is_the_original_of_the_referral(site: Site, app_client: FlaskClient) -> None:
    body = json.dumps(referral("Right knee pain")).encode()
    send(site, body, client="local")
    take_in(app_client, site)
    row = row_of(site)
    assert app_client.get(f"/fhir/ServiceRequest/{row['referral_id']}/$original").data == body
    assert app_client.get(f"/not-taken/{row['received_id']}/text").data == body
    html = page(app_client, f"/not-taken/{row['received_id']}")
    assert "It has been taken in since: open the referral" in said(html)
    assert "<form" not in html
    assert requests_listed(page(app_client, "/not-taken")) == []
    assert requests_listed(page(app_client, "/not-taken?state=taken-in")) == ["r-1"]


def test_two_clicks_take_in_one_referral(site: Site, app_client: FlaskClient) -> None:
    send(site, referral("Right knee pain"))
    first, second = take_in(app_client, site), take_in(app_client, site, reason="Another's reason")
    assert (second.status_code, second.location) == (303, first.location)
    assert _counts(site) == (1, 1, 1)


def test_two_who_click_at_the_same_moment_take_in_one_referral(site: Site, app: Flask) -> None:
    send(site, referral("Right knee pain"))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: take_in(app.test_client(), site), range(4)))
    assert {(one.status_code, one.location) for one in answers} == {(303, f"/referrals/{row_of(site)['referral_id']}")}
    assert _counts(site) == (1, 1, 1)


def _counts(site: Site) -> tuple[int, ...]:
    counted = (tables.ledger, tables.service_request, tables.status_change)
    with site.store.reading() as connection:
        return tuple(connection.execute(select(func.count()).select_from(table)).scalar_one() for table in counted)


@pytest.mark.parametrize("reason", ["", "   ", "x" * 1001])
def test_without_a_reason_nothing_is_taken_in(site: Site, app_client: FlaskClient, reason: str) -> None:
    send(site, referral("Right knee pain"))
    response = take_in(app_client, site, reason=reason)
    assert response.status_code == 422
    assert "Say in up to 1000 characters why it is taken in." in said(response.text)
    assert row_of(site)["state"] == "rejected"


def test_what_the_sender_has_sent_again_since_is_not_taken_in_beside_it(site: Site, app_client: FlaskClient) -> None:
    send(site, referral("Right knee pain", identifier=NUMBERED), timedelta(days=1))
    again = send(site, referral("Cervical dystonia", identifier=NUMBERED), client="north")
    received_id = _first_received(site)
    response = app_client.post(f"/not-taken/{received_id}/0/take-in", data=REASON, headers=OURS)
    assert (response.status_code, f'href="/referrals/{again}"' in response.text) == (409, True)
    assert sums(site) == {"received": 2, "refused": 0, "rejected": 1, "review": 0, "routed": 1}


def _first_received(site: Site) -> str:
    with site.store.reading() as connection:
        return str(connection.execute(select(tables.received.c.id).order_by(tables.received.c.at)).scalars().first())


def test_one_of_a_failed_transaction_is_taken_in_with_what_belongs_to_it_and_nobody_else(
    site: Site, app_client: FlaskClient
) -> None:
    _send_failing_transaction(site)
    identity = take_in(app_client, site).location.rpartition("/")[2]
    shown = app_client.get(f"/fhir/ServiceRequest/{identity}").get_json(force=True)
    stored = _stored(site)
    assert sorted(stored) == ["Condition", "Patient", "Provenance"]
    assert shown["subject"] == {"reference": f"Patient/{stored['Patient']['id']}"}
    assert stored["Patient"]["name"] == [{"family": "Vellum", "given": ["Ada"]}]
    assert stored["Condition"]["subject"] == shown["subject"]
    assert shown["reasonReference"] == [{"reference": f"Condition/{stored['Condition']['id']}"}]
    assert sums(site) == {"received": 2, "refused": 0, "rejected": 1, "review": 1, "routed": 0}


def test_the_other_one_is_taken_in_later_beside_the_first(site: Site, app_client: FlaskClient) -> None:
    _send_failing_transaction(site)
    first, second = take_in(app_client, site), take_in(app_client, site, 1)
    assert len({first.location, second.location}) == 2
    assert sums(site) == {"received": 2, "refused": 0, "rejected": 0, "review": 2, "routed": 0}


def test_two_of_one_patient_that_are_taken_in_one_after_the_other_share_the_patient(
    site: Site, app_client: FlaskClient
) -> None:
    _send_failing_transaction(site, same_patient=True)
    take_in(app_client, site)
    take_in(app_client, site, 1)
    with site.store.reading() as connection:
        kinds = list(connection.execute(select(tables.resource.c.type)).scalars())
    assert (kinds.count("Patient"), kinds.count("Condition")) == (1, 1)


def _send_failing_transaction(site: Site, *, same_patient: bool = False) -> None:
    def entry(name: str, resource: dict[str, Any]) -> dict[str, Any]:
        request = {"method": "POST", "url": resource["resourceType"]}
        return {"fullUrl": f"urn:uuid:{name}", "resource": resource, "request": request}

    first, other, ill = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
    whom = first if same_patient else other
    sound = referral() | {"subject": {"reference": f"urn:uuid:{first}"}}
    knee = referral("Right knee pain", status="draft") | {"subject": {"reference": f"urn:uuid:{whom}"}}
    del sound["contained"], knee["contained"], sound["reasonCode"]
    sound["reasonReference"] = [{"reference": f"urn:uuid:{ill}"}]
    condition = {"resourceType": "Condition", "subject": sound["subject"], "code": {"text": "Cervical dystonia"}}
    entries = [
        entry(first, patient()),
        entry(other, patient(name=[{"family": "Other"}])),
        entry(ill, condition),
        entry("00000000-0000-4000-8000-000000000004", sound),
        entry("00000000-0000-4000-8000-000000000005", knee),
    ]
    body = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()
    receive(site, Incoming("local", "bundle", "r-1", body, MONDAY), "Bundle")
    assert sums(site) == {"received": 2, "refused": 1, "rejected": 1, "review": 0, "routed": 0}


def _stored(site: Site) -> dict[str, dict[str, Any]]:
    with site.store.reading() as connection:
        rows = connection.execute(select(tables.resource)).mappings().all()
    return {row["type"]: json.loads(row["content"]) for row in rows}


def test_what_was_taken_in_before_its_patient_came_stays_with_the_coordinators(
    site: Site, app_client: FlaskClient
) -> None:
    elsewhere = referral(status="draft") | {"subject": {"reference": "Patient/p"}}
    del elsewhere["contained"]
    send(site, elsewhere, client="local")
    path = take_in(app_client, site).location
    person = json.dumps(patient())
    assert app_client.put("/fhir/Patient/p", data=person, content_type="application/fhir+json").status_code == 201
    shown = sections(page(app_client, path))
    assert "Born 13 Jun 1971" in shown["decision"]
    assert row_of(site)["state"] == "review"
    with site.store.reading() as connection:
        assert connection.execute(select(tables.task.c.queue)).scalar_one() == "intake-review"


def test_what_cannot_be_read_leads_to_the_form(site: Site, app_client: FlaskClient) -> None:
    send(site, b'{"resourceType": "ServiceRequest", "status": "active", "n": 1}')
    row = row_of(site)
    html = page(app_client, f"/not-taken/{row['received_id']}")
    source = f"/referrals/new?source={row['received_id']}~0"
    assert f'href="{source}"' in html
    assert take_in(app_client, site).location == source
    assert row_of(site)["state"] == "refused"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Origin": "http://localhost"}, 303),
        ({"Origin": "http://localhost:80"}, 303),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "http://localhost.elsewhere.example"}, 403),
        ({"Origin": "https://localhost"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
    ],
)
def test_a_form_is_taken_from_our_own_pages_only(
    site: Site, app_client: FlaskClient, headers: dict[str, str], status: int
) -> None:
    send(site, referral("Right knee pain"))
    path = f"/not-taken/{row_of(site)['received_id']}/0/take-in"
    assert app_client.post(path, data=REASON, headers=headers).status_code == status


def test_a_form_that_is_too_large_or_holds_nul_is_refused(site: Site, app_client: FlaskClient) -> None:
    send(site, referral("Right knee pain"))
    answers = [take_in(app_client, site, reason=reason).status_code for reason in ("x" * 70_000, "a\0b")]
    assert answers == [413, 400]


def test_what_is_not_there_cannot_be_taken_in(site: Site, app_client: FlaskClient) -> None:
    send(site, referral("Right knee pain"))
    received_id = row_of(site)["received_id"]
    paths = (f"/not-taken/{received_id}/1/take-in", "/not-taken/unknown/0/take-in")
    assert [app_client.post(path, data=REASON, headers=OURS).status_code for path in paths] == [404, 404]


def test_a_reason_is_shown_and_never_becomes_markup(site: Site, app_client: FlaskClient) -> None:
    send(site, referral("Right knee pain"))
    html = page(app_client, take_in(app_client, site, reason=WICKED).location)
    assert "<script>alert" not in html
    assert WICKED in said(html)


def test_a_birth_date_confirmed_later_leaves_what_was_taken_in_with_the_coordinators(
    site: Site, app_client: FlaskClient
) -> None:
    send(site, referral(subject=patient("2008"), status="draft"), client="local")
    identity = take_in(app_client, site).location.removeprefix("/referrals/")
    found = app_client.get(f"/fhir/Task?focus=ServiceRequest/{identity}").get_json(force=True)["entry"][0]["resource"]
    moved(site, found, "confirm-birth-date", birth_date="2007-01-01", comment="By telephone.")
    with site.store.reading() as connection:
        task = dict(connection.execute(select(tables.task)).mappings().one())
    assert (task["queue"], task["status"], task["code"]) == ("intake-review", "requested", "G24.3")
    told = app_client.get(f"/fhir/ServiceRequest/{identity}/$decision").get_json(force=True)["parameter"]
    (age,) = (one["part"] for one in told if one["name"] == "age")
    assert [one["valueInteger"] for one in age[1:]] == [19, 19]


def test_a_red_flag_in_what_is_taken_in_is_told_of_the_referral_too(site: Site, app_client: FlaskClient) -> None:
    send(site, referral("Status dystonicus", status="draft"))
    take_in(app_client, site)
    with site.store.reading() as connection:
        raised = connection.execute(select(tables.alert.c.kind, tables.alert.c.referral_id)).all()
    assert sorted(map(tuple, raised), key=str) == [
        ("red-flag", row_of(site)["referral_id"]),
        ("red-flag", None),
    ]
