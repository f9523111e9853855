"""What cannot be taken: its status, every fault with its place, its row, and no patient's value anywhere."""

from __future__ import annotations

import json
import logging
from typing import Any
from uuid import uuid4

import pytest

from tests.shapes import Caller, Resource, all_rules, bundle, entry, ledger_of, patient, referral, rules

REFUSED, REJECTED = ledger_of(refused=1), ledger_of(rejected=1)
SENT = json.dumps(referral())
DEEP = "[" * 200 + "]" * 200
TABLE: list[tuple[str, str | bytes, int, list[tuple[str, str]], dict[str, int]]] = [
    ("nothing", b"", 400, [("empty-body", "")], REFUSED),
    ("white space", b" \n", 400, [("empty-body", "")], REFUSED),
    ("truncated", SENT[:-40], 400, [("not-json", "")], REFUSED),
    ("XML as JSON", '<ServiceRequest xmlns="http://hl7.org/fhir"/>', 400, [("not-json", "")], REFUSED),
    ("an array", "[]", 400, [("not-object", "")], REFUSED),
    ("a number", "7", 400, [("not-object", "")], REFUSED),
    ("no type", "{}", 400, [("unknown-resource-type", "")], REFUSED),
    ("UTF-16", SENT.encode("utf-16"), 400, [("not-utf8", "")], REFUSED),
    ("invalid UTF-8", SENT.encode().replace(b"Invented", b"Inv\xffnted"), 400, [("not-utf8", "")], REFUSED),
    (
        "NUL",
        SENT.replace("Dr Invented", "Dr\\u0000Invented"),
        400,
        [
            ("invalid-string", "ServiceRequest.requester.display"),
            ("invalid-value", "ServiceRequest.requester.display"),
        ],
        REFUSED,
    ),
    (
        "half a surrogate",
        SENT.replace("Dr Invented", "Dr \\ud800"),
        400,
        [("invalid-string", "ServiceRequest.requester.display")],
        REFUSED,
    ),
    (
        "NaN",
        SENT.replace('"active"', "NaN"),
        400,
        [("invalid-number", "ServiceRequest.status"), ("wrong-type", "ServiceRequest.status")],
        REFUSED,
    ),
    (
        "two birth dates",
        SENT.replace('"birthDate":', '"birthDate": "2001-01-01", "birthDate":'),
        400,
        [("duplicate-key", "ServiceRequest.contained[0].birthDate")],
        REFUSED,
    ),
    ("deep", SENT.replace('"active"', DEEP), 400, [("too-deep", "")], REFUSED),
    (
        "dangling",
        json.dumps(referral(subject={"reference": "#p"})),
        400,
        [("reference-unresolved", "ServiceRequest.subject.reference")],
        REFUSED,
    ),
    (
        "a practitioner",
        json.dumps(referral(subject={"reference": "Practitioner/1"})),
        400,
        [("reference-target", "ServiceRequest.subject.reference")],
        REFUSED,
    ),
    (
        "a group",
        json.dumps(referral(subject={"reference": "Group/1"})),
        422,
        [("subject-not-patient", "ServiceRequest.subject")],
        REFUSED,
    ),
    (
        "not to be done",
        json.dumps(referral(doNotPerform=True)),
        422,
        [("do-not-perform", "ServiceRequest.doNotPerform")],
        REJECTED,
    ),
    (
        "revoked, unknown",
        json.dumps(referral(status="revoked")),
        422,
        [("not-active", "ServiceRequest.status")],
        REJECTED,
    ),
    ("a Patient", json.dumps(patient()), 400, [("wrong-resource-type", "Patient")], REFUSED),
    (
        "three faults",
        json.dumps(referral(intent="banana", priority=7, banana=1)),
        400,
        [
            ("unknown-element", "ServiceRequest.banana"),
            ("code-not-in-value-set", "ServiceRequest.intent"),
            ("wrong-type", "ServiceRequest.priority"),
        ],
        REFUSED,
    ),
]


