"""Questions that a referral may raise for the clinician who reads it: treatable causes, and what is asked for.

They are words on a page and nothing else: no code, no flag, no priority follows from them. The rules and the words are
``data/prompts.tsv``; they await a clinician's signature.
"""

from __future__ import annotations

from collections.abc import Sequence

from referral_service.coding.choose import candidates_of
from referral_service.coding.concepts import Vocabulary
from referral_service.coding.reading import read_fact
from referral_service.coding.rules import fired
from referral_service.coding.tables import table
from referral_service.policy import Policy
from referral_service.referral import AgeInterval, Fact


def prompts_of(
    facts: Sequence[Fact], vocabulary: Vocabulary, policy: Policy, age: AgeInterval | None
) -> tuple[str, ...]:
    """The words of each prompt that the facts of a referral raise, in the order of the table."""
    readings = [read_fact(fact, vocabulary, policy) for fact in facts]
    raised = fired("prompts", readings, candidates_of(readings, policy), policy, age)
    return tuple(row["words"] for row in table("prompts") if row["rule"] in raised and row["words"])
