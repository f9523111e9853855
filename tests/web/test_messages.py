"""POST /fhir/$process-message: new, updated and cancelled referrals of BSeR and BaRS, their answers and replays."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from referral_service.access.gate import Gate
from referral_service.app import application
from referral_service.fhir.conformance import check
from referral_service.intake import Incoming, Site, Taking, take_in
from referral_service.referral import Queue
from referral_service.store import tables
from tests import shapes
from tests.callers import Doors, placer
from tests.shapes import ADULT_BORN, CHILD_BORN, OWN, Caller, Resource, all_rules, ledger_of, patient, referral, rules
from tests.systems import System
from tests.web.test_pages import sections

EXAMPLES = Path(__file__).parents[2] / "profiles" / "examples" / "valid"
BSER, BARS = "08-bser-message-tardive-dyskinesia.json", "09-bars-message-child-neck-trauma.json"
DOOR = "$process-message"
I12 = {"system": "http://terminology.hl7.org/CodeSystem/v2-0003", "code": "I12"}
REQUEST = {"system": "https://fhir.nhs.uk/CodeSystem/message-events-bars", "code": "servicerequest-request"}
REASONS = "https://fhir.nhs.uk/CodeSystem/message-reason-bars"
H, T, S, S2, P, D = (f"urn:uuid:7f7b2b52-0000-4000-8000-00000000000{digit}" for digit in "123456")


def example(name: str) -> Resource:
    found: Resource = json.loads((EXAMPLES / name).read_text("utf-8"))
    return found


def header(focus: str | None = S, event: Resource = REQUEST, reason: str | None = None, **more: Any) -> Resource:
    return {
        "resourceType": "MessageHeader",
        "id": "m-1",
        "eventCoding": event,
        "source": {"name": "Invented EHR", "endpoint": "https://ehr.example/fhir/$process-message"},
        **({"reason": {"coding": [{"system": REASONS, "code": reason}]}} if reason else {}),
        **({"focus": [{"reference": focus}]} if focus else {}),
    } | more


def task(status: str = "requested", focus: str = S, **more: Any) -> Resource:
    return {"resourceType": "Task", "status": status, "intent": "order", "focus": {"reference": focus}} | more


def message(*entries: tuple[str, Resource], **more: Any) -> Resource:
    listed = [{"fullUrl": url, "resource": resource} for url, resource in entries]
    return {"resourceType": "Bundle", "type": "message", "entry": listed} | more


def bars(why: str = "new", message_id: str = "m-1", **changed: Any) -> Resource:
    return message((H, header(reason=why, id=message_id)), (S, referral(**changed)))


def bser(stands: str = "requested", message_id: str = "m-1", **changed: Any) -> Resource:
    return message((H, header(T, I12, id=message_id)), (T, task(stands)), (S, referral(**changed)))


def head(answer: TestResponse) -> Resource:
    """The MessageHeader of an answer, which is a valid message."""
    bundle = json.loads(answer.data)
    assert [issue for issue in check(bundle) if issue.is_error] == []
    assert bundle["type"] == "message"
    found: Resource = bundle["entry"][0]["resource"]
    return found


def outcome_in(answer: TestResponse) -> Resource:
    """The OperationOutcome that the header of an answer points at."""
    place = head(answer)["response"]["details"]["reference"]
    found = [one["resource"] for one in json.loads(answer.data)["entry"] if one["fullUrl"] == place]
    assert len(found) == 1
    return dict(found[0])


def refused(answer: TestResponse, status: int) -> list[tuple[str, str]]:
    assert (answer.status_code, head(answer)["response"]["code"]) == (status, "fatal-error"), answer.text
    return rules(outcome_in(answer))


def taken(answer: TestResponse) -> str:
    """The id of the referral that an answer speaks of."""
    assert (answer.status_code, head(answer)["response"]["code"]) == (200, "ok"), answer.text
    focus = [one["reference"] for one in head(answer)["focus"]]
    return str(focus[-1].rpartition("/")[2])


def spoken(site: Site, scopes: str = "system/*.cruds", **registered: Any) -> Caller:
    """A registered client, with what was said of it at its registration."""
    return Doors(site).of(replace(placer("north", scopes), **registered))


@dataclass
class Registered:
    """A client with a token of its own, as it was registered."""

    http: FlaskClient
    headers: dict[str, str]

    def post(self, sent: Resource) -> TestResponse:
        headers = {**self.headers, "Content-Type": shapes.FHIR_JSON}
        return self.http.post(f"/fhir/{DOOR}", data=json.dumps(sent), headers=headers)


def registered(site: Site, **said: Any) -> Registered:
    app = application(site, Gate(asks=True, secret_key="k" * 32))
    system = System("ehr-a").register(site.store, **said)
    return Registered(app.test_client(), system.bearer(app))


@pytest.mark.parametrize(("name", "queue"), [(BSER, Queue.ADULT), (BARS, Queue.REVIEW)])
def test_a_published_programmes_message_is_taken_and_answered_with_our_task_and_referral(
    caller: Caller, name: str, queue: Queue
) -> None:
    sent = example(name)
    answer = caller.post(DOOR, sent)
    referral_id = taken(answer)
    task_id = caller.task_of(referral_id)["id"]
    written = head(answer)
    asked = sent["entry"][0]["resource"]
    assert written["eventCoding"] == asked["eventCoding"]
    assert written["destination"] == [{"name": asked["source"]["name"], "endpoint": asked["source"]["endpoint"]}]
    assert written["source"]["endpoint"] == "http://localhost/fhir/$process-message"
    assert written["focus"] == [
        {"reference": f"http://localhost/fhir/Task/{task_id}"},
        {"reference": f"http://localhost/fhir/ServiceRequest/{referral_id}"},
    ]
    assert written["response"]["identifier"] == {BSER: "mh-1", BARS: sent["id"]}[name]
    served = [one["resource"] for one in answer.get_json(force=True)["entry"]][-1]
    assert served == caller.read(f"ServiceRequest/{referral_id}")
    assert caller.queue_of(referral_id) == queue
    assert caller.count("MessageHeader") == 1
    assert caller.sums() == ledger_of(**{"review" if queue is Queue.REVIEW else "routed": 1})


def test_the_emergency_words_stand_first_in_the_answer(caller: Caller) -> None:
    assert all_rules(outcome_in(caller.post(DOOR, example(BARS))))[0] == "red-flag"


@pytest.mark.parametrize(
    "sent", [bars("update", "m-2", reason="Writer's cramp"), bser("accepted", "m-2", reason="Writer's cramp")]
)
def test_an_update_needs_no_version_and_is_the_same_referral(caller: Caller, sent: Resource) -> None:
    first = taken(caller.post(DOOR, bars()))
    assert taken(caller.post(DOOR, sent)) == first
    served = caller.read(f"ServiceRequest/{first}")
    assert (served["meta"]["versionId"], served["reasonCode"]) == ("2", [{"text": "Writer's cramp"}])
    assert caller.sums() == ledger_of(routed=1)


def test_an_update_can_name_the_referral_by_our_id(caller: Caller) -> None:
    first = taken(caller.post(DOOR, bars(number=None)))
    sent = bars("update", "m-2", number=None, reason="Writer's cramp", id=first)
    assert taken(caller.post(DOOR, sent)) == first
    assert caller.read(f"ServiceRequest/{first}")["meta"]["versionId"] == "2"


def test_an_update_with_the_same_content_changes_nothing(caller: Caller) -> None:
    first = taken(caller.post(DOOR, bars()))
    assert taken(caller.post(DOOR, bars("update", "m-2"))) == first
    assert caller.read(f"ServiceRequest/{first}")["meta"]["versionId"] == "1"


def test_an_update_of_an_unknown_referral_is_taken_as_a_new_one_and_says_so(caller: Caller) -> None:
    answer = caller.post(DOOR, bars("update"))
    assert taken(answer)
    assert "update-of-unknown" in all_rules(outcome_in(answer))
    assert caller.sums() == ledger_of(routed=1)


def test_an_update_of_a_referral_whose_task_has_ended_is_a_conflict(caller: Caller) -> None:
    taken(caller.post(DOOR, bars()))
    taken(caller.post(DOOR, bars("update", "m-2", status="revoked")))
    answer = caller.post(DOOR, bars("update", "m-3", reason="Writer's cramp"))
    assert refused(answer, 409) == [("task-final", "Bundle.entry[1].resource")]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (bars("update", "m-2", status="revoked"), "revoked"),
        (bars("update", "m-2", status="entered-in-error"), "entered-in-error"),
        (bser("cancelled", "m-2"), "revoked"),
        (bser("entered-in-error", "m-2"), "entered-in-error"),
        (bser("requested", "m-2", status="revoked"), "revoked"),
    ],
)
def test_a_cancel_ends_the_task_and_the_same_cancel_again_is_a_replay(
    caller: Caller, sent: Resource, status: str
) -> None:
    first = taken(caller.post(DOOR, bars()))
    assert taken(caller.post(DOOR, sent)) == first
    assert caller.task_of(first)["status"] == "cancelled"
    assert caller.read(f"ServiceRequest/{first}")["status"] == status
    again = json.loads(json.dumps(sent))
    again["entry"][0]["resource"]["id"] = "m-3"
    assert taken(caller.post(DOOR, again)) == first
    assert caller.read(f"ServiceRequest/{first}")["meta"]["versionId"] == "2"
    assert caller.sums() == ledger_of(routed=1)


FOCI = [[S, T], [T, S], [D, T], [T, D]]


def with_a_cancelled_task(focus: list[str], message_id: str = "m-2") -> Resource:
    """A message whose Task T is cancelled and whose Task D is not, with what is in focus in the order given."""
    listed = header(None, I12, id=message_id) | {"focus": [{"reference": one} for one in focus]}
    return message((H, listed), (T, task("cancelled")), (D, task()), (S, referral()))


@pytest.mark.parametrize("focus", FOCI)
def test_of_all_tasks_in_focus_one_that_is_cancelled_counts_wherever_it_stands(
    caller: Caller, focus: list[str]
) -> None:
    first = taken(caller.post(DOOR, bser()))
    assert taken(caller.post(DOOR, with_a_cancelled_task(focus))) == first
    assert caller.task_of(first)["status"] == "cancelled"
    assert caller.read(f"ServiceRequest/{first}")["status"] == "revoked"


@pytest.mark.parametrize("focus", FOCI)
def test_a_cancel_wherever_it_stands_makes_no_referral_of_an_unknown_one(caller: Caller, focus: list[str]) -> None:
    answer = caller.post(DOOR, with_a_cancelled_task(focus))
    assert refused(answer, 422) == [("not-active", "Bundle.entry[3].resource.status")]
    assert caller.sums() == ledger_of(rejected=1)


def test_a_wish_to_cancel_is_also_said_by_the_business_status_of_bser(caller: Caller) -> None:
    first = taken(caller.post(DOOR, bser()))
    sent = bser(message_id="m-2")
    system = "http://hl7.org/fhir/us/bser/CodeSystem/TaskBusinessStatusCS"
    sent["entry"][1]["resource"]["businessStatus"] = {"coding": [{"system": system, "code": "5.2"}]}
    assert taken(caller.post(DOOR, sent)) == first
    assert caller.task_of(first)["status"] == "cancelled"


def test_another_cancel_of_an_ended_referral_is_a_conflict_and_one_of_an_unknown_is_rejected(caller: Caller) -> None:
    taken(caller.post(DOOR, bars()))
    taken(caller.post(DOOR, bars("update", "m-2", status="revoked")))
    answer = caller.post(DOOR, bars("update", "m-3", status="entered-in-error"))
    assert refused(answer, 409) == [("task-final", "Bundle.entry[1].resource")]
    unknown = caller.post(DOOR, bars("update", "m-4", number="A-2", status="revoked"))
    assert refused(unknown, 422) == [("not-active", "Bundle.entry[1].resource.status")]
    assert caller.sums() == ledger_of(routed=1, rejected=1)


@pytest.mark.parametrize("sent", [bars(), bser(), bars(contained=[patient(id="p", language="xx-invalid!")])])
def test_the_same_ids_and_content_get_the_first_answer_again(caller: Caller, sent: Resource) -> None:
    first, again = (json.loads(caller.post(DOOR, sent).data) for _ in range(2))
    assert first.pop("timestamp") <= again.pop("timestamp")
    assert first == again
    assert caller.count("MessageHeader") == 1
    assert caller.sums() == ledger_of(routed=1)


@pytest.mark.parametrize("words", ["Writer's cramp", "Cervical dystonia"])
def test_an_old_update_that_comes_again_does_not_undo_a_newer_one(caller: Caller, words: str) -> None:
    first = taken(caller.post(DOOR, bars()))
    older = bars("update", "m-2", reason=words)
    taken(caller.post(DOOR, older))
    taken(caller.post(DOOR, bars("update", "m-3", reason="Blepharospasm")))
    assert taken(caller.post(DOOR, older)) == first
    served = caller.read(f"ServiceRequest/{first}")
    assert served["reasonCode"] == [{"text": "Blepharospasm"}]


def test_other_content_under_the_same_message_id_is_a_conflict(caller: Caller) -> None:
    first = taken(caller.post(DOOR, bars()))
    answer = caller.post(DOOR, bars(number="A-2", reason="Writer's cramp"))
    assert refused(answer, 409) == [("key-reused", "")]
    assert (caller.count("ServiceRequest"), taken(caller.post(DOOR, bars()))) == (1, first)


def test_the_bundles_identifier_is_the_key_where_the_header_has_no_id(caller: Caller) -> None:
    def sent(reason: str, value: str) -> Resource:
        bundle = bars(number=None, reason=reason)
        del bundle["entry"][0]["resource"]["id"]
        return bundle | {"identifier": {"system": "urn:example:messages", "value": value}}

    first = taken(caller.post(DOOR, sent("Cervical dystonia", "1")))
    assert taken(caller.post(DOOR, sent("Cervical dystonia", "1"))) == first
    assert refused(caller.post(DOOR, sent("Writer's cramp", "1")), 409) == [("key-reused", "")]
    assert taken(caller.post(DOOR, sent("Cervical dystonia", "2"))) != first


def test_the_idempotency_key_is_looked_up_before_the_message_id(caller: Caller) -> None:
    first = taken(caller.post(DOOR, bars(), Idempotency_Key="k-1"))
    answer = caller.post(DOOR, bars(message_id="m-2", number="A-2", reason="Writer's cramp"), Idempotency_Key="k-1")
    assert refused(answer, 409) == [("key-reused", "")]
    assert taken(caller.post(DOOR, bars(message_id="m-2"), Idempotency_Key="k-2")) == first


def test_other_content_under_the_same_placer_identifier_is_a_conflict_for_a_new_message(caller: Caller) -> None:
    taken(caller.post(DOOR, bars()))
    answer = caller.post(DOOR, bars(message_id="m-2", reason="Writer's cramp"))
    assert refused(answer, 409) == [("other-content", "Bundle.entry[1].resource.identifier")]


def test_what_was_refused_uses_up_no_message_id(caller: Caller) -> None:
    assert refused(caller.post(DOOR, bars(status="draft")), 422) == [("not-active", "Bundle.entry[1].resource.status")]
    assert taken(caller.post(DOOR, bars()))


def test_message_ids_of_two_senders_never_meet(site: Site) -> None:
    doors = Doors(site)
    first = taken(doors.of(placer("north")).post(DOOR, bars()))
    second = taken(doors.of(placer("south")).post(DOOR, bars(reason="Writer's cramp")))
    assert first != second


def test_whoever_speaks_bars_is_told_of_a_repetition_as_a_duplicate(site: Site) -> None:
    caller = spoken(site, bars=True)
    first = taken(caller.post(DOOR, bars()))
    for message_id in ("m-1", "m-2"):
        answer = caller.post(DOOR, bars(message_id=message_id))
        assert (answer.status_code, answer.json["resourceType"]) == (409, "OperationOutcome")
        assert [(one["code"], one["diagnostics"]) for one in answer.json["issue"]] == [
            ("duplicate", f"This was received before, and nothing was done again; see ServiceRequest/{first}.")
        ]
    assert caller.create(referral()).status_code == 409
    assert caller.sums() == ledger_of(routed=1)


def test_whoever_speaks_bars_is_told_of_a_failure_by_an_outcome_alone(site: Site) -> None:
    answer = spoken(site, bars=True).post(DOOR, bars(status="draft"))
    assert (answer.status_code, answer.json["resourceType"]) == (422, "OperationOutcome")
    assert rules(answer.json) == [("not-active", "Bundle.entry[1].resource.status")]
    (fault,) = [one for one in answer.json["issue"] if one["severity"] == "error"]
    assert [one["code"] for one in fault["details"]["coding"]] == ["not-active", "REC_UNPROCESSABLE_ENTITY"]


def test_an_unknown_event_is_refused_with_the_events_that_are_taken(caller: Caller) -> None:
    booking = REQUEST | {"code": "booking-request"}
    answer = caller.post(DOOR, message((H, header(event=booking)), (S, referral())))
    assert refused(answer, 422) == [("event-not-supported", "Bundle.entry[0].resource.eventCoding")]
    words = outcome_in(answer)["issue"][0]["diagnostics"]
    assert f"{I12['system']}#I12" in words
    assert f"{REQUEST['system']}#servicerequest-request" in words
    assert head(answer)["eventCoding"] == booking
    assert caller.sums() == ledger_of(refused=1)


def test_a_reason_that_is_not_in_the_table_and_an_answer_are_no_requests(caller: Caller) -> None:
    assert refused(caller.post(DOOR, bars("delete")), 422) == [
        ("reason-not-supported", "Bundle.entry[0].resource.reason.coding[0]")
    ]
    answering = header(response={"identifier": "m-0", "code": "ok"})
    assert refused(caller.post(DOOR, message((H, answering), (S, referral()))), 422) == [
        ("message-is-response", "Bundle.entry[0].resource.response")
    ]


def test_a_message_begins_with_its_header(caller: Caller) -> None:
    answer = caller.post(DOOR, message((S, referral()), (H, header())))
    assert refused(answer, 400) == [("bundle-rule", "Bundle.entry[0]")]
    assert caller.sums() == ledger_of(refused=1)


@pytest.mark.parametrize("focus", ["ServiceRequest/elsewhere", T])
def test_a_focus_that_leads_to_no_referral_here_is_refused(caller: Caller, focus: str) -> None:
    entries = [(H, header(focus)), (T, task(focus="ServiceRequest/elsewhere")), (S, referral())]
    answer = caller.post(DOOR, message(*entries))
    assert refused(answer, 400) == [("focus-not-found", "Bundle.entry[0].resource.focus[0]")]
    assert caller.sums() == ledger_of(refused=1)


def test_a_message_without_a_referral_is_refused(caller: Caller) -> None:
    assert refused(caller.post(DOOR, message((H, header(None)), (P, patient()))), 400) == [("no-referral", "")]
    assert caller.sums() == ledger_of(refused=1)


def test_of_two_requests_the_one_in_focus_is_the_referral_and_the_other_is_kept_beside(caller: Caller) -> None:
    answer = caller.post(DOOR, message((H, header(S2)), (S, referral("A-1")), (S2, referral("A-2", "Writer's cramp"))))
    assert caller.read(f"ServiceRequest/{taken(answer)}")["identifier"][0]["value"] == "A-2"
    assert caller.count("ServiceRequest") == 1
    assert caller.sums() == ledger_of(routed=1)


def test_a_sole_request_is_the_referral_where_no_focus_is_given(caller: Caller) -> None:
    assert taken(caller.post(DOOR, message((H, header(None)), (S, referral()))))


def test_a_fault_in_any_entry_fails_the_message_whole(caller: Caller) -> None:
    faulty = {"resourceType": "Condition", "subject": "nobody"}
    answer = caller.post(DOOR, message((H, header()), (S, referral()), (P, faulty)))
    assert refused(answer, 400) == [("wrong-type", "Bundle.entry[2].resource.subject")]
    assert (caller.count("ServiceRequest"), caller.count("MessageHeader")) == (0, 0)
    assert caller.sums() == ledger_of(refused=1)


def test_no_json_is_answered_by_a_message_too(caller: Caller) -> None:
    answer = caller.post(DOOR, b"{", X_Request_Id="req:1")
    assert refused(answer, 400) == [("not-json", "")]
    assert head(answer)["response"]["identifier"] == "req-1"


def test_each_door_names_the_other(caller: Caller) -> None:
    at_base = caller.post("", bars())
    assert "$process-message." in at_base.json["issue"][0]["diagnostics"]
    batch = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": referral()}]}
    answer = caller.post(DOOR, batch)
    assert refused(answer, 400) == [("bundle-type", "Bundle.type")]
    assert "base address" in outcome_in(answer)["issue"][0]["diagnostics"]


@pytest.mark.parametrize("query", ["async=true", "response-url=https://ehr.example/fhir"])
def test_nothing_is_answered_later(caller: Caller, query: str) -> None:
    answer = caller.post(f"{DOOR}?{query}", bars())
    assert (answer.status_code, rules(answer.json)) == (400, [("async-not-supported", "")])
    assert caller.sums() == ledger_of()


def test_another_destination_is_a_warning_and_a_catalogues_name_is_none(caller: Caller) -> None:
    def sent(number: str, endpoint: str) -> Resource:
        return message((H, header(id=number, destination=[{"endpoint": endpoint}])), (S, referral(number)))

    elsewhere = caller.post(DOOR, sent("A-1", "https://other.example/fhir"))
    assert "destination-elsewhere" in all_rules(outcome_in(elsewhere))
    for number, endpoint in (("A-2", "http://localhost/fhir"), ("A-3", "http://fhir.nhs.uk/Id/dos-service-id|1")):
        assert "destination-elsewhere" not in all_rules(outcome_in(caller.post(DOOR, sent(number, endpoint))))


@pytest.mark.parametrize(
    "endpoint", ["http://[x", "urn:a|b", "x" * 2000, "javascript:x", "[ODSCode]:[DoSId]", "http://", "//", "http://ü:x"]
)
def test_whatever_r4_takes_as_an_address_is_answered(caller: Caller, endpoint: str) -> None:
    source = {"endpoint": endpoint, "name": "<b>"}
    sent = message((H, header(source=source, destination=[{"endpoint": endpoint}])), (S, referral()))
    answer = caller.post(DOOR, sent)
    assert taken(answer)
    assert head(answer)["destination"] == [{"name": "<b>", "endpoint": endpoint}]


def test_the_event_is_repeated_without_what_hangs_on_it(caller: Caller) -> None:
    more = {"extension": [{"url": "urn:example:x", "valueDecimal": 1.50}], "userSelected": True}
    answer = caller.post(DOOR, message((H, header(event=REQUEST | more)), (S, referral())))
    assert taken(answer)
    assert head(answer)["eventCoding"] == REQUEST
    nothing = {"extension": more["extension"]}
    assert refused(caller.post(DOOR, message((H, header(event=nothing)), (S, referral()))), 422)
    by_uri = header(eventUri="urn:example:event")
    del by_uri["eventCoding"]
    answer = caller.post(DOOR, message((H, by_uri), (S, referral())))
    assert refused(answer, 422) == [("event-not-supported", "Bundle.entry[0].resource.eventUri")]
    assert head(answer)["eventUri"] == "urn:example:event"


def test_request_and_correlation_ids_come_back(caller: Caller) -> None:
    named = {"X_Request_Id": "r-1", "X_Correlation_Id": "c-1", "NHSD_Target_Identifier": "e30="}
    answer = caller.post(DOOR, bars(), **named)
    assert (answer.headers["X-Request-Id"], answer.headers["X-Correlation-Id"]) == ("r-1", "c-1")
    assert caller.receipts("request-id=r-1")[0]["disposition"] == "routed"


@pytest.mark.parametrize(
    ("scopes", "sent", "needed"),
    [
        ("system/ServiceRequest.c", bars(), "system/MessageHeader.c"),
        ("system/MessageHeader.c", bars(), "system/ServiceRequest.c"),
        ("system/MessageHeader.c system/ServiceRequest.c", bars("update"), "system/ServiceRequest.u"),
    ],
)
def test_a_message_needs_the_scopes_of_its_entries(site: Site, scopes: str, sent: Resource, needed: str) -> None:
    answer = spoken(site, scopes).post(DOOR, sent)
    assert refused(answer, 403)[0][0] == "forbidden"
    assert needed in answer.text


def test_the_configured_system_tells_the_placer_identifier_among_several(site: Site) -> None:
    several = [{"system": "urn:example:cases", "value": "7"}, {"system": "urn:example:referrals", "value": "R-1"}]
    caller = spoken(site, placer_system="urn:example:referrals")
    first = taken(caller.post(DOOR, bars(number=None, identifier=several)))
    other = [several[0] | {"value": "8"}, several[1]]
    answer = caller.post(DOOR, bars(message_id="m-2", number=None, identifier=other))
    assert refused(answer, 409) == [("other-content", "Bundle.entry[1].resource.identifier")]
    assert caller.receipts("identifier=urn:example:referrals|R-1")[0]["disposition"] == "routed"
    placers = [one for one in caller.task_of(first)["identifier"] if one["type"]["coding"][0]["code"] == "PLAC"]
    assert [one["value"] for one in placers] == ["R-1"]
    assert "missing-placer-identifier" not in all_rules(
        outcome_in(caller.post(DOOR, bars(message_id="m-3", number=None, identifier=several)))
    )


@pytest.mark.parametrize("sent", [bars(), bser(), bars(status="draft"), bars("delete"), bars(reason="Knee pain")])
def test_preview_and_the_door_agree(caller: Caller, sent: Resource) -> None:
    previewed = caller.post("ServiceRequest/$preview", sent).json["parameter"]
    answer = caller.post(DOOR, sent)
    is_taken = previewed[0]["valueCode"] in ("routed", "review")
    assert is_taken == (answer.status_code == 200)
    if is_taken:
        decided = caller.read(f"ServiceRequest/{taken(answer)}/$decision")["parameter"]
        assert [one for one in decided if one["name"] != "outcome"] == previewed[:-1]
        assert [one["name"] for one in previewed[-1:]] == ["outcome"]


def test_message_definitions_say_what_payload_is_wanted(caller: Caller) -> None:
    found = caller.read("MessageDefinition?context=2000099999")["entry"]
    assert [one["resource"]["id"] for one in found] == ["bars-servicerequest-request", "bser-referral"]
    listed = caller.read("metadata")
    told = ["bars-servicerequest-response", "bser-referral-status"]
    modes = {"receiver": [one["resource"]["id"] for one in found], "sender": told}
    assert listed["messaging"][0]["supportedMessage"] == [
        {"mode": mode, "definition": f"{OWN}/MessageDefinition/{one}"} for mode, ids in modes.items() for one in ids
    ]
    assert listed["rest"][0]["operation"] == [
        {
            "name": "process-message",
            "definition": "http://hl7.org/fhir/OperationDefinition/MessageHeader-process-message",
        }
    ]


def document(*resources: tuple[str, Resource]) -> Resource:
    """A referral document as a Bundle of its own, with its own copy of the patient."""
    composition = {
        "resourceType": "Composition",
        "status": "final",
        "type": {"text": "Referral letter"},
        "subject": {"reference": P},
        "date": "2026-03-16",
        "author": [{"display": "Dr Invented"}],
        "title": "Letter",
        "section": [
            {"text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Seen twice.</div>'}}
        ],
    }
    entries = [(D, composition), *resources]
    return {
        "resourceType": "Bundle",
        "type": "document",
        "identifier": {"system": "urn:example:documents", "value": "1"},
        "timestamp": "2026-03-16T12:00:00Z",
        "entry": [{"fullUrl": url, "resource": one} for url, one in entries],
    }


def condition(subject: str = P) -> Resource:
    status = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}
    return {
        "resourceType": "Condition",
        "clinicalStatus": status,
        "subject": {"reference": subject},
        "code": {"text": "Cervical dystonia"},
    }


def nested(born: str, mrn: str = "943") -> Resource:
    """A message whose only reason stands in the document that came with it."""
    who = {"identifier": [{"system": "urn:example:nhs", "value": "943"}]}
    theirs = {"identifier": [{"system": "urn:example:nhs", "value": mrn}]}
    letter = document((P, patient(None, **theirs)), (S2, condition()))
    return message(
        (H, header()),
        (S, referral(reason="", subject={"reference": P})),
        (P, patient(born, **who)),
        (T, letter),
    )


@pytest.mark.parametrize(("born", "queue"), [(ADULT_BORN, Queue.ADULT), (CHILD_BORN, Queue.PEDIATRIC)])
def test_a_document_in_the_message_is_evidence(caller: Caller, born: str, queue: Queue) -> None:
    first = taken(caller.post(DOOR, nested(born)))
    assert caller.queue_of(first) == queue
    decided = caller.read(f"ServiceRequest/{first}/$decision")["parameter"]
    found = [
        part for one in decided if one["name"] == "evidence" for part in one["part"] if part["name"] == "expression"
    ]
    assert [one["valueString"] for one in found] == ["Bundle.entry[3].resource.entry[2].resource.code.text"]


def test_a_document_of_somebody_else_is_no_evidence(caller: Caller) -> None:
    assert caller.queue_of(taken(caller.post(DOOR, nested(ADULT_BORN, "944")))) == "intake-review"


def test_what_was_entered_in_error_by_message_is_masked(caller: Caller) -> None:
    first = taken(caller.post(DOOR, nested(ADULT_BORN)))
    sent = bars("update", "m-2", status="entered-in-error", id=first)
    answer = caller.post(DOOR, sent)
    assert taken(answer) == first
    served = [one["resource"] for one in json.loads(answer.data)["entry"]][-1]
    assert served["subject"] == {"display": "masked: entered in error"}
    assert "943" not in answer.text


def test_what_is_registered_of_a_client_counts_for_what_it_sends(site: Site) -> None:
    several = [{"system": "urn:example:cases", "value": "7"}, {"system": "urn:example:referrals", "value": "R-1"}]
    caller = registered(site, bars=True, placer_system="urn:example:referrals")
    first = taken(caller.post(bars(number=None, identifier=several)))
    again = caller.post(bars(message_id="m-2", number=None, identifier=several))
    assert (again.status_code, again.json["resourceType"], again.json["issue"][0]["code"]) == (
        409,
        "OperationOutcome",
        "duplicate",
    )
    assert f"ServiceRequest/{first}" in again.json["issue"][0]["diagnostics"]


def test_a_document_in_the_message_is_an_attachment_with_its_words_and_files(caller: Caller) -> None:
    sent = nested(ADULT_BORN)
    scan = base64.b64encode(b"%PDF-1.7 invented").decode()
    holder = {
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": {"reference": P},
        "content": [{"attachment": {"title": "Scan", "url": "urn:uuid:7f7b2b52-0000-4000-8000-000000000008"}}],
    }
    held = [
        {"fullUrl": "urn:uuid:7f7b2b52-0000-4000-8000-000000000007", "resource": holder},
        {
            "fullUrl": "urn:uuid:7f7b2b52-0000-4000-8000-000000000008",
            "resource": {"resourceType": "Binary", "contentType": "application/pdf", "data": scan},
        },
    ]
    sent["entry"][3]["resource"]["entry"] += held
    first = taken(caller.post(DOOR, sent))
    who = caller.read(f"ServiceRequest/{first}")["subject"]
    taken(caller.post(DOOR, bars("update", "m-2", number=None, id=first, subject=who)))
    page = caller.http.get(f"/referrals/{first}").text
    assert "Seen twice." in sections(page)["attachments"]
    links = sorted(set(re.findall(rf"/referrals/{first}/files/[0-9a-f]{{16}}", page)))
    files = {caller.http.get(link).data for link in links}
    assert b"%PDF-1.7 invented" in files
    (letter,) = files - {b"%PDF-1.7 invented"}
    assert json.loads(letter) == sent["entry"][3]["resource"]


def letter_of(subject: str | None, title: str) -> Resource:
    about = {"subject": {"reference": subject}} if subject else {}
    attachment = {"title": title, "contentType": "text/plain", "data": base64.b64encode(title.encode()).decode()}
    return {"resourceType": "DocumentReference", "status": "current", "content": [{"attachment": attachment}], **about}


def test_what_a_document_holds_of_somebody_else_is_no_attachment(caller: Caller) -> None:
    sent, other = nested(ADULT_BORN), "urn:uuid:7f7b2b52-0000-4000-8000-000000000009"
    report = {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "code": {"text": "Their scan"},
        "subject": {"reference": other},
        "presentedForm": [{"title": "Their scan"}],
    }
    theirs = patient(None, identifier=[{"system": "urn:example:nhs", "value": "944"}])
    records = [letter_of(P, "Own letter"), letter_of(None, "Of nobody"), letter_of(other, "Their letter"), report]
    held = [(other, theirs), *((f"{other[:-1]}{letter}", one) for letter, one in zip("abcd", records, strict=True))]
    sent["entry"][3]["resource"]["entry"] += [{"fullUrl": url, "resource": one} for url, one in held]
    page = caller.http.get(f"/referrals/{taken(caller.post(DOOR, sent))}").text
    listed = sections(page)["attachments"]
    titles = ("Own letter", "Of nobody", "Their letter", "Their scan")
    assert [one for one in titles if one in listed] == ["Own letter", "Of nobody"]


def test_what_a_document_says_is_shown_with_its_words_on_the_page(caller: Caller) -> None:
    first = taken(caller.post(DOOR, nested(ADULT_BORN)))
    page = caller.http.get(f"/referrals/{first}").text
    assert "<mark>Cervical dystonia</mark>" in page
    assert "Diagnosis on record" in page


def test_a_document_of_somebody_else_is_no_attachment(caller: Caller) -> None:
    first = taken(caller.post(DOOR, nested(ADULT_BORN, "944")))
    assert "attachments" not in sections(caller.http.get(f"/referrals/{first}").text)


def test_a_refused_message_can_be_taken_in_as_it_came(caller: Caller) -> None:
    booking = REQUEST | {"code": "booking-request"}
    order = referral("A-2", category=[{"text": "another"}])
    refused(caller.post(DOOR, message((H, header(event=booking)), (S2, order), (S, referral("A-1")))), 422)
    assert caller.sums() == ledger_of(refused=1)
    with caller.site.store.reading() as connection:
        (row,) = connection.execute(select(tables.ledger)).mappings()
    taking = Taking(row["received_id"], row["position"], datetime.fromisoformat(row["at"]), "It is a referral.")
    answer = take_in(caller.site, Incoming("local", "page", "r-9", b"", datetime.now(UTC)), taking)
    assert (answer.became, caller.sums()) == ("created", ledger_of(review=1))
    assert caller.read(f"ServiceRequest/{answer.id}")["identifier"][0]["value"] == "A-1"


SEVERAL = [{"system": "urn:example:cases", "value": "7"}, {"system": "urn:example:referrals", "value": "R-1"}]


def test_what_was_rejected_is_found_and_taken_in_by_the_placer_identifier_of_the_configured_system(site: Site) -> None:
    System("north").register(site.store, placer_system="urn:example:referrals")
    caller = spoken(site, placer_system="urn:example:referrals")
    sent = referral(None, "Knee pain", identifier=SEVERAL)
    assert caller.create(sent).status_code == 422
    assert caller.receipts("identifier=urn:example:referrals|R-1")[0]["disposition"] == "rejected"
    with site.store.reading() as connection:
        (row,) = connection.execute(select(tables.ledger)).mappings()
    taking = Taking(row["received_id"], row["position"], datetime.fromisoformat(row["at"]), "It is a referral.")
    answer = take_in(site, Incoming("local", "page", "r-9", b"", datetime.now(UTC)), taking)
    assert answer.became == "created"
    again = caller.create(sent | {"reasonCode": [{"text": "Cervical dystonia"}]})
    assert (again.status_code, rules(again.json)) == (409, [("other-content", "ServiceRequest.identifier")])


def test_what_is_decided_again_by_itself_still_knows_the_configured_system(site: Site) -> None:
    System("north").register(site.store, placer_system="urn:example:referrals")
    caller = spoken(site, placer_system="urn:example:referrals")
    sent = referral(None, identifier=SEVERAL, subject={"reference": "Patient/p9"})
    identity = caller.create(sent).json["id"]
    assert caller.put("Patient/p9", patient(id="p9")).status_code == 201
    assert caller.queue_of(identity) == Queue.ADULT
    outcome = caller.read(f"ServiceRequest/{identity}/$decision")["parameter"][-1]["resource"]
    assert "missing-placer-identifier" not in all_rules(outcome)
