"""Bytes to JSON: what is refused, where it says the fault is, and that nothing is lost on the way."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral_service.fhir.parse import Number, Parsed, dump, parse


def findings(body: bytes) -> list[tuple[str, str]]:
    return [(issue.expression, issue.rule) for issue in parse(body).issues]


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"", "empty-body"),
        (b" \r\n\t", "empty-body"),
        (b"\xef\xbb\xbf", "empty-body"),
        (b'{"a":"\xe9"}', "not-utf8"),
        (b"\xff\xfe{\x00}\x00", "not-utf8"),
        (b'{"a":"\xed\xa0\x80"}', "not-utf8"),
        (b"{", "not-json"),
        (b'{"a":1', "not-json"),
        (b'{"a":"b', "not-json"),
        (b'{"a":1}}', "not-json"),
        (b'{"a":1} {"a":1}', "not-json"),
        (b'{"a":1,}', "not-json"),
        (b"{'a':1}", "not-json"),
        (b'{"a":01}', "not-json"),
        (b'{"a":.5}', "not-json"),
        (b'{"a":"x\ny"}', "not-json"),
        (b'{"a":"\\x"}', "not-json"),
        (b'{"a":tru}', "not-json"),
        (b'{/* */"a":1}', "not-json"),
        (b"\x00", "not-json"),
        (b"{\x00}\x00", "not-json"),
        (b"[]", "not-object"),
        (b'[{"resourceType":"Patient"}]', "not-object"),
        (b'"Patient"', "not-object"),
        (b"3", "not-object"),
        (b"null", "not-object"),
    ],
)
def test_a_body_that_is_no_json_object_has_one_fatal_fault_and_no_value(body: bytes, rule: str) -> None:
    parsed = parse(body)
    assert [(issue.rule, issue.expression, issue.severity) for issue in parsed.issues] == [(rule, "", "fatal")]
    assert parsed.value is None


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{\n  "name": Muster\n}', "line 2, column 11"),
        (b'{"name": "Muster"} Muster', "line 1, column 20"),
        (b'{\n"a":1,\n"Muster" 2}', "line 3, column 10"),
    ],
)
def test_a_syntax_fault_tells_its_place_and_never_the_content(body: bytes, place: str) -> None:
    (issue,) = parse(body).issues
    assert place in issue.diagnostics
    assert "Muster" not in issue.diagnostics


def test_a_byte_order_mark_is_ignored() -> None:
    assert parse(b'\xef\xbb\xbf{"a":1}') == Parsed({"a": 1}, ())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"resourceType":"Patient","birthDate":"1","birthDate":"2"}', ["Patient.birthDate"]),
        ('{"resourceType":"Patient","a":1,"a":1,"a":1,"b":2,"b":2}', ["Patient.a", "Patient.b"]),
        ('{"a":1,"a":2}', ["a"]),
        ('{"resourceType":7,"a":{"b":1,"b":2}}', ["a.b"]),
        (
            '{"resourceType":"Bundle","entry":[{},{"resource":{"birthDate":"1","birthDate":"2"}}]}',
            ["Bundle.entry[1].resource.birthDate"],
        ),
        (
            '{"resourceType":"Patient","name":[{"family":"a","family":"b"}],"name":[{"use":"usual","use":"old"}]}',
            ["Patient.name", "Patient.name[0].family", "Patient.name[0].use"],
        ),
        ('{"resourceType":"Patient","_birthDate":{},"_birthDate":{}}', ["Patient.birthDate"]),
        ('{"resourceType":"Patient","\\u0061ctive":true,"active":false}', ["Patient.active"]),
        ('{"resourceType":"Patient","Anna Muster":1,"Anna Muster":2}', ["Patient"]),
    ],
)
def test_every_name_given_twice_is_told_with_its_expression(body: str, expected: list[str]) -> None:
    assert findings(body.encode()) == [(each, "duplicate-key") for each in expected]


def test_the_value_is_kept_beside_faults_that_leave_it_readable() -> None:
    parsed = parse(b'{"resourceType":"Patient","active":true,"active":false}')
    assert parsed.value == {"resourceType": "Patient", "active": False}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"a":NaN}', [("a", "invalid-number")]),
        ('{"a":[1,Infinity,{"b":-Infinity}]}', [("a[1]", "invalid-number"), ("a[2].b", "invalid-number")]),
        ('{"a":"\\ud800"}', [("a", "invalid-string")]),
        ('{"a":["x","\\udfff\\ud83d"]}', [("a[1]", "invalid-string")]),
        ('{"a":"\\u0000"}', [("a", "invalid-string")]),
        ('{"b":{"a\\u0000":1}}', [("b", "invalid-string")]),
        ('{"b":{"\\ud800":1}}', [("b", "invalid-string")]),
        ('{"a":"\\ud83d\\ude00","b":"\\\\u0000"}', []),
        (
            '{"resourceType":"Patient","a":NaN,"b":"\\u0000","c":{"d":1,"d":2}}',
            [("Patient.a", "invalid-number"), ("Patient.b", "invalid-string"), ("Patient.c.d", "duplicate-key")],
        ),
        ('["\\u0000"]', [("", "not-object"), ("[0]", "invalid-string")]),
    ],
)
def test_all_faults_of_a_readable_text_are_told_at_once(body: str, expected: list[tuple[str, str]]) -> None:
    assert findings(body.encode()) == expected


@pytest.mark.parametrize(
    ("body", "rules"),
    [
        (nested(64), []),
        (nested(65), ["too-deep"]),
        (b'{"a":' + b"[" * 63 + b"]" * 63 + b"}", []),
        (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", ["too-deep"]),
        (b'{"a":"' + b"[{" * 500 + b'"}', []),
        (b'{"a":[' + b"[],{}," * 500 + b"1]}", []),
        (nested(900), ["too-deep"]),
        (b"[" * 100_000, ["too-deep"]),
        (b"[" * 100_000 + b"]" * 100_000, ["too-deep"]),
        (b'{"a":' * 100_000, ["too-deep"]),
    ],
)
def test_nesting_deeper_than_64_is_refused(body: bytes, rules: list[str]) -> None:
    parsed = parse(body)
    assert [issue.rule for issue in parsed.issues] == rules
    assert (parsed.value is None) == bool(rules)


def test_a_body_of_nothing_but_faults_is_cut_short() -> None:
    parsed = parse(b'{"a":[' + b",".join([b'{"b":1,"b":1}'] * 20_000) + b"]}")
    assert len(parsed.issues) == 10_001
    assert parsed.issues[-1].rule == "too-many-issues"


@pytest.mark.parametrize(
    "literal", ["0", "-7", "1.50", "1e2", "1E+2", "-0", "0.0", "-0.00", "9" * 15, "9" * 16, "1" * 5000, "1e999999"]
)
def test_numbers_keep_their_digits(literal: str) -> None:
    body = f'{{"a":[{literal},{{"b":{literal}}}]}}'.encode()
    parsed = parse(body)
    assert parsed.issues == ()
    assert parsed.value is not None
    assert dump(parsed.value) == body


def test_small_whole_numbers_are_ints_and_all_others_are_numbers() -> None:
    assert parse(b'{"a":12,"b":1.5}') == Parsed({"a": 12, "b": Number("1.5")}, ())


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(body: bytes) -> None:
    assert isinstance(parse(body), Parsed)


@given(st.text(alphabet='{}[]:,"\\u0dD8aeE+-.19NaInfityrul \n\ud7ff', max_size=60))
def test_no_text_that_looks_like_json_makes_it_raise(text: str) -> None:
    assert isinstance(parse(text.encode()), Parsed)


_TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc_", max_size=3), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text("abc", max_size=3), _TREES, max_size=4))
def test_what_is_dumped_reads_as_what_came_in(tree: dict[str, object]) -> None:
    parsed = parse(json.dumps(tree).encode())
    assert parsed.issues == ()
    assert parsed.value is not None
    assert json.loads(dump(parsed.value)) == tree
