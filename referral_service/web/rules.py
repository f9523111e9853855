"""Who may call what: one rule a route. A route without a rule is closed, and no build passes with one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from referral_service.worklist import Role

COORDINATING = frozenset({Role.COORDINATOR, Role.LEAD})
LEADING = frozenset({Role.LEAD})
AUDITING = frozenset({Role.AUDITOR})
LOOKING_AT_INPUT = frozenset({Role.COORDINATOR, Role.LEAD, Role.INTEGRATOR})
TENDING = frozenset({Role.LEAD, Role.INTEGRATOR})
PEOPLE = frozenset({Role.COORDINATOR, Role.LEAD, Role.AUDITOR, Role.INTEGRATOR})
NOBODY: frozenset[Role] = frozenset()


@dataclass(frozen=True, slots=True)
class Rule:
    """``scope`` is what a system needs, as ``ServiceRequest.c``; in it ``{kind}`` stands for the type in the address,
    ``*`` for any token at all, and None closes the route to systems. ``roles`` are the people who may call it.
    """

    scope: str | None = None
    roles: frozenset[Role] = NOBODY
    is_public: bool = False


PUBLIC = Rule(is_public=True)
_PAGE = Rule(roles=COORDINATING)
_READ = Rule("{kind}.r", COORDINATING)
_AUDIT = Rule(roles=AUDITING)

RULES: Mapping[str, Rule] = {
    "static": PUBLIC,
    "capability.metadata": PUBLIC,
    "definitions.read": PUBLIC,
    "definitions.search": PUBLIC,
    "definitions.translate": PUBLIC,
    "token.smart_configuration": PUBLIC,
    "token.give_token": PUBLIC,
    "own_keys.publish": PUBLIC,
    "health.live": PUBLIC,
    "health.ready": PUBLIC,
    "watching.tell": PUBLIC,
    "openapi.describe": PUBLIC,
    "reading.queue": PUBLIC,
    "submitting.create": Rule("ServiceRequest.c"),
    "submitting.update": Rule("ServiceRequest.u"),
    "submitting.bundle": Rule("*"),
    "messages.process": Rule("*"),
    "submitting.create_supporting": Rule("{kind}.c"),
    "submitting.put_supporting": Rule("{kind}.u"),
    "submitting.not_created": Rule("*"),
    "subscribing.create": Rule("Subscription.c"),
    "subscribing.update": Rule("Subscription.u"),
    "subscribing.end": Rule("Subscription.d"),
    "subscribing.read": Rule("Subscription.r"),
    "subscribing.search": Rule("Subscription.s"),
    "subscribing.search_by_form": Rule("Subscription.s"),
    "subscribing.status": Rule("Subscription.r"),
    "subscribing.events": Rule("Subscription.r"),
    "operations.preview_decision": Rule("ServiceRequest.c"),
    "operations.validate": Rule("*"),
    "operations.decision": Rule("ServiceRequest.r", COORDINATING),
    "operations.original": Rule("ServiceRequest.r", COORDINATING),
    "hooks.discover": PUBLIC,
    "hooks.preflight": PUBLIC,
    "hooks.call": Rule("ServiceRequest.c"),
    "hooks.take_feedback": Rule("ServiceRequest.c"),
    "operations.receipt": Rule("ServiceRequest.r"),
    "binaries.create": Rule("Binary.c"),
    "binaries.read": Rule("Binary.r", COORDINATING),
    "reading.read": _READ,
    "reading.history": _READ,
    "reading.version_read": _READ,
    "searching.by_url": Rule("{kind}.s", COORDINATING),
    "searching.by_form": Rule("{kind}.s"),
    "moving.actions": Rule("Task.r", COORDINATING),
    "moving.put": Rule("Task.u"),
    "moving.patch": Rule("Task.u"),
    "moving.undo": Rule("Task.u"),
    "worklist.show": _PAGE,
    "worklist.find": _PAGE,
    "worklist.refresh": _PAGE,
    "worklist.refresh_found": _PAGE,
    "pages.show_referral": _PAGE,
    "acting.do": _PAGE,
    "bulk.do": _PAGE,
    "attachments.download": _PAGE,
    "attachments.show": _PAGE,
    "alerts.show_alerts": _PAGE,
    "alerts.acknowledge": _PAGE,
    "fetching.ask_again": _PAGE,
    "entering.show_form": _PAGE,
    "entering.enter": _PAGE,
    "not_taken.show_list": Rule(roles=LOOKING_AT_INPUT),
    "not_taken.search_list": Rule(roles=LOOKING_AT_INPUT),
    "not_taken.show_one": Rule(roles=LOOKING_AT_INPUT),
    "not_taken.show_text": Rule(roles=LOOKING_AT_INPUT),
    "not_taken.take_one_in": _PAGE,
    "signing.show_form": PUBLIC,
    "signing.sign_in": PUBLIC,
    "signing.send_again": Rule(roles=PEOPLE),
    "signing.sign_out": Rule(roles=PEOPLE),
    "signing.sign_out_everywhere": Rule(roles=PEOPLE),
    "signing.show_account": Rule(roles=PEOPLE),
    "openid.begin": PUBLIC,
    "openid.back": PUBLIC,
    "auditor.search_by_url": _AUDIT,
    "auditor.search_by_form": _AUDIT,
    "auditor.read": _AUDIT,
    "trail.show": _AUDIT,
    "trail.show_patient": _AUDIT,
    "deliveries.show_list": Rule(roles=TENDING),
    "deliveries.send_again": Rule(roles=TENDING),
    "overview.show_overview": Rule(roles=LEADING),
    "overview.export_table": Rule(roles=LEADING),
    "overview.export_list": _PAGE,
}
"""By Flask's endpoint, ``module.function``. What a Bundle's entries need is asked of each of them."""
