"""Formats of primitive values and codes of required value sets."""

from __future__ import annotations

from typing import Any

import pytest

from referral_service.fhir.conformance import check
from referral_service.fhir.parse import Number
from tests.fhir.conformance.r4_samples import CONDITION, DIV, PATIENT, REFERRAL, Finding, changed, findings

INVALID, WRONG, EMPTY = "invalid-value", "wrong-type", "empty-value"
LONG = "x" * (1024 * 1024)

CASES: list[tuple[str, list[Any], list[Any]]] = [
    (
        "date",
        ["2024", "2024-02", "2024-02-29", "0001-01-01", "9999-12-31"],
        [
            "2023-02-29",
            "2024-04-31",
            "2024-13",
            "2024-00",
            "0000",
            "24",
            "2024-2-3",
            "2024-02-29T10:00:00Z",
            "2024-02-30 ",
            "\u0662\u0660\u0662\u0664",
        ],
    ),
    (
        "dateTime",
        [
            "2024",
            "2024-02-29",
            "2024-02-29T23:59:60Z",
            "2024-02-29T10:00:00.123456789+14:00",
            "2024-02-29T10:00:00-13:59",
        ],
        [
            "2024-02-29T10:00Z",
            "2024-02-29T10:00:00",
            "2024-02-29T24:00:00Z",
            "2024-02-30T10:00:00Z",
            "2024-02-29T10:00:00+14:01",
            "2024-02-29 10:00:00Z",
            "2024-02-29T10:00:00z",
        ],
    ),
    (
        "instant",
        ["2024-02-29T10:00:00Z", "2024-02-29T10:00:00.1-05:00"],
        ["2024", "2024-02-29", "2024-02-30T10:00:00Z", "2024-02-29T10:00:00"],
    ),
    ("time", ["00:00:00", "23:59:60.5"], ["24:00:00", "10:00", "10:00:00Z"]),
    ("id", ["a", "A-1.b", "x" * 64], ["a b", "a_b", "x" * 65, "a\n", "\u00e4"]),
    ("code", ["a", "a b", "a-b"], [" a", "a ", "a  b", "a\tb", " ", "a\n"]),
    ("uri", ["a", "urn:oid:1.2", "http://a/b?c#d"], ["a b", " a", "a\n"]),
    ("url", ["http://a"], ["a b"]),
    ("canonical", ["http://a|1"], ["a b"]),
    (
        "uuid",
        ["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"],
        ["urn:uuid:C757873D-EC9A-4326-A141-556F43239520", "c757873d-ec9a-4326-a141-556f43239520"],
    ),
    ("oid", ["urn:oid:1.2.36"], ["1.2.36", "urn:oid:3.1", "urn:oid:1.02", "urn:oid:1"]),
    ("base64Binary", ["QQ==", "QUJD\nQUJD", " QUI= "], ["QQ=", "Q===", "Q!==", "=QQ=", " "]),
    ("string", ["a", " ", "a\tb\r\nc", "\u00e4\U0001f600", LONG], ["a\x01", "\x0b", LONG + "x"]),
    ("markdown", ["# a"], ["a\x1f"]),
    (
        "integer",
        [0, -1, 2**31 - 1, -(2**31), Number("-0")],
        [2**31, -(2**31) - 1, Number("1.0"), Number("1e2"), Number("9" * 30)],
    ),
    ("positiveInt", [1, 2**31 - 1], [0, -1, 2**31, Number("1.0"), Number("-0")]),
    ("unsignedInt", [0, 1], [-1, 2**31, Number("0.0")]),
    ("decimal", [0, -5, Number("1.50"), Number("1e2"), Number("9" * 40)], []),
    ("boolean", [True, False], []),
]


def valued(type_name: str, value: Any) -> dict[str, Any]:
    name = "value" + type_name[0].upper() + type_name[1:]
    return {"resourceType": "Basic", "code": {"text": "x"}, "extension": [{"url": "http://a", name: value}]}


def place(type_name: str) -> str:
    return f"Basic.extension[0].value{type_name[0].upper()}{type_name[1:]}"


@pytest.mark.parametrize(("type_name", "value"), [(name, each) for name, good, _ in CASES for each in good])
def test_values_in_the_format_of_their_type_are_accepted(type_name: str, value: Any) -> None:
    assert findings(valued(type_name, value)) == []


@pytest.mark.parametrize(("type_name", "value"), [(name, each) for name, _, bad in CASES for each in bad])
def test_values_in_another_format_are_refused(type_name: str, value: Any) -> None:
    assert findings(valued(type_name, value)) == [(place(type_name), INVALID)]


@pytest.mark.parametrize("type_name", [name for name, good, _ in CASES if isinstance(good[0], str)])
@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (1, WRONG),
        (True, WRONG),
        (Number("1.5"), WRONG),
        ([], WRONG),
        ({}, WRONG),
        ("", EMPTY),
        (None, "misplaced-null"),
    ],
)
def test_text_types_take_json_strings_only(type_name: str, value: Any, rule: str) -> None:
    assert findings(valued(type_name, value)) == [(place(type_name), rule)]


