"""What is not taken: written down all the same, with the text received, so that nothing is lost unseen."""

from __future__ import annotations

from collections.abc import Sequence

from referral_service.coding import red_flags_in
from referral_service.decide import refused
from referral_service.fhir.bundle import Envelope
from referral_service.intake.draft import Draft
from referral_service.intake.reading import Reading, placer_if_readable, readable_referrals
from referral_service.intake.rows import add_ledger
from referral_service.intake.site import Answer, Incoming, Site, failed
from referral_service.issues import Issue, error
from referral_service.referral import Decision, Disposition
from referral_service.store.lookups import Known

_EMPTY = {"resourceType": "Parameters"}


def no_referral() -> Issue:
    return error("required", "no-referral", "The request holds no referral and nothing to keep for one.")


def refusal(site: Site, body: bytes, issues: Sequence[Issue]) -> Decision:
    """The decision on a text that cannot be read as a referral; its words are still searched for red flags."""
    text = body.decode("utf-8", errors="replace")
    flags = red_flags_in(text, site.vocabulary, site.policy)
    return refused(issues, site.policy, notice=bool(flags))


def refuse(site: Site, incoming: Incoming, reading: Reading) -> Answer:
    """Keeps the text and adds a ledger row for each referral that can be made out in it, one when none can."""
    decision = refusal(site, incoming.body, reading.faults)
    draft = Draft(site, incoming, Envelope(_EMPTY), Known())
    draft.fault = reading.fault
    draft.add_received("decided")
    resources = list(reading.referrals) or readable_referrals(reading.payload)
    placers = [placer_if_readable(resource, incoming.placer_system) for resource in resources] or [None]
    for position, placer in enumerate(placers):
        add_ledger(draft, position, Disposition.REFUSED, decision.issues, None, placer, decision)
    with site.store.writing() as connection:
        draft.write(connection, is_all=True)
    return failed(reading.fault, *decision.issues)
