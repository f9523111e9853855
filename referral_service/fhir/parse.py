"""Bytes to JSON, strictly, with every number's digits kept.

A referral is a legal record, so what JSON leaves to the reader is decided here: one value a name, UTF-8 only, numbers
as they were written (https://hl7.org/fhir/R4/json.html, RFC 8259). Every fault is a value; nothing is raised.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

import orjson

from referral_service.issues import Issue, Severity, error

MAX_DEPTH = 64
SAFE_DIGITS = 15
"""Integers of this many digits survive every JSON reader; longer ones are kept as text."""


MAX_ISSUES = 10_000
"""A body made of nothing but faults must not fill the memory with descriptions of them."""


class Number:
    """A number that would lose digits in a float or an int: ``1.50``, ``1e2``, ``-0``, very long integers."""

    __slots__ = ("literal",)

    def __init__(self, literal: str) -> None:
        self.literal = literal

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and self.literal == other.literal

    def __hash__(self) -> int:
        return hash(self.literal)

    def __repr__(self) -> str:
        return f"Number({self.literal!r})"


Json: TypeAlias = "dict[str, Json] | list[Json] | str | bool | int | Number | None"


@dataclass(frozen=True, slots=True)
class Parsed:
    """``value`` is there to be looked at further, also when ``issues`` hold errors; ``None`` when nothing can be."""

    value: Json | None
    issues: tuple[Issue, ...]


def dump(value: Json) -> bytes:
    return orjson.dumps(value, default=_literal)


def dump_sorted(value: Json) -> bytes:
    """The same with the names of every object in order: what says the same reads the same."""
    return orjson.dumps(value, default=_literal, option=orjson.OPT_SORT_KEYS)


def _literal(value: object) -> orjson.Fragment:
    if isinstance(value, Number):
        return orjson.Fragment(value.literal)
    raise TypeError(type(value).__name__)


class _Pairs(list[tuple[str, Any]]):
    """An object with every name it was sent with, also those sent twice."""


class _NotANumber(Number):
    """``NaN`` and ``Infinity``, which JSON does not have."""


def _integer(literal: str) -> int | Number:
    return int(literal) if len(literal) <= SAFE_DIGITS and literal != "-0" else Number(literal)


class _Reading:
    """One pass of the standard library's scanner, noting cheaply whether a slower second look is needed."""

    __slots__ = ("suspect",)

    def __init__(self) -> None:
        self.suspect = False

    def read(self, text: str) -> Any:
        return json.loads(
            text,
            object_pairs_hook=self._object,
            parse_float=Number,
            parse_int=_integer,
            parse_constant=self._constant,
        )

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            self.suspect = True
        return found

    def _constant(self, literal: str) -> Number:
        self.suspect = True
        return _NotANumber(literal)


_ESCAPED_TROUBLE = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")
_BOM = b"\xef\xbb\xbf"


def parse(body: bytes) -> Parsed:
    """Every fault at once where the text is JSON at all; otherwise the one fault that ends the reading."""
    body = body.removeprefix(_BOM)
    if not body.strip(b" \t\r\n"):
        return _refused("structure", "empty-body", "The body is empty; a FHIR resource in JSON is expected.")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as fault:
        return _refused("structure", "not-utf8", f"The body is not UTF-8: byte {fault.start + 1} cannot be read.")
    try:
        return _read(body, text)
    except json.JSONDecodeError as fault:
        return _refused("structure", "not-json", _where(fault, len(text)))
    except RecursionError:
        return Parsed(None, (_too_deep(""),))


def _read(body: bytes, text: str) -> Parsed:
    reading = _Reading()
    value = reading.read(text)
    if reading.suspect or _ESCAPED_TROUBLE.search(body) or _may_be_deep(body, value):
        return _looked_at_again(text, value)
    return _judged(value, [])


def _judged(value: Any, issues: list[Issue]) -> Parsed:
    if isinstance(value, dict):
        return Parsed(value, tuple(issues))
    kind = "array" if isinstance(value, list) else "single value"
    fault = error("structure", "not-object", f"The body is a JSON {kind}; a FHIR resource is a JSON object.")
    return Parsed(None, (_fatal(fault), *issues))


def _refused(code: str, rule: str, diagnostics: str) -> Parsed:
    return Parsed(None, (Issue(Severity.FATAL, code, rule, diagnostics),))


def _fatal(issue: Issue) -> Issue:
    return Issue(Severity.FATAL, issue.code, issue.rule, issue.diagnostics, issue.expression)


def too_many(expression: str) -> Issue:
    words = f"More than {MAX_ISSUES} faults; the rest of the body was not looked at."
    return error("too-costly", "too-many-issues", words, expression)


def _too_deep(expression: str) -> Issue:
    words = f"Objects and arrays are nested more than {MAX_DEPTH} levels deep."
    return Issue(Severity.FATAL, "too-costly", "too-deep", words, expression)