@pytest.mark.parametrize("type_name", ["integer", "positiveInt", "unsignedInt", "decimal"])
@pytest.mark.parametrize("value", ["1", True, [1], {"a": 1}, 1.5])
def test_number_types_take_json_numbers_only(type_name: str, value: Any) -> None:
    assert findings(valued(type_name, value)) == [(place(type_name), WRONG)]


@pytest.mark.parametrize("value", ["true", 0, 1, Number("1.0"), []])
def test_a_boolean_is_true_or_false(value: Any) -> None:
    assert findings(valued("boolean", value)) == [(place("boolean"), WRONG)]


@pytest.mark.parametrize(
    ("div", "expected"),
    [
        (DIV, []),
        ("\n  " + DIV + "\n", []),
        ("<p>x</p>", [("Patient.text.div", "narrative")]),
        ("x", [("Patient.text.div", "narrative")]),
        ("", [("Patient.text.div", EMPTY)]),
        (7, [("Patient.text.div", WRONG)]),
        (None, [("Patient.text.div", "misplaced-null")]),
    ],
)
def test_a_narrative_is_an_xhtml_div(div: Any, expected: list[Finding]) -> None:
    payload = {"resourceType": "Patient", "text": {"status": "generated", "div": div}}
    assert findings(payload) == expected


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("id",), "a_b", "Patient.id"),
        (("meta",), {"lastUpdated": "2024-02-30T10:00:00Z"}, "Patient.meta.lastUpdated"),
        (("name", 0, "given", 1), "a\x00b", "Patient.name[0].given[1]"),
        (("name", 0, "id"), "a b", "Patient.name[0].id"),
    ],
)
def test_ids_and_times_of_every_resource_have_their_format(
    path: tuple[str | int, ...], value: Any, expected: str
) -> None:
    assert findings(changed(PATIENT, (path, value))) == [(expected, INVALID)]


CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"


@pytest.mark.parametrize(
    ("sample", "path", "value", "expected"),
    [
        (REFERRAL, ("status",), "banana", ["ServiceRequest.status"]),
        (REFERRAL, ("status",), "Active", ["ServiceRequest.status"]),
        (REFERRAL, ("priority",), "high", ["ServiceRequest.priority"]),
        (REFERRAL, ("intent",), "proposal", []),
        (PATIENT, ("gender",), "f", ["Patient.gender"]),
        (PATIENT, ("name", 0, "use"), "birth", ["Patient.name[0].use"]),
        (PATIENT, ("photo",), [{"contentType": "image/unheard-of"}], []),
        (CONDITION, ("clinicalStatus", "coding", 0, "code"), "banana", ["Condition.clinicalStatus"]),
        (CONDITION, ("clinicalStatus", "coding", 0, "system"), "http://snomed.info/sct", ["Condition.clinicalStatus"]),
        (CONDITION, ("clinicalStatus",), {"text": "active"}, ["Condition.clinicalStatus"]),
        (CONDITION, ("clinicalStatus", "coding"), [{"code": "x"}, {"system": CLINICAL, "code": "active"}], []),
        (CONDITION, ("severity",), {"coding": [{"system": "http://a", "code": "own"}]}, []),
    ],
)
def test_codes_of_required_bindings_are_from_the_set(
    sample: dict[str, Any], path: tuple[str | int, ...], value: Any, expected: list[str]
) -> None:
    assert findings(changed(sample, (path, value))) == [(each, "code-not-in-value-set") for each in expected]


def test_a_short_value_set_is_spelled_out_and_the_code_sent_is_not() -> None:
    (issue,) = check(changed(REFERRAL, (("status",), "banana")))
    assert issue.diagnostics == (
        "The code must be one of: draft, active, on-hold, revoked, completed, entered-in-error, unknown."
    )
    assert (issue.code, issue.severity) == ("code-invalid", "error")


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("code", "a " * 200_000),
        ("code", "a" * 400_000 + "  "),
        ("base64Binary", "QUJD " * 200_000 + "!"),
        ("oid", "urn:oid:1" + ".1" * 200_000 + "."),
        ("string", " " * 900_000 + "\x01"),
        ("dateTime", "2024-02-29T10:00:00." + "1" * 400_000),
    ],
)
def test_long_values_are_judged_whole(type_name: str, value: str) -> None:
    assert findings(valued(type_name, value)) == [(place(type_name), INVALID)]


def test_diagnostics_hold_no_value_that_came_in() -> None:
    secret = "Xanthippe"
    payload = changed(
        REFERRAL,
        (("status",), secret),
        (("authoredOn",), secret),
        (("subject",), {"reference": f"{secret}/1", "type": secret}),
        (("contained", 0, "birthDate"), secret),
        (("contained", 0, "gender"), f"{secret} 1"),
        ((f"{secret} Muster",), 1),
        (("note", 0, "text"), {"value": secret}),
        (("requester", "reference"), f"#{secret}"),
    )
    issues = check(payload)
    assert len(issues) >= 9
    assert not any(secret in issue.diagnostics or secret in issue.expression for issue in issues)
