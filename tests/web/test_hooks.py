"""CDS Hooks: what a referrer is told before an order is sent, and what becomes of what they make of it.

https://cds-hooks.hl7.org/2.0/
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from referral_service.access.gate import Gate
from referral_service.app import application
from referral_service.intake import Site
from referral_service.store import tables
from tests.callers import Doors, placer
from tests.coding import panel
from tests.hooking import EHR, SERVICE, call, cards, draft, known_patient, send, summaries
from tests.shapes import OWN, Caller, Resource, all_rules, bundle, flags, referral, rules
from tests.shapes import placer as number

DECISION = "example.referral-service.decision"
ADULT = "Would go to Adult movement disorders: G24.3 Spasmodic torticollis, confirmed"
OURS = {"reference": "HealthcareService/adult-movement-disorders"}
LABORATORY = [{"coding": [{"system": "http://snomed.info/sct", "code": "108252007"}]}]


def decision_of(card: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a decision by name, the last of each."""
    listed = card["extension"][DECISION]["parameter"]
    return {one["name"]: next(value for name, value in one.items() if name != "name") for one in listed}


def test_discovery_names_the_one_service_to_anybody(app_client: FlaskClient) -> None:
    answer = app_client.get("/cds-services")
    [service] = answer.get_json()["services"]
    assert {name: service[name] for name in ("id", "hook", "prefetch")} == {
        "id": "dystonia-referral",
        "hook": "order-sign",
        "prefetch": {
            "patient": "Patient/{{context.patientId}}",
            "conditions": "Condition?patient={{context.patientId}}",
        },
    }
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_an_order_for_dystonia_gives_one_card_with_queue_and_code(app_client: FlaskClient) -> None:
    [card] = cards(app_client, draft())
    assert (card["indicator"], card["summary"]) == ("info", ADULT)
    assert card["source"] == {"label": "Referral service for dystonia", "url": "http://localhost"}
    assert "where nobody waits now" in card["detail"]
    assert "- No requester is named." in card["detail"]
    assert "does not replace a clinician" in card["detail"]


PANEL = panel.rows(Path(panel.__file__).with_name("panel.tsv"))
REASONS = [row["facts"].removeprefix("reason=") for row in PANEL if row["facts"].startswith("reason=")]
TEXTS = [text for text in REASONS if "||" not in text and "\\n" not in text][::5]


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("text", TEXTS)
def test_the_decision_is_that_of_preview_and_of_the_referral_once_it_is_sent(caller: Caller, text: str) -> None:
    order, theirs = draft(text, performer=[OURS]), known_patient()
    first = next(card for card in cards(caller.http, order, prefetch={"patient": theirs}) if "extension" in card)
    sent = bundle({"resource": {**order, "status": "active"}}, {"resource": theirs, "fullUrl": f"{EHR}/Patient/7"})
    sent["type"] = "collection"
    previewed = caller.post("ServiceRequest/$preview", sent).get_json(force=True)
    assert first["extension"][DECISION] == previewed
    contained = [{**theirs, "id": "p"}]
    created = caller.create({**order, "status": "active", "subject": {"reference": "#p"}, "contained": contained})
    told = decision_of(first)
    if told["disposition"] == "rejected":
        assert rules(created.get_json(force=True)) == rules(told["outcome"])
        return
    stored = caller.read(f"ServiceRequest/{created.json['id']}/$decision")
    again = decision_of({"extension": {DECISION: stored}})
    same = ("disposition", "queue", "code", "certainty", "priority", "age")
    assert {name: told.get(name) for name in same} == {name: again.get(name) for name in same}
    assert flags(created.json) == [one["valueCode"] for one in previewed["parameter"] if one["name"] == "flag"]


def test_at_least_twenty_texts_are_compared() -> None:
    assert len(TEXTS) >= 20


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("text", TEXTS)
def test_a_suggestion_taken_over_changes_neither_queue_nor_code_nor_certainty(
    app_client: FlaskClient, text: str
) -> None:
    before = next(card for card in cards(app_client, draft(text, performer=[OURS])) if "extension" in card)
    for suggestion in before.get("suggestions", []):
        [action] = suggestion["actions"]
        assert action["type"] == "update"
        found = cards(app_client, action["resource"])
        after = next(card for card in found if "extension" in card)
        same = ("disposition", "queue", "code", "certainty")
        old, new = decision_of(before), decision_of(after)
        assert {name: old.get(name) for name in same} == {name: new.get(name) for name in same}


