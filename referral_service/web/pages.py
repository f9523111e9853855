"""The coordinators' page of one referral. Plain HTML that needs no script.

Addresses hold our own ids, queue names and places in an order, never anything of a patient. Every text shown is
escaped by Jinja; what is marked in it travels as pieces, never as markup.
"""

from __future__ import annotations

import re

from flask import Blueprint, render_template, request

from referral_service.issues import Fault, FaultKind, error
from referral_service.web import one_referral

blueprint = Blueprint("pages", __name__)

OUR_ID = r"[A-Za-z0-9.\-]{1,64}"
INSTANT = r"[0-9T:.Z\-]{10,32}"


@blueprint.get("/referrals/<identity>")
def show_referral(identity: str) -> str:
    """One referral: who, what was decided and why, what has happened since, and what may be done now."""
    check_id(identity)
    return render_template("referral.html", **one_referral.page(identity, done=request.args.get("done", "")))


def place_of(pattern: re.Pattern[str], text: str | None) -> re.Match[str] | None:
    if text is None:
        return None
    match = pattern.fullmatch(text)
    if match is None:
        raise Fault(FaultKind.INVALID, error("invalid", "cursor", "This link to a further page is not one of ours."))
    return match


def check_id(identity: str) -> None:
    if not re.fullmatch(OUR_ID, identity):
        raise not_found("There is nothing at this address.")


def not_found(words: str) -> Fault:
    return Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", words))
