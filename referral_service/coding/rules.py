"""Rules over findings, kept in tables: what must be named, beside what, and for whom.

A mention that is negated, of the family or past fires nothing; one whose assertion is unclear does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from referral_service.coding.choose import Candidate, codes_by_found
from referral_service.coding.concepts import Kind
from referral_service.coding.reading import FactReading, Found
from referral_service.coding.tables import table
from referral_service.policy import Policy
from referral_service.referral import AgeInterval, Place

_OWN = frozenset({Place.REASON, Place.REQUEST, Place.REMARK})
_MOVING = frozenset({Kind.DYSTONIA, Kind.MOVEMENT})
_Named = dict[str, list[list[tuple[int, Found]]]]
"""Name -> lists of findings with their place in the order."""


def fired(
    name: str, readings: Sequence[FactReading], candidates: Sequence[Candidate], policy: Policy, age: AgeInterval | None
) -> dict[str, tuple[Found, ...]]:
    """The rules of a table that fire, each once with what it fired on, in the order of the table.

    Own facts count together, each background fact apart.
    """
    codes = codes_by_found(candidates)
    child = age is not None and age.maximum < policy.adult_from
    found: dict[str, tuple[Found, ...]] = {}
    for scope in _scopes(readings):
        named = _by_name(scope, codes)
        for row in table(name):
            if row["rule"] not in found and (child or row["who"] != "child"):
                on = _fires(row, named)
                if on:
                    found[row["rule"]] = on
    return found


def _scopes(readings: Sequence[FactReading]) -> Iterator[list[Found]]:
    present = [(r.fact.place, [f for f in r.found if f.assertion.is_current and not _is_feared(f)]) for r in readings]
    yield [found for place, every in present if place in _OWN for found in every]
    yield from (every for place, every in present if place is Place.BACKGROUND)


def _is_feared(found: Found) -> bool:
    """Named as a risk or a side effect to look out for, not as something that is there."""
    return found.rule.startswith("unclear:") and found.rule != "unclear:list"


def _by_name(scope: Sequence[Found], codes: Mapping[int, str]) -> _Named:
    """The findings by each name that a rule can call them; those that have the same names share one list."""
    alike: dict[tuple[int, str], list[tuple[int, Found]]] = {}
    for at, found in enumerate(scope):
        alike.setdefault((id(found.meaning), codes.get(id(found), "")), []).append((at, found))
    named: _Named = {}
    for (_, code), several in alike.items():
        meaning = several[0][1].meaning
        for name in (meaning.finding.code, f"kind:{meaning.kind}", f"code:{code}"):
            named.setdefault(name, []).append(several)
    return named


def _fires(row: Mapping[str, str], named: _Named) -> tuple[Found, ...]:
    first = _called(row["all_of"], named)
    if not first or not row["and_of"]:
        return tuple(first[:1])
    second = _called(row["and_of"], named)
    if row["within"] == "text":
        # One word never counts as both; any two that stand apart do.
        apart = ((f, s) for f in first for s in second if (s.expression, s.start) != (f.expression, f.start))
        return next(apart, ())
    if not any(f"kind:{kind}" in named for kind in _MOVING):
        return ()
    sentences = {(f.expression, f.mention.sentence): f for f in second if f.mention}
    pairs = ((f, sentences.get((f.expression, f.mention.sentence))) for f in first if f.mention)
    return next(((a, b) for a, b in pairs if b is not None), ())


def _called(wanted: str, named: _Named) -> list[Found]:
    """Those that have one of the wanted names, each once, in order."""
    found = dict(pair for name in wanted.split("|") for several in named.get(name, ()) for pair in several)
    return [found[at] for at in sorted(found)]
