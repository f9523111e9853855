"""A referral that came by telephone or fax: entered in a form, through the same intake as any other."""

from __future__ import annotations

import base64
import io
import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from referral_service.intake import Incoming, Site, preview
from referral_service.store import ledger, tables
from referral_service.web import frame, http
from tests.web.test_pages import WICKED, page, patient, read, referral, said, sections, send

MONDAY = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)
OURS = {"Sec-Fetch-Site": "same-origin"}
PDF = b"%PDF-1.4 a fax"
FULL = {
    "family": "Vellum",
    "given": "Ada Mary",
    "birth_date": "2019-09-14",
    "identifier_system": "https://fhir.nhs.uk/Id/nhs-number",
    "identifier": "9990000001",
    "telephone": "+44 1632 960001",
    "address": "12 Makebelieve Court\nTidewater",
    "guardian": "Selin Uydurma",
    "guardian_role": "mother",
    "guardian_telephone": "01632 960002",
    "interpreter": "yes",
    "language": "Turkish",
    "practitioner": "Dr Marisol Paperwright",
    "requester": "Dr Petra Sparrow, Tidewater surgery",
    "requester_telephone": "01632 960003",
    "placer": "TS-77",
    "priority": "urgent",
    "reason": "Twisted neck since spring, ?cervical dystonia",
    "body_site": "neck",
    "medicines": "levodopa 50 mg\nmelatonin",
}


@pytest.fixture(autouse=True)
def monday_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "clock", lambda: MONDAY)
    monkeypatch.setattr(http, "now", lambda: MONDAY)


def hidden(html: str) -> dict[str, str]:
    fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', html)
    return {name: unescape(value) for name, value in fields}


def post(app_client: FlaskClient, form: dict[str, Any]) -> TestResponse:
    response = app_client.post("/referrals/new", data=form, headers=OURS, content_type="multipart/form-data")
    response.request.environ["wsgi.input"].close()  # the file that a large form is sent from
    return response


def check(app_client: FlaskClient, form: dict[str, Any], source: str = "") -> TestResponse:
    """Opens the form, fills it in and asks what would be decided."""
    opened = page(app_client, f"/referrals/new?source={source}" if source else "/referrals/new")
    return post(app_client, {**hidden(opened), **form, "do": "check"})


def save(app_client: FlaskClient, form: dict[str, Any], source: str = "") -> TestResponse:
    seen = check(app_client, form, source)
    assert seen.status_code == 200
    rest = {name: value for name, value in form.items() if name != "attachment"}
    return post(app_client, {**hidden(seen.text), **rest, "do": "save"})


def sums(site: Site) -> dict[str, int]:
    with site.store.reading() as connection:
        return ledger.sums(connection)


def stored(site: Site) -> dict[str, list[dict[str, Any]]]:
    """Every resource that stands in the store, by type."""
    found: dict[str, list[dict[str, Any]]] = {}
    with site.store.reading() as connection:
        for table in (tables.resource, tables.service_request):
            for text in connection.execute(select(table.c.content).order_by(table.c.id)).scalars():
                resource = json.loads(text)
                found.setdefault(resource["resourceType"], []).append(resource)
    return found


def faults(html: str) -> dict[str, str]:
    found = re.findall(r'<span class="wrong" id="wrong-(\w+)">([^<]*)</span>', html)
    return {name: unescape(words) for name, words in found}


def test_what_would_be_decided_is_shown_before_anything_is_stored(site: Site, app_client: FlaskClient) -> None:
    shown = sections(_as_panels(check(app_client, FULL).text))
    assert shown["proposed"].startswith(
        "What would be decided; nothing is saved yet Routed to Pediatric neuromotor "
        "ICD-10-CM G24.3 Spasmodic torticollis suspected ICD-10 G24.3 Spasmodic torticollis "
        "age Born 14 Sep 2019, so 6 years on 16 Mar 2026, the day of first receipt; under 18, Pediatric neuromotor. "
        "priority urgent, as requested"
    )
    assert (sums(site)["received"], stored(site)) == (0, {})


def _as_panels(html: str) -> str:
    return html.replace('class="panel proposed"', 'class="panel"')


