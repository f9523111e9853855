"""Which of the orders being signed are for this service at all: the others give no card, so that nobody is nagged.

An order is, when it is addressed to one of our queues (``performer`` is our HealthcareService); or when its own reason,
code or remarks name a dystonia, a neighbour, a movement or a red flag, unless it is laboratory work or imaging (by
category, or coded in LOINC), or every reason is surely something else. An order that cannot be read at all is taken by
its bare words.
"""

from __future__ import annotations

from referral_service.coding.near import names_something_near
from referral_service.fhir.bundle import Resource, is_laboratory_or_imaging, literal
from referral_service.fhir.parse import dump
from referral_service.intake.preview import Previewed
from referral_service.intake.site import Site
from referral_service.referral import Fact, Place, Queue

_LOINC = "http://loinc.org"
_ELSEWHERE = "not-dystonia"


def is_for_us(site: Site, one: Previewed, draft: Resource) -> bool:
    if one.referral is None:
        words = Fact("", "", Place.REASON, text=dump(draft).decode())
        return names_something_near([words], site.vocabulary, site.policy)
    if _is_addressed_to_us(draft, f"{site.public_url}/fhir"):
        return True
    if is_laboratory_or_imaging(draft) or _is_loinc(draft):
        return False
    if any(issue.rule == _ELSEWHERE for issue in one.decision.issues if issue.is_error):
        return False
    return names_something_near(one.referral.facts, site.vocabulary, site.policy)


def _is_addressed_to_us(draft: Resource, base: str) -> bool:
    named = [literal(one.get("reference")) for one in draft.get("performer", [])]
    return any(
        parts is not None
        and parts.type == "HealthcareService"
        and parts.id in list(Queue)
        and parts.base in (None, base)
        for parts in named
    )


def _is_loinc(draft: Resource) -> bool:
    return any(coding.get("system") == _LOINC for coding in draft.get("code", {}).get("coding", []))