def test_the_missing_code_can_be_taken_over(app_client: FlaskClient) -> None:
    [card] = cards(app_client, draft("?cervical dystonia"))
    assert card["selectionBehavior"] == "at-most-one"
    [suggestion] = card["suggestions"]
    assert (suggestion["label"], suggestion["isRecommended"]) == ("Add G24.3 Spasmodic torticollis as the reason", True)
    [action] = suggestion["actions"]
    codes = [
        {
            "system": f"http://hl7.org/fhir/sid/{name}",
            "version": year,
            "code": "G24.3",
            "display": "Spasmodic torticollis",
        }
        for name, year in (("icd-10-cm", "2026"), ("icd-10", "2019"))
    ]
    reason = {"coding": codes, "text": "Suspected spasmodic torticollis"}
    assert action["resource"] == draft(reasonCode=[{"text": "?cervical dystonia"}, reason])
    [coded] = cards(app_client, action["resource"])
    assert "suggestions" not in coded


def test_a_code_in_doubt_is_not_suggested(app_client: FlaskClient) -> None:
    [card] = cards(app_client, draft("Writer's cramp"))
    assert (card["indicator"], "suggestions" in card) == ("info", False)
    assert "**Flags:** Code contestable" in card["detail"]


def test_a_draft_without_an_id_gets_no_suggestion(app_client: FlaskClient) -> None:
    [card] = cards(app_client, draft(id=None))
    assert (card["summary"], "suggestions" in card) == (ADULT, False)


def test_a_red_flag_comes_first_with_the_policys_words(app_client: FlaskClient, site: Site) -> None:
    first, second = cards(app_client, draft("Status dystonicus"))
    assert (first["indicator"], first["summary"]) == ("critical", site.policy.notice)
    assert first["detail"].startswith(site.policy.notice)
    assert [reason["code"] for reason in first["overrideReasons"]] == [
        "emergency-arranged",
        "discussed",
        "more-follows",
        "known-and-meant",
        "not-for-this-service",
    ]
    assert [one["label"] for one in second["suggestions"]] == ["Raise the priority to stat"]
    assert second["suggestions"][0]["actions"][0]["resource"] == draft("Status dystonicus", priority="stat")


def test_a_long_notice_stands_whole_in_the_detail_and_is_not_cut_in_the_summary(site: Site) -> None:
    notice = "Phone the emergency number. " * 10
    http = application(replace(site, policy=replace(site.policy, notice=notice))).test_client()
    first = cards(http, draft("Status dystonicus"))[0]
    assert first["summary"] == "Red flag: this may not wait. Read this before you send."
    assert notice in first["detail"]


def test_code_and_priority_can_be_taken_over_at_once(app_client: FlaskClient) -> None:
    order = draft("Acute laryngeal dystonia after haloperidol with stridor")
    decided = cards(app_client, order)[1]
    both, code, priority = decided["suggestions"]
    assert both["actions"][0]["resource"] == {
        **code["actions"][0]["resource"],
        "priority": priority["actions"][0]["resource"]["priority"],
    }
    assert [one.get("isRecommended", False) for one in (both, code, priority)] == [True, False, False]


@pytest.mark.parametrize(
    ("order", "summary"),
    [
        pytest.param(
            draft("Tremor"), "Would be held for a coordinator's review: the reason does not settle it", id="review"
        ),
        pytest.param(
            draft(doNotPerform=True), "Would be rejected: The request asks that this is not done.", id="rejected"
        ),
        pytest.param(
            draft("Knee pain", performer=[OURS]),
            "Would be rejected: Every reason given is something other than dystonia or its neighbours.",
            id="rejected, and addressed to us",
        ),
        pytest.param(
            draft(priority="high"),
            "Would be refused as it stands: ServiceRequest.priority: "
            "The code must be one of: routine, urgent, asap, stat.",
            id="refused",
        ),
    ],
)
def test_what_stands_in_the_way_is_a_warning(app_client: FlaskClient, order: Resource, summary: str) -> None:
    [card] = cards(app_client, order)
    assert (card["indicator"], card["summary"]) == ("warning", summary)
    assert card["overrideReasons"]