@pytest.mark.parametrize(("_", "body", "status", "told", "sums"), TABLE, ids=[row[0] for row in TABLE])
def test_each_bad_input_has_its_answer_and_its_row(
    caller: Caller, _: str, body: str | bytes, status: int, told: list[tuple[str, str]], sums: dict[str, int]
) -> None:
    answer = caller.create(body, X_Request_Id="bad")
    found = rules(answer.json)
    if told == [("too-deep", "")]:
        found = [(rule, "") for rule, _ in found]
    assert (answer.status_code, sorted(found)) == (status, sorted(told))
    assert caller.sums() == sums
    receipt = caller.receipts("request-id=bad")
    assert [(one["disposition"], one["outcome"]) for one in receipt] == [
        ("rejected" if sums["rejected"] else "refused", answer.json)
    ]


def test_an_unknown_resource_type_is_refused(caller: Caller) -> None:
    answer = caller.create({"resourceType": "Banana"})
    assert answer.status_code == 400
    assert "unknown-resource-type" in [rule for rule, _ in rules(answer.json)]
    assert caller.sums() == REFUSED


def test_a_birth_date_in_the_future_is_for_a_human(caller: Caller) -> None:
    answer = caller.create(referral(contained=[patient("2999-01-01", id="p")]))
    assert (answer.status_code, caller.sums()) == (201, ledger_of(review=1))


def test_a_known_referral_is_revoked(caller: Caller) -> None:
    caller.create(referral())
    answer = caller.create(referral(status="revoked"))
    assert (answer.status_code, answer.json["status"], caller.sums()) == (200, "revoked", ledger_of(routed=1))


def test_a_bare_resource_at_the_bundle_door_is_refused(caller: Caller) -> None:
    answer = caller.post("", referral())
    assert (answer.status_code, rules(answer.json)) == (400, [("wrong-resource-type", "ServiceRequest")])
    assert caller.sums() == REFUSED


@pytest.mark.parametrize("kind", ["application/fhir+xml", "text/xml", "text/plain", "application/x-ndjson", ""])
def test_other_media_types_are_only_counted(caller: Caller, kind: str) -> None:
    answer = caller.create("<ServiceRequest/>", Content_Type=kind)
    assert (answer.status_code, rules(answer.json)) == (415, [("media-type", "")])
    assert caller.sums() == ledger_of()


def test_what_is_too_large_is_only_counted(caller: Caller) -> None:
    note = [{"text": "x" * 2 * 1024 * 1024}]
    for path, sent in (("ServiceRequest", referral(note=note)), ("ServiceRequest/$preview", referral(note=note))):
        answer = caller.post(path, sent)
        assert (answer.status_code, rules(answer.json)) == (413, [("too-large", "")])
    large = caller.post("", bundle(*[entry(referral(str(n), note=note), kind) for n, kind in enumerate([None] * 6)]))
    assert (large.status_code, caller.sums()) == (413, ledger_of())


@pytest.mark.parametrize(
    "path",
    [
        "Patient/%00",
        "ServiceRequest/a%00b/$decision",
        "ServiceRequest/$receipt?request-id=%00",
        "Patient?identifier=%00",
        "Patient/%FF%FE",
        "Patient/1/_history/99999999999999999999999999",
        f"Patient/1/_history/{'9' * 5000}",
        f"Patient/{'x' * 3000}",
        "Task/'--",
    ],
)
def test_strange_addresses_are_told_so(caller: Caller, path: str) -> None:
    answer = caller.get(path)
    assert answer.status_code in (400, 404), answer.text
    assert answer.json["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(
    "headers",
    [
        {"If_None_Exist": "identifier=s|%00"},
        {"Idempotency_Key": "k" * 5000},
        {"X_Request_Id": "\x7f" * 300},
        {"Prefer": "return=banana"},
    ],
)
def test_strange_headers_are_no_fault_of_the_server(caller: Caller, headers: dict[str, str]) -> None:
    assert caller.create(referral(), **headers).status_code in (201, 400)


