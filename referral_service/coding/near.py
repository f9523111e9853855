"""Does a request name anything that this service is for? What decides whether a referrer is told anything at all."""

from __future__ import annotations

from collections.abc import Iterable

from referral_service.coding.concepts import Kind, Vocabulary
from referral_service.coding.reading import OWN, read_fact
from referral_service.policy import Policy
from referral_service.referral import Fact

_NEAR = frozenset({Kind.DYSTONIA, Kind.NEIGHBOUR, Kind.MOVEMENT, Kind.RED_FLAG})


def names_something_near(facts: Iterable[Fact], vocabulary: Vocabulary, policy: Policy) -> bool:
    """Whether its own words or codes name a dystonia, a neighbour, a movement or a red flag, however that is meant.

    What stands in the background, in the family or in the medication does not count.
    """
    return any(
        found.meaning.kind in _NEAR
        for fact in facts
        if fact.place in OWN
        for found in read_fact(fact, vocabulary, policy).found
    )
