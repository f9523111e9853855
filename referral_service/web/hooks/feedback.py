"""What referrers made of the cards (https://cds-hooks.hl7.org/2.0/#feedback).

The comment of a referrer may speak of a patient and is not kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from referral_service.intake.site import new_id
from referral_service.issues import Fault, FaultKind, Issue, error
from referral_service.store.tables.hooks import OUTCOMES
from referral_service.web.hooks.asked import read_object
from referral_service.web.hooks.cards import override_reasons
from referral_service.web.hooks.marks import SUGGESTIONS, mark_of

MOST = 100


def read(body: bytes, client: str, at: str) -> list[dict[str, Any]]:
    """The rows to keep. Raises 400 when any of it is no feedback on a card of ours: then none is kept."""
    listed = read_object(body).get("feedback")
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST:
        raise Fault(FaultKind.INVALID, _fault(f"It is a list of 1 to {MOST}.", "feedback"))
    faults = [fault for place, one in enumerate(listed) for fault in _faults(one, f"feedback[{place}]")]
    if faults:
        raise Fault(FaultKind.INVALID, *faults)
    return [{"id": new_id(), "client": client, "at": at, **_row(one)} for one in listed]


def _row(one: dict[str, Any]) -> dict[str, Any]:
    kinds = sorted({str(mark_of(name)) for name in _accepted(one)})
    return {
        "card": str(one["card"]).lower(),
        "kind": str(mark_of(one["card"])),
        "outcome": one["outcome"],
        "suggestions": " ".join(kinds),
        "reason": _reason(one),
    }


def _faults(one: Any, path: str) -> Iterator[Issue]:
    if not isinstance(one, dict):
        yield _fault("It is an object.", path)
        return
    if mark_of(one.get("card")) in {None, *SUGGESTIONS}:
        yield _fault("This names no card of this service.", f"{path}.card")
    if one.get("outcome") not in OUTCOMES:
        yield _fault(f"It is {' or '.join(OUTCOMES)}.", f"{path}.outcome")
    accepted = one.get("acceptedSuggestions") or []
    if not isinstance(accepted, list) or any(mark_of(name) not in SUGGESTIONS for name in _accepted(one)):
        yield _fault("These are no suggestions of this service.", f"{path}.acceptedSuggestions")


def _accepted(one: dict[str, Any]) -> list[Any]:
    listed = one.get("acceptedSuggestions")
    found = listed if isinstance(listed, list) else []
    return [each.get("id") if isinstance(each, dict) else None for each in found]


def _reason(one: dict[str, Any]) -> str | None:
    """Our own code of the reason why a card was overridden; that of another system may say anything and is not kept."""
    given = one.get("overrideReason")
    reason = given.get("reason") if isinstance(given, dict) else None
    known = {(coding["system"], coding["code"]) for coding in override_reasons()}
    if isinstance(reason, dict) and (reason.get("system"), reason.get("code")) in known:
        return str(reason["code"])
    return None


def _fault(words: str, expression: str) -> Issue:
    return error("invalid", "hook-feedback", words, expression)
