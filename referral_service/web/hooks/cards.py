"""A decision made ahead -> cards of CDS Hooks (https://cds-hooks.hl7.org/2.0/#card-attributes).

They warn and never block. Their words are ours, the policy's and those of ICD-10; nothing of the patient stands in
them but when the sender's own earlier referral was received and what became of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from referral_service.fhir import writer
from referral_service.fhir.bundle import Resource
from referral_service.fhir.package import definitions
from referral_service.intake.preview import Previewed
from referral_service.intake.site import Site
from referral_service.issues import Issue, Severity
from referral_service.referral import Disposition, Flag, Queue
from referral_service.store.hooks import Row, Waiting
from referral_service.web.hooks.marks import Mark, marked
from referral_service.web.hooks.suggest import suggestions

EXTENSION = "example.referral-service.decision"
"""Names, on the first card of each order, the decision as ``$preview`` gives it."""

SUMMARY_BELOW = 140
_LABEL = "Referral service for dystonia"
_HELD = {
    Flag.DECEASED: "the record says that the patient has died",
    Flag.INDICATION_UNDETERMINED: "the reason does not settle it",
    Flag.AGE_UNDETERMINED: "the age is not sure",
}
_BY_DISPOSITION = {
    Disposition.ROUTED: Mark.ROUTED,
    Disposition.REVIEW: Mark.REVIEW,
    Disposition.REJECTED: Mark.REJECTED,
    Disposition.REFUSED: Mark.REFUSED,
}
_HOURS_A_DAY = 24


@dataclass(frozen=True, slots=True)
class Known:
    """What is here already, beside the decision: who waits in its queue, and the sender's own referrals of the patient.

    ``here`` is the one that the order's placer identifier belongs to.
    """

    at: datetime
    waiting: Waiting | None = None
    open: Sequence[Row] = ()
    here: Row | None = None


def cards(site: Site, one: Previewed, draft: Resource, known: Known) -> Iterator[dict[str, Any]]:
    """The cards of one order, the gravest first."""
    decision = one.decision
    if Flag.RED_FLAG in decision.flags:
        notice = site.policy.notice
        summary = notice if len(notice) < SUMMARY_BELOW else "Red flag: this may not wait. Read this before you send."
        detail = f"{notice}\n\nThe order names what may be an emergency. Sending it is no phone call."
        yield _card(site, Mark.RED_FLAG, "critical", summary, detail, overridable=True)
    yield _decided(site, one, draft, known)
    if known.here is not None:
        yield _received_before(site, known.here)
    for row in known.open:
        yield _open(site, row)


def _decided(site: Site, one: Previewed, draft: Resource, known: Known) -> dict[str, Any]:
    decision = one.decision
    indicator = "info" if decision.disposition is Disposition.ROUTED else "warning"
    mark, detail = _BY_DISPOSITION[decision.disposition], "\n".join(_detail(site, one, known))
    card = _card(site, mark, indicator, _summary(site, one), detail, overridable=indicator != "info")
    offered = suggestions(site, one, draft)
    if offered:
        card |= {"suggestions": offered, "selectionBehavior": "at-most-one"}
    return card | {"extension": {EXTENSION: writer.decision_parameters([decision], site.code_versions)}}


def _card(site: Site, mark: Mark, indicator: str, summary: str, detail: str, *, overridable: bool) -> dict[str, Any]:
    card: dict[str, Any] = {
        "uuid": marked(mark),
        "summary": _shortened(summary),
        "detail": detail,
        "indicator": indicator,
        "source": {"label": _LABEL, "url": site.public_url},
    }
    return card | ({"overrideReasons": override_reasons()} if overridable else {})


def override_reasons() -> list[dict[str, str]]:
    """As listed in CodeSystem/override-reason."""
    system = definitions()["CodeSystem"]["override-reason"]
    return [{"system": system["url"], "code": one["code"], "display": one["display"]} for one in system["concept"]]


def _shortened(text: str) -> str:
    return text if len(text) < SUMMARY_BELOW else f"{text[: SUMMARY_BELOW - 2]}…"


def _summary(site: Site, one: Previewed) -> str:
    decision = one.decision
    if decision.disposition is Disposition.ROUTED:
        assert decision.queue is not None
        assert decision.code is not None
        code = f"{decision.code.cm.code} {decision.code.cm.display}"
        return f"Would go to {site.policy.queues[decision.queue]}: {code}, {decision.certainty}"
    if decision.disposition is Disposition.REVIEW:
        why = ", ".join(words for flag, words in _HELD.items() if flag in decision.flags)
        return f"Would be held for a coordinator's review: {why}"
    faults = [issue for issue in decision.issues if issue.is_error]
    if decision.disposition is Disposition.REJECTED:
        return f"Would be rejected: {faults[0].diagnostics}"
    return f"Would be refused as it stands: {_located(one, faults[0])}"


def _located(one: Previewed, issue: Issue) -> str:
    """What is wrong and where, in the draft itself."""
    path = one.entry.path if one.entry is not None else "Bundle"
    where = issue.expression.replace(path, "ServiceRequest", 1)
    return f"{where}: {issue.diagnostics}" if where else issue.diagnostics


def _detail(site: Site, one: Previewed, known: Known) -> Iterator[str]:
    decision = one.decision
    if decision.queue is not None:
        yield f"- **Queue:** {site.policy.queues[decision.queue]}{_wait(known)}"
    if decision.code is not None:
        cm, who = decision.code.cm, decision.code.who
        yield f"- **Code:** ICD-10-CM {cm.code} {cm.display}; ICD-10 {who.code}; {decision.certainty}"
        for other in decision.alternatives:
            yield f"- **Or:** ICD-10-CM {other.code.cm.code} {other.code.cm.display}"
    if decision.assessed_priority is not decision.requested_priority:
        yield f"- **Priority:** asked {decision.requested_priority}, would be handled as {decision.assessed_priority}"
    if decision.flags:
        yield f"- **Flags:** {', '.join(_flag_names()[flag] for flag in decision.flags)}"
    missing = [wish.diagnostics for wish in one.referral.wishes] if one.referral is not None else []
    told = [
        issue.diagnostics if one.referral is not None else _located(one, issue)
        for issue in decision.issues
        if issue.severity is not Severity.INFORMATION and issue.rule != "red-flag" and issue.diagnostics not in missing
    ]
    yield from _listed("What stands in the way", told)
    yield from _listed("What is missing", missing)
    yield ""
    yield "A preview: nothing was stored and nothing is blocked. It does not replace a clinician's judgement."


def _flag_names() -> dict[str, str]:
    return {one["code"]: one["display"] for one in definitions()["CodeSystem"]["flag"]["concept"]}


def _listed(title: str, words: Sequence[str]) -> Iterator[str]:
    if words:
        yield from ("", f"**{title}**", "")
        yield from (f"- {one}" for one in dict.fromkeys(words))


def _wait(known: Known) -> str:
    if known.waiting is None:
        return ", where nobody waits now"
    hours = int((known.at - datetime.fromisoformat(known.waiting.median_received)).total_seconds() // 3600)
    wait = f"{hours // _HOURS_A_DAY} days" if hours >= 2 * _HOURS_A_DAY else f"{hours} hours"
    return f"; {known.waiting.number} wait there, half of them for {wait} or longer"


def _received_before(site: Site, row: Row) -> dict[str, Any]:
    summary = f"This order was received before, on {row['authored_on'][:10]}: {_standing(site, row)}"
    words = "An order under a finished referral's identifier becomes a new referral."
    if not row["closed"]:
        words = "Sent again as it was it changes nothing; with other content it is refused: update the first one."
    card = _card(site, Mark.RECEIVED_BEFORE, "warning", summary, words, overridable=True)
    return card | {"links": [_link(site, row)]}


def _open(site: Site, row: Row) -> dict[str, Any]:
    summary = f"A referral for this patient is open: received {row['authored_on'][:10]}, {_standing(site, row)}"
    words = "You have sent it yourself. A second one would be marked as a possible duplicate; it would not be refused."
    card = _card(site, Mark.OPEN_REFERRAL, "warning", summary, words, overridable=True)
    return card | {"links": [_link(site, row)]}


def _standing(site: Site, row: Mapping[str, Any]) -> str:
    return f"{row['status']} in {site.policy.queues[Queue(row['queue'])]}"


def _link(site: Site, row: Row) -> dict[str, str]:
    address = f"{site.public_url}/referrals/{row['referral_id']}"
    return {"label": "The referral's page, for staff of the service", "url": address, "type": "absolute"}