def test_the_form_becomes_what_an_ehr_would_have_sent(site: Site, app_client: FlaskClient) -> None:
    response = save(app_client, FULL)
    identity = response.location.removeprefix("/referrals/")
    assert response.status_code == 303
    found = stored(site)
    (who,), (request,), (guardian,), (sender,) = (
        found[kind] for kind in ("Patient", "ServiceRequest", "RelatedPerson", "Practitioner")
    )
    me = {"reference": f"Patient/{who['id']}"}
    assert {name: who[name] for name in who if name not in ("resourceType", "id", "meta")} == {
        "extension": [
            {"url": "http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired", "valueBoolean": True}
        ],
        "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000001"}],
        "name": [{"family": "Vellum", "given": ["Ada", "Mary"]}],
        "telecom": [{"system": "phone", "value": "+44 1632 960001"}],
        "birthDate": "2019-09-14",
        "address": [{"text": "12 Makebelieve Court, Tidewater"}],
        "communication": [{"language": {"text": "Turkish"}, "preferred": True}],
        "generalPractitioner": [{"display": "Dr Marisol Paperwright"}],
    }
    medicines = {one["id"]: one["medicationCodeableConcept"]["text"] for one in found["MedicationStatement"]}
    assert {name: request[name] for name in request if name not in ("resourceType", "meta", "supportingInfo")} == {
        "id": identity,
        "identifier": [
            {
                "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]},
                "value": "TS-77",
            }
        ],
        "status": "active",
        "intent": "order",
        "priority": "urgent",
        "subject": me,
        "requester": {"display": FULL["requester"], "reference": f"Practitioner/{sender['id']}"},
        "reasonCode": [{"text": FULL["reason"]}],
        "bodySite": [{"text": "neck"}],
    }
    listed = [one["reference"].partition("/")[2] for one in request["supportingInfo"]]
    assert [medicines[one] for one in listed] == ["levodopa 50 mg", "melatonin"]
    assert [one["subject"] for one in found["MedicationStatement"]] == [me, me]
    assert (guardian["patient"], guardian["relationship"], guardian["name"]) == (
        me,
        [{"text": "mother"}],
        [{"text": "Selin Uydurma"}],
    )
    assert sender["telecom"] == [{"system": "phone", "value": "01632 960003"}]


def test_the_decision_is_the_one_of_any_other_door(site: Site, app_client: FlaskClient) -> None:
    path = save(app_client, FULL).location
    with site.store.reading() as connection:
        row = dict(connection.execute(select(tables.service_request)).mappings().one())
        received = dict(connection.execute(select(tables.received)).mappings().one())
    (decision,) = preview(site, Incoming("another", "preview", "r", bytes(received["body"]), MONDAY))
    told = {one["name"]: one for one in json.loads(row["decision"])["parameter"]}
    assert told["queue"]["valueCode"] == decision.queue == "pediatric-neuromotor"
    assert [one["valueCode"] for one in json.loads(row["decision"])["parameter"] if one["name"] == "flag"] == [
        flag.value for flag in decision.flags
    ]
    assert (received["door"], received["result"]) == ("form", "decided")
    assert sums(site) == {"received": 1, "refused": 0, "rejected": 0, "review": 0, "routed": 1}
    shown = sections(page(app_client, path))
    assert shown["timeline"] == (
        "Timeline Entered by hand and placed in Pediatric neuromotor 16 Mar 2026, 12:00 , Local user"
    )
    assert "Selin Uydurma mother phone 01632 960002" in shown["patient"]


def test_a_name_alone_is_enough_and_is_held_for_review(site: Site, app_client: FlaskClient) -> None:
    save(app_client, {"family": "Vellum", "priority": "routine"})
    assert sums(site) == {"received": 1, "refused": 0, "rejected": 0, "review": 1, "routed": 0}


def test_a_form_sent_twice_is_one_referral(site: Site, app_client: FlaskClient) -> None:
    form = {**hidden(check(app_client, FULL).text), **FULL, "do": "save"}
    first, second = post(app_client, form), post(app_client, form)
    assert (second.status_code, second.location) == (303, first.location)
    assert sums(site)["received"] == len(stored(site)["Patient"]) == 1


def test_a_saved_form_that_is_changed_and_saved_again_is_told_so(site: Site, app_client: FlaskClient) -> None:
    form = {**hidden(check(app_client, FULL).text), **FULL}
    post(app_client, form | {"do": "save"})
    changed = post(app_client, form | {"reason": "Writer's cramp", "do": "check"})
    again = post(app_client, {**hidden(changed.text), **FULL, "reason": "Writer's cramp", "do": "save"})
    assert (again.status_code, "This form has been saved before, with other content." in said(again.text)) == (
        409,
        True,
    )
    assert sums(site)["received"] == 1


