"""What a referrer can take over with one click: the code that was found, and the priority that a red flag asks for.

Each is one update of the whole draft, so that at most one is taken. Taken over, it changes neither the queue, nor the
code, nor how sure it is.
"""

from __future__ import annotations

from typing import Any

from referral_service.fhir import writer
from referral_service.fhir.bundle import Resource
from referral_service.intake.preview import Previewed
from referral_service.intake.site import Site
from referral_service.referral import Certainty, Decision, Flag
from referral_service.web.hooks.marks import Mark, marked

_IN_DOUBT = frozenset({Flag.CODE_CONTESTABLE, Flag.CODE_CONFLICT})


def suggestions(site: Site, one: Previewed, draft: Resource) -> list[dict[str, Any]]:
    """The fullest first; none for a draft without an id, of which the EHR could not tell what to update."""
    decision = one.decision
    coded = _with_code(site, decision, draft) if _lacks_code(decision, draft) else None
    is_raised = decision.assessed_priority.rank > decision.requested_priority.rank
    priority = decision.assessed_priority.value if is_raised else None
    if not isinstance(draft.get("id"), str):
        return []
    found = []
    if coded and priority:
        words = f"Add {_code(decision)} as the reason and raise the priority to {priority}"
        found.append(_suggestion(Mark.ADD_CODE_AND_RAISE_PRIORITY, words, {**coded, "priority": priority}))
    if coded:
        found.append(_suggestion(Mark.ADD_CODE, f"Add {_code(decision)} as the reason", coded))
    if priority:
        words = f"Raise the priority to {priority}"
        found.append(_suggestion(Mark.RAISE_PRIORITY, words, {**draft, "priority": priority}))
    for first in found[:1]:
        first["isRecommended"] = True
    return found


def _suggestion(mark: Mark, words: str, resource: Resource) -> dict[str, Any]:
    action = {"type": "update", "description": f"{words}.", "resource": resource}
    return {"label": words, "uuid": marked(mark), "actions": [action]}


def _lacks_code(decision: Decision, draft: Resource) -> bool:
    """Whether a code was found that is beyond doubt, and the draft states none in either ICD-10."""
    if decision.code is None or set(decision.flags) & _IN_DOUBT:
        return False
    systems = {decision.code.cm.system, decision.code.who.system}
    concepts = [*draft.get("reasonCode", []), draft.get("code", {})]
    return not any(coding.get("system") in systems for one in concepts for coding in one.get("coding", []))


def _code(decision: Decision) -> str:
    assert decision.code is not None
    return f"{decision.code.cm.code} {decision.code.cm.display}"


def _with_code(site: Site, decision: Decision, draft: Resource) -> Resource:
    assert decision.code is not None
    display = decision.code.cm.display
    words = f"Suspected {display[:1].lower()}{display[1:]}" if decision.certainty is Certainty.SUSPECTED else display
    reason = writer.concept(decision.code, site.code_versions, words)
    return {**draft, "reasonCode": [*draft.get("reasonCode", []), reason]}
