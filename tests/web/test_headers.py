"""What comes with an answer: ids, versions, places, preferences, formats, and what a browser must not do."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from referral_service.app import application
from referral_service.intake import Site
from tests.callers import Doors, placer
from tests.shapes import Caller, all_rules, patient, referral, rules

NOT_SENT = ["missing-onset", "missing-medicines", "missing-family-history", "missing-contact"]
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def test_request_ids_come_back_and_are_made_when_absent(caller: Caller) -> None:
    given = caller.create(referral(), X_Request_Id="r-1", X_Correlation_Id="c-1")
    assert (given.headers["X-Request-Id"], given.headers["X-Correlation-Id"]) == ("r-1", "c-1")
    made = caller.get("Patient/none")
    assert UUID.fullmatch(made.headers["X-Request-Id"])
    assert made.headers["X-Correlation-Id"] == made.headers["X-Request-Id"]
    odd = caller.get("Patient/none", X_Request_Id="a b<script>")
    assert UUID.fullmatch(odd.headers["X-Request-Id"])


def test_a_create_says_where_its_resource_is_and_at_which_version(caller: Caller) -> None:
    answer = caller.create(referral())
    identity = answer.json["id"]
    assert answer.headers["Location"] == f"http://localhost/fhir/ServiceRequest/{identity}/_history/1"
    assert answer.headers["ETag"] == 'W/"1"'
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer.headers["Last-Modified"])
    assert answer.headers["Content-Type"] == "application/fhir+json; charset=utf-8"
    task = caller.task_of(identity)["id"]
    assert answer.headers["Link"] == f'<http://localhost/fhir/Task/{task}>; rel="related"'


def test_the_host_header_is_never_trusted(site: Site) -> None:
    caller = Doors(site).of(placer("north"))
    assert caller.create(referral(), Host="evil.example").headers["Location"].startswith("http://localhost/fhir/")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(("127.0.0.1:8080", 200), ("localhost", 200), ("LOCALHOST:1", 200), ("[::1]:8080", 200)),
        *(("referrals.example:8443", 200), ("evil.example", 400), ("127.0.0.1.evil.example", 400), ("[", 400)),
        *(("127.0.0.1@evil.example", 400), ("evil.example#@localhost", 400), ("", 400), ("10.0.0.1", 400)),
    ],
)
def test_where_nobody_is_asked_only_names_of_this_machine_are_answered(site: Site, host: str, status: int) -> None:
    client = application(replace(site, public_url="https://referrals.example")).test_client()
    paths = ("/fhir/Patient", "/", "/static/pages.css", "/fhir/metadata")
    assert {client.get(path, headers={"Host": host}, buffered=True).status_code for path in paths} == {status}
    assert client.get("/health/live", headers={"Host": host}).status_code == 200


def test_prefer_says_what_comes_back(caller: Caller) -> None:
    minimal = caller.create(referral("A-1"), Prefer="return=minimal")
    assert (minimal.status_code, minimal.data) == (201, b"")
    assert "html" not in minimal.headers.get("Content-Type", "")
    assert minimal.headers["Location"].endswith("/_history/1")
    outcome = caller.create(referral("A-2", reason=""), Prefer="respond-async, return=OperationOutcome")
    assert all_rules(outcome.json) == [
        "indication-undetermined",
        "missing-reason",
        *NOT_SENT,
        "completeness",
        "held-for-review",
    ]
    whole = caller.create(referral("A-3"), Prefer='return="representation"')
    assert whole.json["resourceType"] == "ServiceRequest"


@pytest.mark.parametrize("etag", ['W/"1"', '"1"', 'W/"7", W/"1"', "*"])
def test_what_the_caller_has_already_is_not_sent_again(caller: Caller, etag: str) -> None:
    identity = caller.post("Patient", patient()).json["id"]
    same = caller.get(f"Patient/{identity}", If_None_Match=etag)
    assert (same.status_code, same.data, same.headers["ETag"]) == (304, b"", 'W/"1"')
    assert caller.get(f"Patient/{identity}", If_None_Match='W/"2"').status_code == 200


@pytest.mark.parametrize(
    ("accept", "query", "status"),
    [
        ("application/fhir+json", "", 200),
        ("application/json", "", 200),
        ("application/fhir+json; fhirVersion=4.0", "", 200),
        ("*/*", "", 200),
        ("application/*;q=0.5, text/html", "", 200),
        ("application/fhir+xml", "", 406),
        ("text/html", "", 406),
        ("application/json;q=0", "", 406),
        ("application/fhir+xml", "?_format=json", 200),
        ("application/fhir+xml", "?_format=application/fhir%2Bjson", 200),
        ("application/fhir+json", "?_format=xml", 406),
        ("application/fhir+json", "?_format=text/html", 406),
    ],
)
def test_only_json_is_given(caller: Caller, accept: str, query: str, status: int) -> None:
    identity = caller.post("Patient", patient()).json["id"]
    answer = caller.get(f"Patient/{identity}{query}", Accept=accept)
    assert answer.status_code == status
    if status == 406:
        assert rules(answer.json) == [("not-acceptable", "")]


@pytest.mark.parametrize(
    "kind", ["application/fhir+json", "application/json; charset=utf-8", "application/fhir+json; fhirVersion=4.0"]
)
def test_both_media_types_are_taken_with_any_parameters(caller: Caller, kind: str) -> None:
    assert caller.create(referral(), Content_Type=kind).status_code == 201


def test_pretty_changes_nothing_but_the_lines(caller: Caller) -> None:
    body = json.dumps(referral(note=[{"text": "  two  spaces "}])).encode()
    identity = caller.create(body).json["id"]
    plain = caller.get(f"ServiceRequest/{identity}")
    pretty = caller.get(f"ServiceRequest/{identity}?_pretty=true")
    assert pretty.json == plain.json
    assert pretty.text.startswith('{\n  "resourceType"')
    assert caller.get("Patient/none?_pretty=true").text.startswith("{\n")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "ServiceRequest/1", {"GET", "PUT"}),
        ("DELETE", "Patient/1", {"GET", "PUT"}),
        ("POST", "Task", {"GET"}),
        ("POST", "AuditEvent", {"GET"}),
        ("POST", "HealthcareService", {"GET"}),
        ("PUT", "ServiceRequest", {"GET", "POST"}),
    ],
)
def test_a_method_that_is_not_taken_is_told_which_are(
    caller: Caller, method: str, path: str, allowed: set[str]
) -> None:
    answer = caller.http.open(f"/fhir/{path}", method=method, data="{}", content_type="application/fhir+json")
    assert (answer.status_code, rules(answer.json)) == (405, [("method-not-allowed", "")])
    assert allowed <= {name.strip() for name in answer.headers["Allow"].split(",")}


@pytest.mark.parametrize("path", ["Patient/none", "ServiceRequest/none/$decision", "Claim/1", "nowhere/at/all"])
def test_what_is_not_there_is_an_outcome(caller: Caller, path: str) -> None:
    answer = caller.get(path)
    assert (answer.status_code, rules(answer.json)) == (404, [("not-found", "")])


@pytest.mark.parametrize("path", ["/fhir/Patient/none", "/fhir/metadata", "/fhir", "/nowhere"])
def test_every_answer_says_what_a_browser_must_not_do(caller: Caller, path: str) -> None:
    headers = caller.http.get(path).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    for directive in ("frame-ancestors", "object-src", "base-uri"):
        assert f"{directive} 'none'" in headers["Content-Security-Policy"]
    assert "camera=(), " in headers["Permissions-Policy"]
    assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Strict-Transport-Security" not in headers
    assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"], headers["Cache-Control"]) == (
        "nosniff",
        "same-origin",
        "no-store",
    )


def test_a_browser_is_told_to_stay_with_https_where_that_is_spoken(site: Site) -> None:
    client = application(replace(site, public_url="https://referrals.example")).test_client()
    assert client.get("/fhir/metadata").headers["Strict-Transport-Security"] == "max-age=31536000"


def test_a_head_is_a_get_without_a_body(caller: Caller) -> None:
    identity = caller.post("Patient", patient()).json["id"]
    answer = caller.http.head(f"/fhir/Patient/{identity}")
    assert (answer.status_code, answer.data, answer.headers["ETag"]) == (200, b"", 'W/"1"')