def test_only_what_was_shown_is_saved(site: Site, app_client: FlaskClient) -> None:
    form = {**hidden(check(app_client, FULL).text), **FULL, "birth_date": "1971-06-13", "do": "save"}
    response = post(app_client, form)
    assert (response.status_code, "Routed to Adult movement disorders" in said(response.text)) == (200, True)
    assert sums(site)["received"] == 0


def test_the_number_of_a_referral_that_is_here_is_told_beside_its_field(site: Site, app_client: FlaskClient) -> None:
    save(app_client, FULL)
    response = save(app_client, FULL | {"reason": "Writer's cramp"})
    assert response.status_code == 409
    assert faults(response.text).keys() == {"placer"}
    assert sums(site)["received"] == 1


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"family": " "}, {"family": "Say the patient's family name."}),
        (
            {"birth_date": "14/9/2019"},
            {"birth_date": "Write the birth date as 2019-09-14, or 2019-09 or 2019 when no more is known."},
        ),
        ({"birth_date": "2019-02-30"}, {"birth_date": "This must be a date that exists: YYYY, YYYY-MM or YYYY-MM-DD."}),
        ({"priority": "soon"}, {"priority": "Choose one of these priorities."}),
        ({"identifier_system": "urn:mine"}, {"identifier": "Choose one of these kinds of number."}),
        ({"guardian": ""}, {"guardian": "Say who answers for the patient."}),
        ({"requester": ""}, {"requester": "Say who refers."}),
        ({"given": "x" * 201}, {"given": "No longer than 200 characters."}),
        (
            {"family": "", "requester": ""},
            {"family": "Say the patient's family name.", "requester": "Say who refers."},
        ),
    ],
)
def test_faults_stand_beside_their_fields_and_what_was_filled_in_stays(
    site: Site, app_client: FlaskClient, changed: dict[str, str], fault: dict[str, str]
) -> None:
    response = check(app_client, FULL | changed)
    assert response.status_code == 422
    assert faults(response.text) == fault
    inputs = {one["id"]: one for tag, one in read(response.text).tags if tag in ("input", "textarea") and "id" in one}
    for name in fault:
        if name != "priority":
            assert inputs[name]["aria-invalid"] == "true"
            assert f"wrong-{name}" in str(inputs[name]["aria-describedby"])
        assert f'<a href="#{name}">' in response.text
    assert inputs["telephone"]["value"] == FULL["telephone"]
    assert sums(site)["received"] == 0


# What the machine would reject


def test_what_would_be_rejected_is_said_and_kept_among_what_was_not_taken(site: Site, app_client: FlaskClient) -> None:
    form = FULL | {"reason": "Right knee pain", "body_site": "", "medicines": ""}
    assert "It would not be taken" in said(check(app_client, form).text)
    response = save(app_client, form)
    assert re.fullmatch(r"/not-taken/[0-9a-f-]{36}", response.location)
    assert "not-dystonia" in page(app_client, response.location)
    assert sums(site) == {"received": 1, "refused": 0, "rejected": 1, "review": 0, "routed": 0}


def test_a_rejected_form_sent_twice_is_one_row(site: Site, app_client: FlaskClient) -> None:
    rejected = FULL | {"reason": "Right knee pain", "body_site": "", "medicines": ""}
    form = {**hidden(check(app_client, rejected).text), **rejected, "do": "save"}
    first, second = post(app_client, form), post(app_client, form)
    assert (first.location, sums(site)["received"]) == (second.location, 1)
    received_id = first.location.removeprefix("/not-taken/")
    app_client.post(f"/not-taken/{received_id}/0/take-in", data={"reason": "Phoned"}, headers=OURS)
    assert post(app_client, form).location == first.location
    assert sums(site) == {"received": 1, "refused": 0, "rejected": 0, "review": 1, "routed": 0}


# What was attached


def _attached(name: str = "fax.pdf", data: bytes = PDF) -> dict[str, Any]:
    return FULL | {"attachment": (io.BytesIO(data), name)}


def test_an_attachment_is_kept_over_the_preview_and_stored_as_a_document(site: Site, app_client: FlaskClient) -> None:
    save(app_client, _attached())
    found = stored(site)
    (document,), (binary,), (request,) = (found[kind] for kind in ("DocumentReference", "Binary", "ServiceRequest"))
    assert document["content"] == [
        {
            "attachment": {
                "contentType": "application/pdf",
                "url": f"Binary/{binary['id']}",
                "size": len(PDF),
                "title": "fax.pdf",
            }
        }
    ]
    assert (binary["contentType"], base64.b64decode(binary["data"])) == ("application/pdf", PDF)
    assert document["subject"] == request["subject"]
    assert {"reference": f"DocumentReference/{document['id']}"} in request["supportingInfo"]