NOT_OURS = {
    "surely something else": draft("Knee pain"),
    "no reason": draft("", code={"text": "Referral to physiotherapy"}),
    "laboratory work": draft("Dystonia", category=LABORATORY),
    "coded in LOINC": draft("Dystonia", code={"coding": [{"system": "http://loinc.org", "code": "58410-2"}]}),
    "no ServiceRequest": {"resourceType": "NutritionOrder", "id": "n", "note": [{"text": "Dystonia"}]},
    "cannot be read, and names nothing near": draft("Knee pain", priority="high"),
}


@pytest.mark.parametrize("order", NOT_OURS.values(), ids=NOT_OURS.keys())
def test_an_order_that_is_not_for_this_service_gives_no_card(app_client: FlaskClient, order: Resource) -> None:
    assert cards(app_client, order) == []


def test_a_dystonia_among_the_patients_problems_alone_gives_no_card(app_client: FlaskClient) -> None:
    assert cards(app_client, draft("", code={"text": "Full blood count"}), prefetch=with_condition()) == []


def with_condition() -> Resource:
    condition = {
        "resourceType": "Condition",
        "id": "c1",
        "subject": {"reference": "Patient/7"},
        "code": {"text": "Cervical dystonia"},
        "onsetString": "last year",
    }
    return {"patient": known_patient(), "conditions": bundle({"resource": condition}, kind="searchset")}


def test_a_condition_that_the_order_points_at_is_its_reason(app_client: FlaskClient) -> None:
    order = draft("", reasonReference=[{"reference": "Condition/c1"}])
    [card] = cards(app_client, order, prefetch=with_condition())
    assert card["summary"] == ADULT
    assert "since when" not in card["detail"]


def test_a_condition_that_the_order_does_not_point_at_is_not_read(app_client: FlaskClient) -> None:
    [card] = cards(app_client, draft("", performer=[OURS]), prefetch=with_condition())
    assert (card["summary"], decision_of(card)["disposition"]) == (
        "Would be held for a coordinator's review: the reason does not settle it",
        "review",
    )
    assert "No reason for the referral could be read." in card["detail"]


def test_each_order_for_us_gets_its_cards_in_order(app_client: FlaskClient) -> None:
    orders = (draft("Knee pain", id="a"), draft("Blepharospasm", id="b"), NOT_OURS["laboratory work"], draft(id="c"))
    found = cards(app_client, *orders)
    assert [decision_of(card)["code"]["coding"][0]["code"] for card in found] == ["G24.5", "G24.3"]
    assert [card["suggestions"][0]["actions"][0]["resource"]["id"] for card in found] == ["b", "c"]


def test_every_summary_is_shorter_than_140_characters(app_client: FlaskClient) -> None:
    found = [card for text in TEXTS for card in cards(app_client, draft(text, performer=[OURS]))]
    assert max(len(card["summary"]) for card in found) < 140
    assert len({card["uuid"] for card in found}) == len(found)


def sent_before(caller: Caller, **more: Any) -> Resource:
    contained = [{**known_patient(), "id": "p"}]
    return caller.create(referral("A-1", subject={"reference": "#p"}, contained=contained, **more)).json


def test_an_open_referral_of_ones_own_is_told_of(caller: Caller) -> None:
    first = sent_before(caller)
    day = caller.task_of(first["id"])["authoredOn"][:10]
    decided, other = cards(caller.http, draft("Blepharospasm"))
    assert summaries([other]) == [
        ("warning", f"A referral for this patient is open: received {day}, requested in Adult movement disorders")
    ]
    page = f"http://localhost/referrals/{first['id']}"
    label = "The referral's page, for staff of the service"
    assert other["links"] == [{"label": label, "url": page, "type": "absolute"}]
    assert "1 wait there, half of them for 0 hours or longer" in decided["detail"]
    assert "**Flags:** Possible duplicate" in decided["detail"]


def test_another_clients_referral_is_not_told_of(site: Site) -> None:
    doors = Doors(site)
    sent_before(doors.of(placer("north")))
    [card] = cards(doors.of(placer("south")).http, draft())
    assert (card["summary"], "Flags" in card["detail"]) == (ADULT, False)


def test_an_order_that_was_received_before_says_so(caller: Caller) -> None:
    first = sent_before(caller)
    day = caller.task_of(first["id"])["authoredOn"][:10]
    _, before = cards(caller.http, draft(identifier=[number("A-1")]))
    summary = f"This order was received before, on {day}: requested in Adult movement disorders"
    assert summaries([before]) == [("warning", summary)]
    assert before["links"][0]["url"].endswith(first["id"])


