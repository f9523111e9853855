"""What a decision rests on, shown where it stands: the sender's own words with the findings marked in them.

An expression is the FHIRPath that the decision names, only ever element names and indexes. It is followed in the
referral as served or, for what stood beside it, in the text received; spans count the code points of that very string,
of an attachment those of its decoded text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from referral_service.fhir.records import decoded
from referral_service.web.present import people
from referral_service.web.present.words import sentence

Resource = Mapping[str, Any]

_SEGMENT = re.compile(r"([A-Za-z]\w*)(?:\[(\d+)\])?")
_LEAF = re.compile(r"\.coding\[\d+\](\.display)?$|\.text$|\.display$|\.attachment\.data$|\.data$|\.text\.div$")
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|\n+")
_WHOLE = 500
_MARGIN = 160

_ELEMENTS = {
    "reasonCode": "Reason for referral",
    "reasonReference": "Reason for referral",
    "code": "Requested service",
    "orderDetail": "Order detail",
    "bodySite": "Body site",
    "note": "Note",
    "patientInstruction": "Instruction to the patient",
    "supportingInfo": "Supporting information",
}
_TYPES = {
    "Condition": "Diagnosis on record",
    "Observation": "Observation",
    "DiagnosticReport": "Report",
    "DocumentReference": "Document",
    "FamilyMemberHistory": "Family history",
    "MedicationStatement": "Medicine taken",
    "MedicationRequest": "Medicine prescribed",
    "Medication": "Medicine",
    "QuestionnaireResponse": "Answer to a questionnaire",
    "Composition": "Document",
    "Binary": "Document",
}
_ASSERTIONS = {
    "affirmed": "Stated",
    "suspected": "Suspected",
    "negated": "Ruled out",
    "family": "In the family",
    "historical": "In the past",
}
_RULES = {
    "affirmed:plain": "said plainly, nothing speaks against it",
    "code:known": "the sender's code",
    "drug:code": "a medicine, by the sender's code",
    "suspected:question": "the sentence is a question",
    "unclear:list": "part of a list after “no”; it is not clear how far the “no” reaches",
    "text-against-code": "the words beside the code speak against it",
    "text:other-field": "a word of another field of medicine, and none that points here",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of quoted text: ``plain``, ``mark`` (a finding), ``aside`` (one that does not count), or a ``gap``."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found, with each place's words and why it counts as it does."""

    finding: str
    code: str
    assertion: str
    assertion_words: str
    counts: bool
    reasons: list[str]


@dataclass(frozen=True, slots=True)
class Group:
    """All findings in one element, with the text that stands there."""

    source: str
    path: str
    quotes: list[list[Piece]]
    findings: list[Finding]


def groups(evidence: Sequence[Mapping[str, Any]], roots: Mapping[str, Resource]) -> list[Group]:
    """The evidence of a decision by element, in its own order.

    ``roots`` are the resources that expressions begin at, by type, and those that they resolve, by reference.
    """
    by_element: dict[str, list[Mapping[str, Any]]] = {}
    for item in evidence:
        by_element.setdefault(_LEAF.sub("", item["expression"]), []).append(item)
    return [_group(path, items, roots) for path, items in by_element.items()]


def _group(path: str, items: list[Mapping[str, Any]], roots: Mapping[str, Resource]) -> Group:
    texts: dict[str, list[Mapping[str, Any]]] = {}
    for item in items:
        if item.get("start") is not None:
            texts.setdefault(item["expression"], []).append(item)
    quotes = [_quote(element_at(roots, expression), found) for expression, found in texts.items()]
    return Group(source_words(roots, path), path, quotes, _findings(items, roots))


def _findings(items: Sequence[Mapping[str, Any]], roots: Mapping[str, Resource]) -> list[Finding]:
    """The same thing found by code and by words is one finding with two reasons."""
    found: dict[tuple[str, str, str], Finding] = {}
    for item in items:
        coding, assertion = item["finding"], item["assertion"]
        system = people.system_name(coding.get("system", ""))
        name, code = coding.get("display") or sentence(coding["code"]), f"{system} {coding['code']}" if system else ""
        words = _ASSERTIONS.get(assertion, sentence(assertion))
        new = Finding(name, code, assertion, words, _counts(assertion), [])
        finding = found.setdefault((name, code, assertion), new)
        reason = _reason(item, finding, roots)
        if reason not in finding.reasons:
            finding.reasons.append(reason)
    return list(found.values())


def _reason(item: Mapping[str, Any], finding: Finding, roots: Mapping[str, Resource]) -> str:
    value = element_at(roots, item["expression"])
    said = item.get("text") or (people.coding_words(value) if isinstance(value, Mapping) else "")
    shown = (finding.finding.lower(), f"{finding.code} {finding.finding}".lower())
    why = rule_words(item["rule"])
    return f"“{said}”: {why}" if said and said.lower() not in shown else why


