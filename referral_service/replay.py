"""What another policy, or this version of the package, would decide on every referral that is stored.

A decision is made from what is stored with it and from nothing else, so it can be made again; nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from referral_service.app import site_of
from referral_service.decide import decide
from referral_service.fhir.canonical import read_input
from referral_service.fhir.parse import dump
from referral_service.fhir.writer import decision_parameters, read_decision
from referral_service.intake import Site
from referral_service.policy import Policy
from referral_service.referral import Decision
from referral_service.store.engine import Store
from referral_service.store.lookups import decided


@dataclass(frozen=True, slots=True)
class Replayed:
    """One referral decided again: ``changes`` by name, each with what was and what would be.

    ``is_same`` says that the decision came out byte for byte as it is stored; ``by_hand`` that a human has decided over
    the machine, which no decision of the machine overrules.
    """

    referral_id: str
    changes: Mapping[str, tuple[Any, Any]]
    is_same: bool
    by_hand: bool


def replay(store: Store, policy: Policy) -> Iterator[Replayed]:
    """Every stored referral, in the order of their ids."""
    site = site_of(store, policy, "http://localhost")
    with store.at_one_moment() as connection:
        for row in decided(connection):
            yield _again(site, row["id"], row["decision"], row["decision_input"], row["by_hand"])


def _again(site: Site, referral_id: str, stored: str, given: str, by_hand: bool) -> Replayed:
    after = decide(read_input(given), site.vocabulary, site.policy)
    is_same = dump(decision_parameters([after], site.code_versions)).decode() == stored
    before = _told(read_decision(stored))
    changes = {name: (before[name], value) for name, value in _told(after).items() if before[name] != value}
    return Replayed(referral_id, changes, is_same, by_hand)


def _told(decision: Decision) -> dict[str, Any]:
    return {
        "disposition": decision.disposition.value,
        "queue": decision.queue.value if decision.queue else None,
        "icd10cm": decision.code.cm.code if decision.code else None,
        "certainty": decision.certainty.value if decision.certainty else None,
        "flags": sorted(flag.value for flag in decision.flags),
        "priority": decision.assessed_priority.value,
    }


def lines(replayed: Sequence[Replayed]) -> Iterator[str]:
    """What would move or be recoded, one line a referral, and the sums."""
    changed = [one for one in replayed if one.changes]
    for one in changed:
        changes = "; ".join(f"{name} {_shown(was)} -> {_shown(now)}" for name, (was, now) in one.changes.items())
        yield f"{one.referral_id}  {changes}{'  (decided by hand: stays)' if one.by_hand else ''}"
    same = sum(one.is_same for one in replayed)
    yield f"{len(replayed)} referrals: {len(changed)} would be decided otherwise, {same} come out byte for byte."


def _shown(value: Any) -> str:
    return ", ".join(value) or "-" if isinstance(value, list) else value or "-"