def test_nothing_is_stored_but_the_audit_event(caller: Caller) -> None:
    before = rows(caller.site)
    cards(caller.http, draft("Status dystonicus"), draft("Cervical dystonia", id="b"))
    caller.http.application.extensions["recorder"].settle()
    assert {name: number - before[name] for name, number in rows(caller.site).items() if number != before[name]} == {
        "audit_event": 1
    }


def rows(site: Site) -> dict[str, int]:
    with site.store.reading() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in tables.metadata.sorted_tables
        }


WRONG: dict[str, tuple[Resource | bytes, int, str, list[str]]] = {
    "no JSON": (b"{", 400, "not-json", [""]),
    "no object": (b"[]", 400, "not-object", [""]),
    "another hook": (call(draft(), hook="patient-view"), 400, "hook-request", ["hook"]),
    "no hook at all": (call(draft(), hook=None), 400, "hook-request", ["hook"]),
    "no name of the call": (call(draft(), hookInstance=None), 400, "hook-request", ["hookInstance"]),
    "no context": (call(draft(), context=None), 400, "hook-request", ["context"]),
    "an empty context": (
        call(context={}),
        400,
        "hook-request",
        ["context.userId", "context.patientId", "context.draftOrders"],
    ),
    "prefetch is a list": (call(draft(), prefetch=[]), 400, "hook-request", ["prefetch"]),
    "no prefetch": (call(draft(), prefetch=None), 412, "prefetch-missing", ["prefetch.patient"]),
    "no patient": (call(draft(), prefetch={"patient": None}), 412, "prefetch-missing", ["prefetch.patient"]),
    "an error in place of the patient": (
        call(draft(), prefetch={"patient": {"resourceType": "OperationOutcome"}}),
        412,
        "prefetch-missing",
        ["prefetch.patient"],
    ),
    "another patient": (
        call(draft(), prefetch={"patient": known_patient(id="8")}),
        400,
        "hook-request",
        ["prefetch.patient.id"],
    ),
}


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("body", "status", "rule", "places"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_call_is_told_in_json(
    app_client: FlaskClient, body: Resource | bytes, status: int, rule: str, places: list[str]
) -> None:
    answer = send(app_client, body)
    assert (answer.status_code, answer.content_type) == (status, "application/json")
    assert rules(answer.get_json()) == [(rule, place) for place in places]


def test_other_methods_types_and_services_are_told_in_json(app_client: FlaskClient) -> None:
    got = [
        app_client.get(SERVICE),
        app_client.post(SERVICE, data="x", content_type="text/plain"),
        send(app_client, call(draft()), "/cds-services/other"),
        app_client.post(SERVICE, data=b" " * (10 * 1024 * 1024 + 1), content_type="application/json"),
    ]
    assert [(one.status_code, one.content_type, all_rules(one.get_json())) for one in got] == [
        (405, "application/json", ["method-not-allowed"]),
        (415, "application/json", ["media-type"]),
        (404, "application/json", ["not-found"]),
        (413, "application/json", ["too-large"]),
    ]


LABEL = {"resourceType": "Basic", "code": {"text": "x"}}
LABELS = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": LABEL}] * 250}


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("body", "limit"),
    [
        (call(draft(), *[LABEL] * 500), "500 entries, those of prefetch.conditions among them"),
        (
            call(draft(), *[LABEL] * 250, prefetch={"patient": known_patient(), "conditions": LABELS}),
            "500 entries, those of prefetch.conditions among them",
        ),
        (call(*(draft(id=f"d{n}") for n in range(51))), "50 ServiceRequests"),
    ],
)
def test_more_entries_than_may_be_are_refused_whatever_they_are(
    app_client: FlaskClient, body: Resource, limit: str
) -> None:
    answer = send(app_client, body)
    assert (answer.status_code, rules(answer.get_json())) == (413, [("too-many-entries", "context.draftOrders.entry")])
    assert answer.get_json()["issue"][0]["diagnostics"] == f"A call may have {limit}."


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_as_many_entries_as_may_be_are_answered(app_client: FlaskClient) -> None:
    prefetch = {"patient": known_patient(), "conditions": LABELS}
    found = cards(app_client, draft(), *[LABEL] * 249, prefetch=prefetch)
    assert summaries(found) == [("info", ADULT)]
    each = cards(app_client, *(draft(id=f"d{n}") for n in range(50)))
    assert [one for one in summaries(each) if one == ("info", ADULT)] == [("info", ADULT)] * 50


