"""Prompts for a clinician that something may not wait: the rules are ``data/red_flags.tsv``.

The list awaits a clinician's signature. It is neither a diagnosis nor complete, and says so wherever it is shown. A
mention that is negated, of the family or past raises nothing; one whose assertion is unclear does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from referral_service.coding.choose import Candidate, candidates_of, codes_by_found
from referral_service.coding.concepts import Kind, Vocabulary
from referral_service.coding.reading import FactReading, Found, read_fact
from referral_service.coding.tables import table
from referral_service.policy import Policy
from referral_service.referral import AgeInterval, Evidence, Fact, Place, Priority

_OWN = frozenset({Place.REASON, Place.REQUEST, Place.REMARK})
_MOVING = frozenset({Kind.DYSTONIA, Kind.MOVEMENT})


@dataclass(frozen=True, slots=True)
class RedFlag:
    """A rule that fired, the lane that the policy gives it, and what it fired on."""

    rule: str
    priority: Priority
    evidence: tuple[Evidence, ...]


def red_flags_in(
    text: str, vocabulary: Vocabulary, policy: Policy, age: AgeInterval | None = None, expression: str = ""
) -> tuple[RedFlag, ...]:
    """The red flags of a text by itself, such as that of a refused input."""
    readings = [read_fact(Fact(expression, expression, Place.REMARK, text=text), vocabulary, policy)]
    return red_flags_of(readings, candidates_of(readings, policy), policy, age)


def red_flags_of(
    readings: Sequence[FactReading], candidates: Sequence[Candidate], policy: Policy, age: AgeInterval | None
) -> tuple[RedFlag, ...]:
    """Each rule once, in the order of the table. Own facts count together, each background fact apart."""
    codes = codes_by_found(candidates)
    child = age is not None and age.maximum < policy.adult_from
    fired: dict[str, tuple[Found, ...]] = {}
    for scope in _scopes(readings):
        for row in table("red_flags"):
            if row["rule"] not in fired and (child or row["who"] != "child"):
                found = _fires(row, scope, codes)
                if found:
                    fired[row["rule"]] = found
    return tuple(
        RedFlag(rule, policy.red_flag_lanes.get(rule, Priority.URGENT), tuple(f.evidence for f in found))
        for rule, found in fired.items()
    )


def _scopes(readings: Sequence[FactReading]) -> Iterator[list[Found]]:
    present = [(r.fact.place, [f for f in r.found if f.assertion.is_current]) for r in readings]
    yield [found for place, every in present if place in _OWN for found in every]
    yield from (every for place, every in present if place is Place.BACKGROUND)


def _fires(row: Mapping[str, str], scope: Sequence[Found], codes: Mapping[int, str]) -> tuple[Found, ...]:
    first = [f for f in scope if _is(f, row["all_of"], codes)]
    if not first or not row["and_of"]:
        return tuple(first[:1])
    second = [f for f in scope if _is(f, row["and_of"], codes) and f.start != first[0].start]
    if row["within"] == "text":
        return (first[0], second[0]) if second else ()
    if not any(f.meaning.kind in _MOVING for f in scope):
        return ()
    sentences = {(f.expression, f.mention.sentence): f for f in second if f.mention}
    pairs = ((f, sentences.get((f.expression, f.mention.sentence))) for f in first if f.mention)
    return next(((a, b) for a, b in pairs if b is not None), ())


def _is(found: Found, wanted: str, codes: Mapping[int, str]) -> bool:
    names = (found.meaning.finding.code, f"kind:{found.meaning.kind}", f"code:{codes.get(id(found), '')}")
    return any(name in names for name in wanted.split("|"))