def _counts(assertion: str) -> bool:
    return assertion in ("affirmed", "suspected")


def rule_words(rule: str) -> str:
    """Why a finding counts as it does: the words or the record that say so."""
    if rule in _RULES:
        return _RULES[rule]
    kind, _, detail = rule.partition(":")
    if kind == "general":
        return f"“{detail.replace('-', ' ')}”: said of the condition as such, not of the patient"
    if kind == "stance":
        return "the record's own status says so"
    if detail.startswith("suffix-"):
        return f"the suffix {detail[-1].upper()} of the sender's code says so"
    if kind == "code":
        return "the sender's code"
    return f"because of “{detail.replace('-', ' ')}”" if detail else sentence(rule)


def element_at(roots: Mapping[str, Resource], expression: str) -> Any:
    """What stands at a simple expression; None when nothing does."""
    first, *rest = expression.split(".")
    value: Any = roots.get(first)
    for segment in rest:
        value = _below(value, segment, roots) if isinstance(value, Mapping) else None
    return value


def _below(value: Resource, segment: str, roots: Mapping[str, Resource]) -> Any:
    if segment == "resolve()":
        return roots.get(value["reference"])
    if segment == "data":
        return decoded(dict(value))
    match = _SEGMENT.fullmatch(segment)
    found = value.get(match[1]) if match else None
    if match is None or match[2] is None:
        return found
    at = int(match[2])
    return found[at] if isinstance(found, list) and at < len(found) else None


def source_words(roots: Mapping[str, Resource], path: str) -> str:
    """In which part of the request an element stands: ``Reason for referral``, ``Diagnosis on record``."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        value = element_at(roots, ".".join(parts[:length]))
        if isinstance(value, Mapping) and "resourceType" in value:
            kind = str(value["resourceType"])
            element = parts[length].partition("[")[0] if length < len(parts) else ""
            return _ELEMENTS.get(element, "Referral") if kind == "ServiceRequest" else _TYPES.get(kind, kind)
    return "Referral"


def _quote(text: Any, items: Sequence[Mapping[str, Any]]) -> list[Piece]:
    """The text with every finding marked; the findings' own words where the text is not to be had."""
    placed = [item for item in items if isinstance(text, str) and text[item["start"] : item["end"]] == item.get("text")]
    if not placed or len(placed) != len(items):
        words = dict.fromkeys((item.get("text") or "", _counts(item["assertion"])) for item in items)
        return [Piece("mark" if counts else "aside", word) for word, counts in words if word]
    spans = _merged((item["start"], item["end"], _counts(item["assertion"])) for item in placed)
    pieces: list[Piece] = []
    for start, end in _windows(text, spans):
        if start > (0 if not pieces else -1):
            pieces.append(Piece("gap", "… "))
        pieces += _marked(text, start, end, spans)
    if _windows(text, spans)[-1][1] < len(text):
        pieces.append(Piece("gap", " …"))
    return pieces


def _merged(spans: Iterable[tuple[int, int, bool]]) -> list[tuple[int, int, bool]]:
    """Spans that overlap become one mark, which counts when either does."""
    merged: list[tuple[int, int, bool]] = []
    for start, end, counts in sorted(spans):
        if merged and start < merged[-1][1]:
            before = merged.pop()
            merged.append((before[0], max(end, before[1]), counts or before[2]))
        else:
            merged.append((start, end, counts))
    return merged


def _windows(text: str, spans: Sequence[tuple[int, int, bool]]) -> list[tuple[int, int]]:
    """A short text whole; of a long one the sentences around the marks, cut where a sentence runs on."""
    if len(text) <= _WHOLE:
        return [(0, len(text))]
    breaks = [0, *(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]
    windows: list[tuple[int, int]] = []
    for start, end, _ in spans:
        first = max(max((b for b in breaks if b <= start), default=0), start - _MARGIN)
        last = min(min((b for b in breaks if b >= end), default=len(text)), end + _MARGIN)
        if windows and first <= windows[-1][1]:
            windows[-1] = (windows[-1][0], max(last, windows[-1][1]))
        else:
            windows.append((first, last))
    return windows


def _marked(text: str, start: int, end: int, spans: Sequence[tuple[int, int, bool]]) -> list[Piece]:
    pieces, at = [], start
    for first, last, counts in spans:
        if first >= start and last <= end:
            pieces += [Piece("plain", text[at:first]), Piece("mark" if counts else "aside", text[first:last])]
            at = last
    return [piece for piece in [*pieces, Piece("plain", text[at:end])] if piece.text]