def feedback(http: FlaskClient, *given: Any) -> Any:
    return send(http, {"feedback": list(given)}, f"{SERVICE}/feedback")


def kept(site: Site) -> list[tuple[Any, ...]]:
    row = tables.card_feedback
    query = select(row.c.client, row.c.card, row.c.kind, row.c.outcome, row.c.suggestions, row.c.reason)
    with site.store.reading() as connection:
        return [tuple(one) for one in connection.execute(query.order_by(row.c.kind))]


def test_feedback_is_kept_by_kind_of_card_without_a_word_of_anybody(caller: Caller) -> None:
    flag, decided = cards(caller.http, draft("Acute laryngeal dystonia after haloperidol with stridor"))
    reason = {"reason": {"system": f"{OWN}/CodeSystem/override-reason", "code": "discussed"}, "userComment": "secret"}
    taken = {"id": decided["suggestions"][0]["uuid"]}
    answer = feedback(
        caller.http,
        {"card": flag["uuid"], "outcome": "overridden", "overrideReason": reason, "outcomeTimestamp": "2026-03-01"},
        {"card": decided["uuid"], "outcome": "accepted", "acceptedSuggestions": [taken]},
    )
    assert (answer.status_code, answer.get_json()) == (200, {})
    assert kept(caller.site) == [
        ("local", flag["uuid"], "red-flag", "overridden", "", "discussed"),
        ("local", decided["uuid"], "routed", "accepted", "add-code-and-raise-priority", None),
    ]


def test_a_reason_of_another_system_is_not_kept(caller: Caller) -> None:
    [card] = cards(caller.http, draft())
    given = {"reason": {"system": "urn:other", "code": "discussed"}}
    feedback(caller.http, {"card": card["uuid"], "outcome": "overridden", "overrideReason": given})
    assert [row[-1] for row in kept(caller.site)] == [None]


def test_feedback_on_nothing_of_ours_is_refused_whole(caller: Caller) -> None:
    [card] = cards(caller.http, draft())
    good = {"card": card["uuid"], "outcome": "accepted"}
    given = [
        good,
        {**good, "card": "9b5a2e0e-9ab9-4c8f-8a4b-111111111111"},
        {**good, "card": card["suggestions"][0]["uuid"]},
        {**good, "outcome": "ignored"},
        {**good, "acceptedSuggestions": [{"id": card["uuid"]}]},
        "x",
    ]
    answer = feedback(caller.http, *given)
    assert (answer.status_code, rules(answer.get_json())) == (
        400,
        [
            ("hook-feedback", "feedback[1].card"),
            ("hook-feedback", "feedback[2].card"),
            ("hook-feedback", "feedback[3].outcome"),
            ("hook-feedback", "feedback[4].acceptedSuggestions"),
            ("hook-feedback", "feedback[5]"),
        ],
    )
    assert (kept(caller.site), feedback(caller.http).status_code) == ([], 400)


def test_a_page_from_elsewhere_may_call_only_where_a_token_is_asked_for(site: Site) -> None:
    def allowed(http: FlaskClient, path: str) -> list[str | None]:
        asked = {"Origin": "https://ehr.example", "Access-Control-Request-Method": "POST"}
        answers = [http.options(path, headers=asked), http.post(path, data="{}", content_type="application/json")]
        return [answer.headers.get("Access-Control-Allow-Origin") for answer in answers]

    closed = application(site, Gate(asks=True)).test_client()
    anybody = application(site).test_client()
    assert allowed(closed, SERVICE) == ["*", "*"]
    assert allowed(anybody, SERVICE) == [None, None]
    assert "Access-Control-Allow-Credentials" not in closed.options(SERVICE).headers
    shared = [http.options(SERVICE).headers["Cross-Origin-Resource-Policy"] for http in (closed, anybody)]
    assert shared == ["cross-origin", "same-origin"]


def test_the_cards_hold_no_value_of_the_patient(app_client: FlaskClient) -> None:
    secret = "Quillfeather"
    theirs = known_patient(name=[{"family": secret}], birthDate="1970-05-01")
    found = cards(app_client, draft(), prefetch={"patient": theirs})
    text = json.dumps([{**card, "suggestions": [], "extension": {}} for card in found])
    assert [word for word in (secret, "1970-05-01", "mrn-7") if word in text] == []
