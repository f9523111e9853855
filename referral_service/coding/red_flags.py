"""Prompts for a clinician that something may not wait: the rules are ``data/red_flags.tsv``.

The list awaits a clinician's signature. It is neither a diagnosis nor complete, and says so wherever it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from referral_service.coding.choose import Candidate, candidates_of
from referral_service.coding.concepts import Vocabulary
from referral_service.coding.reading import FactReading, read_fact
from referral_service.coding.rules import fired
from referral_service.policy import Policy
from referral_service.referral import AgeInterval, Evidence, Fact, Place, Priority


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
    """Each rule once, in the order of the table."""
    return tuple(
        RedFlag(rule, policy.red_flag_lanes.get(rule, Priority.URGENT), tuple(f.evidence for f in found))
        for rule, found in fired("red_flags", readings, candidates, policy, age).items()
    )