CANARY = "Zyxcanary"


def _with_canaries(**more: Any) -> Resource:
    who = patient(
        id="p",
        name=[{"family": CANARY, "given": [f"{CANARY}a"]}],
        identifier=[{"system": "urn:example:nhs", "value": f"{CANARY}1"}],
        address=[{"line": [f"{CANARY} Street"]}],
    )
    return referral(contained=[who], note=[{"text": f"{CANARY} said"}], **more)


def test_no_value_of_a_patient_stands_in_an_outcome_or_a_log(caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    text = json.dumps(_with_canaries())
    sent = [
        text,
        text[:-30],
        text.replace('"given"', f'"{CANARY} given"'),
        text.replace('"family":', f'"family": "{CANARY}", "family":'),
        text.replace('"1970-05-01"', f'"{CANARY}"'),
        text.replace('"active"', f'"{CANARY}"'),
        json.dumps(_with_canaries(status="draft")),
        json.dumps(_with_canaries(subject={"reference": f"#{CANARY}"})),
        json.dumps(_with_canaries(subject={"reference": f"Group/{CANARY}"})),
        json.dumps(_with_canaries(reasonCode=[{"text": f"Torticollis, {CANARY}"}], identifier=[])),
        json.dumps(_with_canaries(priority="stat")),
        json.dumps(_with_canaries(resourceType=CANARY)),
    ]
    for body in sent:
        answer = caller.create(body, Prefer="return=OperationOutcome")
        assert CANARY not in answer.text
        batch = f'{{"resourceType":"Bundle","type":"batch","entry":[{{"request":{{"method":"POST","url":"{CANARY}"}},'
        assert CANARY not in caller.post("", f'{batch}"resource":{body}}}]}}').text
        assert CANARY not in caller.post("ServiceRequest/$validate", body).text
    assert CANARY not in caplog.text
    sums = caller.sums()
    assert sums["received"] == sum(sums.values()) - sums["received"]


def test_a_fault_that_was_not_foreseen_says_nothing_of_what_was_sent(
    caller: Caller, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr("referral_service.intake.judge_referrals", fails)
    made = str(uuid4())
    answer = caller.create(_with_canaries(), X_Request_Id=made)
    assert (answer.status_code, rules(answer.json)) == (500, [("unforeseen", "")])
    assert answer.json["issue"][0]["diagnostics"].endswith(f"Quote request id {made}.")
    named = caller.create(_with_canaries(), X_Request_Id="John.Smith")
    assert (named.headers["X-Request-Id"], "Smith" in named.text) == ("John.Smith", False)
    assert CANARY not in answer.text + caplog.text
    assert "Traceback" not in caplog.text
    assert caller.sums() == ledger_of()


@pytest.mark.parametrize(
    "name", ["John Smith", "Smith", "mrn9434765919", "smith_john", "a" * 65, "né", "a\u202eb", "a<b>", "a.b[0]", "a\nb"]
)
def test_a_name_that_no_element_can_have_stands_in_no_error(caller: Caller, name: str) -> None:
    inside = referral(contained=[patient(id="p", **{name: {name: 1}})], subject={"reference": "#p"})
    for body in (referral(**{name: 1}), inside):
        answer = caller.create(body)
        assert (answer.status_code, "unknown-element" in all_rules(answer.json)) == (400, True)
        assert name not in json.dumps(answer.json, ensure_ascii=False)
        assert json.dumps(name)[1:-1] not in answer.text
    twice = json.dumps(referral())[:-1] + f", {json.dumps(name)}: 1, {json.dumps(name)}: 2}}"
    answer = caller.create(twice)
    assert (answer.status_code, name in json.dumps(answer.json, ensure_ascii=False)) == (400, False)
    searched = caller.http.get("/fhir/Patient", query_string={name: "1"})
    expected = name in ("Smith", "smith_john")
    assert (searched.status_code, name in searched.get_json(force=True)["issue"][0]["diagnostics"]) == (400, expected)
