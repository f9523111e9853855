"""Search parameters to a query: what is understood, what is refused, and that no value is ever told back."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral_service.fhir.search import (
    Criterion,
    Cursor,
    DateValue,
    Prefix,
    ReferenceValue,
    SearchQuery,
    SortKey,
    Summary,
    TextValue,
    TokenValue,
    Total,
    next_url,
    parse_search,
    self_url,
    subset,
)
from referral_service.issues import Issue, error, warning

BASE = "https://here.example/fhir"
NAMES = ["status", "status:not", "due", "patient", "identifier", "family:exact", "birthdate", "subject", "_id"]
NAMES += ["_sort", "_count", "_include", "_elements", "_cursor", "_total", "_summary", "assignee:missing"]


def query(kind: str, *parameters: tuple[str, str], lenient: bool = False) -> SearchQuery:
    found = parse_search(kind, parameters, lenient=lenient)
    assert isinstance(found, SearchQuery), found
    return found


def faults(kind: str, *parameters: tuple[str, str], lenient: bool = False) -> tuple[Issue, ...]:
    found = parse_search(kind, parameters, lenient=lenient)
    assert not isinstance(found, SearchQuery)
    return found


def rules(kind: str, *parameters: tuple[str, str]) -> list[str]:
    return [issue.rule for issue in faults(kind, *parameters)]


def test_a_search_without_parameters_is_for_the_first_twenty_by_last_change() -> None:
    assert query("Task") == SearchQuery(
        kind="Task",
        criteria=(),
        sort=(SortKey("_lastUpdated"),),
        count=20,
        include=frozenset(),
        revinclude=frozenset(),
        summary=Summary.FALSE,
        elements=frozenset(),
        total=None,
        after=None,
        parameters=(),
        warnings=(),
    )


def test_everything_that_can_be_said_is_understood() -> None:
    parameters = (
        ("status", "requested,received"),
        ("_sort", "-priority,authored-on"),
        ("_count", "500"),
        ("_include", "Task:focus"),
        ("_include", "Task:patient:Patient"),
        ("_total", "accurate"),
        ("_elements", "status,focus"),
        ("_format", "json"),
        ("_pretty", "true"),
    )
    assert query("Task", *parameters) == SearchQuery(
        kind="Task",
        criteria=(Criterion("status", (TokenValue(None, "requested"), TokenValue(None, "received"))),),
        sort=(SortKey("priority", descending=True), SortKey("authored-on")),
        count=100,
        include=frozenset({"Task:focus", "Task:patient"}),
        elements=frozenset({"status", "focus"}),
        total=Total.ACCURATE,
        parameters=(*parameters[:2], ("_count", "100"), *parameters[3:7]),
    )


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a", (TokenValue(None, "a"),)),
        ("s|a", (TokenValue("s", "a"),)),
        ("|a", (TokenValue("", "a"),)),
        ("s|", (TokenValue("s", None),)),
        ("s|a,b", (TokenValue("s", "a"), TokenValue(None, "b"))),
        (r"s\|t|a\,b\$c\\d", (TokenValue("s|t", r"a,b$c\d"),)),
        (r"a\\,b", (TokenValue(None, "a\\"), TokenValue(None, "b"))),
    ],
)
def test_a_token_is_a_code_with_or_without_its_system(text: str, values: tuple[TokenValue, ...]) -> None:
    assert query("Task", ("identifier", text)).criteria == (Criterion("identifier", values),)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026", DateValue(Prefix.EQ, "2026-01-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z")),
        ("ge2026-12", DateValue(Prefix.GE, "2026-12-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z")),
        ("lt2024-02-29", DateValue(Prefix.LT, "2024-02-29T00:00:00.000Z", "2024-03-01T00:00:00.000Z")),
        ("sa2026-03-01T10:00", DateValue(Prefix.SA, "2026-03-01T10:00:00.000Z", "2026-03-01T10:01:00.000Z")),
        ("ne2026-03-01T10:00:05Z", DateValue(Prefix.NE, "2026-03-01T10:00:05.000Z", "2026-03-01T10:00:06.000Z")),
        ("gt2026-03-01T10:00:05.1Z", DateValue(Prefix.GT, "2026-03-01T10:00:05.100Z", "2026-03-01T10:00:05.200Z")),
        ("2026-03-01T10:00:05.123456Z", DateValue(Prefix.EQ, "2026-03-01T10:00:05.123Z", "2026-03-01T10:00:05.124Z")),
        ("eb2026-03-01T00:30:00+02:00", DateValue(Prefix.EB, "2026-02-28T22:30:00.000Z", "2026-02-28T22:30:01.000Z")),
        ("le2026-03-01T00:30:00 02:00", DateValue(Prefix.LE, "2026-02-28T22:30:00.000Z", "2026-02-28T22:30:01.000Z")),
        ("le9999-12-31", DateValue(Prefix.LE, "9999-12-31T00:00:00.000Z", "9999-12-31T23:59:59.999Z")),
    ],
)
def test_a_date_covers_the_period_of_its_precision_in_utc(text: str, value: DateValue) -> None:
    assert query("Task", ("_lastUpdated", text)).criteria == (Criterion("_lastUpdated", (value,)),)


def test_a_reference_is_an_id_a_relative_or_an_absolute_address() -> None:
    parameters = [("patient", "1,Patient/1"), ("requester:Practitioner", "7"), ("focus", "https://a.example/x")]
    assert query("Task", *parameters).criteria == (
        Criterion("patient", (ReferenceValue("1", ("Patient",)), ReferenceValue("Patient/1", ("Patient",)))),
        Criterion("requester", (ReferenceValue("7", ("Practitioner",)),)),
        Criterion("focus", (ReferenceValue("https://a.example/x", ("ServiceRequest",)),)),
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("1", ["Patient/1", "Group/1"]),
        ("Patient/1", ["Patient/1"]),
        ("Patient/1/_history/2", ["Patient/1"]),
        (f"{BASE}/Patient/1", ["Patient/1"]),
        ("https://ehr.example/fhir/Patient/1", ["https://ehr.example/fhir/Patient/1"]),
        ("Device/1", []),
        ("urn:uuid:1", ["urn:uuid:1"]),
    ],
)
def test_a_reference_below_our_base_is_read_as_a_relative_one(text: str, names: list[str]) -> None:
    assert ReferenceValue(text, ("Patient", "Group")).names(BASE) == names


def test_modifiers_and_chains_are_kept_with_their_parameter() -> None:
    parameters = [
        ("status:not", "completed"),
        ("assignee:missing", "true"),
        ("assignee:contains", r"a\,b"),
        ("patient:Patient.identifier", "s|1"),
        ("focus:ServiceRequest.identifier", "2"),
    ]
    assert query("Task", *parameters).criteria == (
        Criterion("status", (TokenValue(None, "completed"),), "not"),
        Criterion("assignee", (), missing=True),
        Criterion("assignee", (TextValue("a,b"),), "contains"),
        Criterion("patient.identifier", (TokenValue("s", "1"),)),
        Criterion("focus:ServiceRequest.identifier", (TokenValue(None, "2"),)),
    )


def test_all_faults_are_told_at_once_and_no_value_is_told_back() -> None:
    found = faults(
        "Task",
        ("Jane Doe", "secret"),
        ("colour", "secret"),
        ("status:text", "secret"),
        ("due", "secret"),
        ("_count", "secret"),
        ("_sort", "secret"),
        ("_total", "secret"),
    )
    assert found == (
        error("not-supported", "search-parameter", "A parameter is not known for Task."),
        error("not-supported", "search-parameter", "The parameter colour is not known for Task."),
        error("not-supported", "search-modifier", "The parameter status of Task does not take this modifier."),
        error("value", "search-value", "The parameter due has a value that is not a date as search takes it."),
        error(
            "value",
            "search-value",
            "The parameter _sort takes, for Task, _id, _lastUpdated, authored-on, business-status, due, modified, "
            "owner, priority, status.",
        ),
        error("value", "search-value", "The parameter _count is a whole number."),
        error("value", "search-value", "The parameter _total is one of none, estimate, accurate."),
    )


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("Task", "status", ""),
        ("Task", "status", "a,"),
        ("Task", "status", "|"),
        ("Task", "identifier", "a|b|c"),
        ("Task", "identifier", "a\0"),
        ("Task", "identifier", "\ud800"),
        ("Task", "patient", "a b"),
        ("Task", "patient", "Patient/"),
        ("Task", "due", "ap2026"),
        ("Task", "due", "2026-13"),
        ("Task", "due", "2026-02-30"),
        ("Task", "due", "2026-03-01T25:00"),
        ("Task", "due", "0000"),
        ("Task", "due", "0001-01-01T00:00:00+02:00"),
        ("Task", "due", "\u0662\u0660\u0662\u0666"),
        ("Task", "status:missing", "yes"),
        ("Task", "_count", "-1"),
        ("Task", "_sort", "assignee"),
        ("Task", "_summary", "all"),
        ("Task", "_include", "*"),
        ("Task", "_include", "ServiceRequest:subject"),
        ("Task", "_revinclude", "Task:focus"),
        ("Task", "_elements", "Task.status"),
        ("Task", "_cursor", "!"),
        ("Task", "_cursor", "e30"),
        ("Task", "status", ",".join(["a"] * 501)),
    ],
)
def test_a_value_that_cannot_be_understood_is_refused(kind: str, name: str, value: str) -> None:
    assert rules(kind, (name, value)) == ["search-value"]


@pytest.mark.parametrize("parameters", [(("_count", "1"), ("_count", "2")), (("_sort", "_id"), ("_sort", "due"))])
def test_what_can_be_said_only_once_is_refused_twice(parameters: tuple[tuple[str, str], ...]) -> None:
    assert rules("Task", *parameters) == ["search-value"]


def test_summary_goes_neither_with_elements_nor_as_text_with_includes() -> None:
    assert rules("Task", ("_summary", "data"), ("_elements", "status")) == ["search-value"]
    assert rules("Task", ("_summary", "text"), ("_include", "Task:focus")) == ["search-value"]


def test_an_unknown_parameter_is_ignored_with_a_warning_when_handling_is_lenient() -> None:
    found = query("Patient", ("colour", "x"), ("family", "Ng"), lenient=True)
    words = "The parameter colour is not known for Patient and was ignored."
    assert found.warnings == (warning("not-supported", "search-parameter", words),)
    assert self_url(found, BASE) == f"{BASE}/Patient?family=Ng"


def test_an_unknown_modifier_is_a_fault_however_lenient() -> None:
    assert [issue.rule for issue in faults("Patient", ("family:text", "x"), lenient=True)] == ["search-modifier"]


@given(
    st.sampled_from(["Task", "ServiceRequest", "Patient"]),
    st.lists(
        st.tuples(st.sampled_from(NAMES) | st.text(), st.text(alphabet="aeq2T:-.Z|,\\\\ 0\x00\ud800ö/") | st.text())
    ),
    st.booleans(),
)
def test_whatever_is_sent_is_either_a_search_or_faults(
    kind: str, parameters: list[tuple[str, str]], lenient: bool
) -> None:
    found = parse_search(kind, parameters, lenient=lenient)
    if isinstance(found, SearchQuery):
        assert query(kind, *parse_qsl(urlsplit(self_url(found, BASE)).query)) == replace(found, warnings=())
    else:
        assert {issue.severity for issue in found} == {"error"}


def test_links_carry_what_was_used_escaped_for_a_url() -> None:
    found = query("Task", ("identifier", "urn:x|a&b"), ("_lastUpdated", "gt2026-01-01T00:00:00+01:00"))
    assert self_url(found, BASE) == f"{BASE}/Task?identifier=urn:x|a%26b&_lastUpdated=gt2026-01-01T00:00:00%2B01:00"


def test_a_cursor_leads_on_only_in_the_order_it_was_made_for() -> None:
    first = query("Task", ("_sort", "-due"))
    last = Cursor(("2026-03-01",), "id-1")
    link = next_url(first, BASE, last)
    text = link.rpartition("_cursor=")[2]
    second = query("Task", ("_sort", "-due"), ("_cursor", text))
    assert link == f"{BASE}/Task?_sort=-due&_cursor={text}"
    assert second == replace(first, after=last, parameters=(("_sort", "-due"), ("_cursor", text)))
    assert next_url(second, BASE, last) == link
    assert rules("Task", ("_sort", "due"), ("_cursor", text)) == ["search-value"]


REQUEST = {
    "resourceType": "ServiceRequest",
    "id": "r",
    "meta": {"versionId": "1", "tag": [{"code": "x"}]},
    "text": {"status": "generated", "div": "<div/>"},
    "status": "active",
    "_status": {"id": "s"},
    "intent": "order",
    "asNeededBoolean": True,
    "doNotPerform": False,
    "subject": {"reference": "Patient/p"},
    "note": [{"text": "n"}],
    "reasonCode": [{"text": "dystonia"}],
}
SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
IDENTITY = ["resourceType", "id", "meta"]


@pytest.mark.parametrize(
    ("summary", "elements", "names"),
    [
        (Summary.TEXT, set(), [*IDENTITY, "text", "status", "_status", "intent", "subject"]),
        (Summary.DATA, set(), [name for name in REQUEST if name != "text"]),
        (Summary.TRUE, set(), [name for name in REQUEST if name not in ("text", "note")]),
        (
            Summary.FALSE,
            {"asNeeded", "not"},
            [*IDENTITY, "status", "_status", "intent", "asNeededBoolean", "doNotPerform", "subject"],
        ),
    ],
)
def test_a_subset_holds_what_is_asked_for_and_what_must_not_be_missing(
    summary: Summary, elements: set[str], names: list[str]
) -> None:
    found = json.loads(subset(json.dumps(REQUEST), summary, elements))
    kept = {name: value for name, value in REQUEST.items() if name in names}
    assert found == {**kept, "meta": {"versionId": "1", "tag": [{"code": "x"}, SUBSETTED]}}


def test_numbers_of_a_subset_keep_their_digits() -> None:
    text = '{"resourceType":"Patient","id":"p","extension":[{"url":"u","valueDecimal":1.10}]}'
    written = '{"resourceType":"Patient","id":"p","extension":[{"url":"u","valueDecimal":1.10}],"meta":'
    assert subset(text, Summary.DATA, set()).startswith(written)


def test_what_is_not_cut_is_not_touched() -> None:
    assert subset('{ "a" : 1.0 }', Summary.FALSE, set()) == '{ "a" : 1.0 }'