def test_a_kept_attachment_can_be_left_out(site: Site, app_client: FlaskClient) -> None:
    kept = hidden(check(app_client, _attached()).text)
    without = post(app_client, {**kept, **FULL, "drop": "yes", "do": "check"})
    post(app_client, {**hidden(without.text), **FULL, "do": "save"})
    assert "DocumentReference" not in stored(site)
    assert sums(site)["received"] == 1


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("fax.pdf", b"MZ\x90\x00 a program", "The file is none of these: application/pdf, image/gif, image/jpeg"),
        ("fax.pdf", b"", "The file is none of these: "),
        ("fax.pdf", PDF + b"x" * 5 * 1024 * 1024, "The file is larger than 5 MB."),
    ],
)
def test_a_file_is_judged_by_what_it_holds(app_client: FlaskClient, name: str, data: bytes, words: str) -> None:
    response = check(app_client, _attached(name, data))
    assert response.status_code == 422
    assert faults(response.text)["attachment"].startswith(words)


def test_a_form_beyond_all_limits_is_not_read(app_client: FlaskClient) -> None:
    opened = hidden(page(app_client, "/referrals/new"))
    assert post(app_client, {**opened, **_attached(data=PDF + b"x" * 17 * 1024 * 1024)}).status_code == 413


# What could not be read