_EXPECTATIONS = (
    ("Expecting property name", "a name in double quotes is expected"),
    ("Illegal trailing comma", "a comma stands before a closing bracket"),
    ("Expecting ',' delimiter", "a comma or a closing bracket is expected"),
    ("Expecting ':' delimiter", "a colon is expected"),
    ("Expecting value", "a value is expected"),
    ("Invalid control character", "a control character in a string must be escaped"),
    ("Invalid \\escape", "an escape in a string is not one of JSON's"),
    ("Invalid \\uXXXX escape", "an escape in a string is not one of JSON's"),
    ("Extra data", "something follows the end of the JSON value"),
)


def _where(fault: json.JSONDecodeError, length: int) -> str:
    """Line and column, in our own words: the reader's could quote the text."""
    place = f"line {fault.lineno}, column {fault.colno}"
    if fault.pos >= length or fault.msg.startswith("Unterminated string"):
        return f"The body is not JSON: it ends too early, see {place}."
    words = (words for start, words in _EXPECTATIONS if fault.msg.startswith(start))
    return f"The body is not JSON: {next(words, 'it cannot be read')} at {place}."


def _may_be_deep(body: bytes, value: Any) -> bool:
    """Level by level, so that no depth is too deep for the check itself."""
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return False
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for holder in level for child in _children(holder) if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _children(holder: Any) -> Any:
    return holder.values() if isinstance(holder, dict) else holder


# --- The second look: only for bodies with a suspicion, with every name kept and the way to it known.

_ROOT = re.compile(r"[A-Z][A-Za-z]{0,63}")
_NAME = re.compile(r"_?[a-z](?:[A-Za-z]|[0-9]{1,2}(?![0-9])){0,63}")
"""What a type and an element of R4 can be called; a longer number in a name is somebody's."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def _looked_at_again(text: str, value: Any) -> Parsed:
    tree = json.loads(text, object_pairs_hook=_Pairs, parse_float=Number, parse_constant=_NotANumber, parse_int=Number)
    name = value.get("resourceType") if isinstance(value, dict) else None
    root = name if isinstance(name, str) and _ROOT.fullmatch(name) else ""
    issues = list(islice(_faults(tree, root), MAX_ISSUES))
    if len(issues) == MAX_ISSUES:
        issues.append(too_many(root))
    if any(issue.rule == "too-deep" for issue in issues):
        return Parsed(None, tuple(issues))
    return _judged(value, issues)


def _faults(tree: Any, root: str) -> Iterator[Issue]:
    """In document order, without recursion; nothing below the deepest level is looked at."""
    told_deep = False
    trail: list[Iterator[tuple[Any, str]]] = [iter([(tree, root)])]
    while trail:
        node, path = next(trail[-1], (_END, ""))
        if node is _END:
            trail.pop()
        elif isinstance(node, str):
            yield from _string_faults(node, path)
        elif isinstance(node, _NotANumber):
            yield error("structure", "invalid-number", "JSON numbers are finite: NaN and Infinity do not exist.", path)
        elif isinstance(node, list) and len(trail) <= MAX_DEPTH:
            yield from _name_faults(node, path) if isinstance(node, _Pairs) else ()
            trail.append(_steps(node, path))
        elif isinstance(node, list) and not told_deep:
            told_deep = True
            yield _too_deep(path)


_END = object()


def _steps(node: list[Any], path: str) -> Iterator[tuple[Any, str]]:
    if isinstance(node, _Pairs):
        return ((child, step(path, name)) for name, child in node)
    return ((child, f"{path}[{index}]") for index, child in enumerate(node))


def step(path: str, name: str) -> str:
    """The FHIRPath of a member; a name that cannot be an element's is left out, for it may be a patient's."""
    if not _NAME.fullmatch(name):
        return path
    member = name.removeprefix("_")
    return f"{path}.{member}" if path else member


def _string_faults(text: str, path: str) -> Iterator[Issue]:
    if _SURROGATE.search(text):
        words = "A string holds half of a surrogate pair, which is no Unicode character."
        yield error("value", "invalid-string", words, path)
    if "\0" in text:
        yield error("value", "invalid-string", "A string holds the character NUL, which FHIR does not allow.", path)


def _name_faults(pairs: _Pairs, path: str) -> Iterator[Issue]:
    seen: set[str] = set()
    told: set[str] = set()
    for name, _ in pairs:
        if name in seen and name not in told:
            told.add(name)
            label = f'The name "{name}"' if _NAME.fullmatch(name) else "A name"
            yield error("structure", "duplicate-key", f"{label} stands more than once in one object.", step(path, name))
        seen.add(name)
        if "\0" in name or _SURROGATE.search(name):
            yield error("value", "invalid-string", "The name of a member holds a character that FHIR lacks.", path)
