"""The coordinators' hands: the moves of one referral as plain forms, and of many at once from the list.

Every form goes by POST, says the version that it was offered on, and is judged where all moves are. Who was overtaken
is told by whom, and what they typed is offered again.
"""

from __future__ import annotations

import re

from flask import Blueprint, g, redirect, render_template, request
from werkzeug.wrappers import Response

from referral_service.intake.moves import act
from referral_service.issues import Fault, FaultKind, error
from referral_service.store import worklist
from referral_service.web import one_referral
from referral_service.web.forms import check_form, field
from referral_service.web.http import STATUS, access, actor, now, site
from referral_service.web.present.acting import Typed, faults_of, moment_of
from referral_service.worklist import Action, Takes
from referral_service.worklist.actions import BY_CODE

blueprint = Blueprint("acting", __name__)
FORM_BYTES = 256 * 1024
_CONTROL = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f]")  # what no FHIR string holds


@blueprint.post("/referrals/<identity>/do/<code>")
def do(identity: str, code: str) -> Response | tuple[str, int]:
    """One move of one referral; back to its page, or the form again with what was wrong."""
    check_form(FORM_BYTES)
    action = BY_CODE.get(code)
    version = request.form.get("version", "")
    if action is None or not re.fullmatch(r"[0-9]{1,9}", version, re.ASCII):
        raise Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", "This form is none of ours."))
    with site().store.reading() as connection:
        row = worklist.one_referral(connection, identity)
    if row is None:
        raise Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", "There is no such referral."))
    typed = {takes.value: field(takes) for takes in action.takes}
    fields, faults = _fields(action, typed)
    if faults:
        shown = {name: _CONTROL.sub("\ufffd", text) for name, text in typed.items()}
        return _again(identity, Typed(code, shown, faults), FaultKind.BUSINESS_RULE)
    answer = act(site(), actor(), row["task_id"], int(version), code, fields, now(), g.request_id, access())
    if answer.fault is None:
        return redirect(one_referral.address(identity, done=answer.version), 303)
    if answer.fault is FaultKind.PRECONDITION:
        return _again(identity, Typed(code, typed), answer.fault, int(version))
    found = faults_of(action, answer.issues, typed)
    return _again(identity, Typed(code, typed, found), answer.fault)


def _again(identity: str, typed: Typed, kind: FaultKind, seen: int | None = None) -> tuple[str, int]:
    return render_template("referral.html", **one_referral.page(identity, typed, seen=seen)), STATUS[kind]


def _fields(action: Action, typed: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """What was typed as the moves take it, and what is no day and time of the site's zone."""
    faults = {name: "It holds a sign that cannot be kept." for name, text in typed.items() if _CONTROL.search(text)}
    when = typed.get(Takes.DATE, "")
    moment = moment_of(when, site().policy.zone) if when else ""
    if moment is None:
        issue = error("business-rule", "task-field", "", "Task.extension")
        faults |= faults_of(action, [issue], {Takes.DATE: when})
    return typed | ({Takes.DATE.value: moment} if moment else {}), faults