BROKEN: dict[str, Any] = referral(
    "?cervical dystonia, sent as free text",
    patient(
        name=[{"family": "Inkwell", "given": ["Rosa", "Lee"]}],
        telecom=[{"system": "phone", "value": "01632 960009"}],
        identifier=[{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000002"}],
    ),
    priority="soon",
    identifier=[{"value": "B-1"}],
)


def refused(site: Site, body: bytes | dict[str, Any], client: str = "local") -> str:
    send(site, body, timedelta(days=3), client=client)
    with site.store.reading() as connection:
        row = connection.execute(select(tables.ledger)).mappings().one()
    assert row["state"] == "refused"
    return f"{row['received_id']}~0"


def values(html: str) -> dict[str, str]:
    inputs = {
        str(one["name"]): one.get("value") or "" for tag, one in read(html).tags if tag == "input" and one.get("id")
    }
    areas = dict(re.findall(r'<textarea id="\w+" name="(\w+)"[^>]*>([^<]*)</textarea>', html))
    return {name: unescape(value) for name, value in (inputs | areas).items() if value and name != "priority"}


def test_what_can_be_read_of_a_refused_text_is_filled_in(site: Site, app_client: FlaskClient) -> None:
    html = page(app_client, f"/referrals/new?source={refused(site, BROKEN)}")
    assert values(html) == {
        "family": "Inkwell",
        "given": "Rosa Lee",
        "birth_date": "1971-06-13",
        "identifier": "9990000002",
        "telephone": "01632 960009",
        "requester": "Dr Petra Sparrow",
        "placer": "B-1",
        "reason": "?cervical dystonia, sent as free text",
    }
    assert "sent as free text" in sections(html.replace('class="panel stays"', 'class="panel"'))["text"]


def test_of_several_patients_none_is_guessed(site: Site, app_client: FlaskClient) -> None:
    request = BROKEN | {"subject": {"reference": "Patient/unknown"}}
    entries = [patient(name=[{"family": name}]) for name in ("Mother", "Child")]
    del request["contained"]
    payload = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": one} for one in (*entries, request)],
    }
    html = page(app_client, f"/referrals/new?source={refused(site, json.dumps(payload).encode())}")
    assert values(html).keys() == {"requester", "placer", "reason"}


@pytest.mark.parametrize(
    "body",
    [
        b"status dystonicus, please help",
        b'{"resourceType": "ServiceRequest", "subject": 7, "contained": [[1]], "reasonCode": "text", "identifier": 1}',
        b'{"resourceType": "ServiceRequest", "contained": {"resourceType": "Patient", "name": [[{}]], "birthDate": 1}}',
        b'{"resourceType": "Bundle", "entry": {"resource": {"resourceType": "Patient"}}}',
    ],
)
def test_whatever_was_sent_the_form_opens(site: Site, app_client: FlaskClient, body: bytes) -> None:
    page(app_client, f"/referrals/new?source={refused(site, body)}")


def test_saving_it_moves_the_row_and_keeps_text_clock_and_sender(site: Site, app_client: FlaskClient) -> None:
    source = refused(site, BROKEN, client="north")
    path = save(app_client, FULL | {"taking": "Read it with the sender by telephone"}, source).location
    with site.store.reading() as connection:
        row = dict(connection.execute(select(tables.ledger)).mappings().one())
        task = dict(connection.execute(select(tables.task)).mappings().one())
    assert row["received_id"] == source.partition("~")[0]
    assert (row["state"], row["taken_from"], row["client"]) == ("review", "refused", "north")
    assert path == f"/referrals/{row['referral_id']}"
    assert [task[name] for name in ("client", "queue", "authored_on", "by_hand")] == [
        *("north", "intake-review", "2026-03-13T12:00:00.000Z", 1)
    ]
    assert sums(site) == {"received": 1, "refused": 0, "rejected": 0, "review": 1, "routed": 0}
    assert "Read it with the sender by telephone" in sections(page(app_client, path))["timeline"]
    assert app_client.get(f"/not-taken/{row['received_id']}/text").data == json.dumps(BROKEN).encode()


def test_the_sender_of_a_refused_text_sees_what_became_of_it(site: Site, app_client: FlaskClient) -> None:
    path = save(app_client, FULL | {"taking": "Phoned"}, refused(site, BROKEN)).location
    (receipt,) = app_client.get("/fhir/ServiceRequest/$receipt?request-id=r-1").get_json(force=True)["parameter"]
    told = {part["name"]: part.get("valueCode") or part.get("valueReference") for part in receipt["part"]}
    assert (told["disposition"], told["referral"]) == (
        "review",
        {"reference": f"ServiceRequest/{path.removeprefix('/referrals/')}"},
    )


def test_two_who_enter_the_same_refused_text_make_one_referral(site: Site, app_client: FlaskClient) -> None:
    source = refused(site, BROKEN)
    other = check(app_client, FULL | {"taking": "Second", "placer": ""}, source)
    first = save(app_client, FULL | {"taking": "First"}, source)
    form = {**hidden(other.text), **FULL, "taking": "Second", "placer": "", "do": "save"}
    assert post(app_client, form).location == first.location
    assert app_client.get(f"/referrals/new?source={source}").location == first.location
    assert sums(site) == {"received": 1, "refused": 0, "rejected": 0, "review": 1, "routed": 0}


def test_what_a_human_takes_in_is_not_rejected_again(site: Site, app_client: FlaskClient) -> None:
    form = FULL | {"reason": "Right knee pain", "body_site": "", "medicines": "", "taking": "Asked for by the clinic"}
    save(app_client, form, refused(site, BROKEN))
    assert sums(site) == {"received": 1, "refused": 0, "rejected": 0, "review": 1, "routed": 0}


def test_without_a_reason_a_refused_text_is_not_taken_in(site: Site, app_client: FlaskClient) -> None:
    response = check(app_client, FULL, refused(site, BROKEN))
    assert (response.status_code, faults(response.text).keys()) == (422, {"taking"})


# Harmless


def test_nothing_typed_becomes_markup_or_stands_in_an_address(app_client: FlaskClient) -> None:
    wicked = {
        name: WICKED for name in FULL if name not in ("birth_date", "identifier_system", "priority", "interpreter")
    }
    shown = check(app_client, FULL | wicked).text
    reader = read(shown)
    assert {tag for tag, _ in reader.tags} & {"script", "img", "style", "iframe", "object"} == set()
    assert not any(name.startswith("on") or name == "style" for _, attributes in reader.tags for name in attributes)
    links = [one.get("href") or one.get("action") or "" for _, one in reader.tags]
    assert [one for one in links if "alert(" in one or "Vellum" in one] == []


def test_a_form_of_another_site_or_without_our_key_is_refused(app_client: FlaskClient) -> None:
    elsewhere = app_client.post("/referrals/new", data=FULL, headers={"Sec-Fetch-Site": "cross-site"})
    assert [elsewhere.status_code, post(app_client, FULL | {"key": "mine"}).status_code] == [403, 404]


@pytest.mark.parametrize("source", ["x", "unknown~0", "~", "a~9999999"])
def test_a_source_that_is_none_is_told_in_words(app_client: FlaskClient, source: str) -> None:
    response = app_client.get(f"/referrals/new?source={source}")
    assert (response.status_code, "That did not work" in said(response.text)) == (404, True)
