"""What others are still to be told: what waits, what failed, what was given up; and the button that sends it again."""

from __future__ import annotations

import re

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from referral_service.issues import Fault, FaultKind, error
from referral_service.store import deliveries
from referral_service.web.auditing import listed, written_with
from referral_service.web.forms import check_form
from referral_service.web.frame import frame, now
from referral_service.web.http import now as clock
from referral_service.web.http import site
from referral_service.web.pages import place_of
from referral_service.web.present import delivery

blueprint = Blueprint("deliveries", __name__, url_prefix="/deliveries")
PAGE = 50
_PLACE = re.compile(r"([0-9T:.Z\-]{10,32})~([a-z]{1,16})~([A-Za-z0-9._\-]{1,64})~([0-9]{1,9})", re.ASCII)


@blueprint.get("")
def show_list() -> str:
    """Whatever is not delivered, the oldest change first."""
    match = place_of(_PLACE, request.args.get("after"))
    after = (match[1], match[2], match[3], int(match[4])) if match else None
    with site().store.reading() as connection:
        rows = deliveries.open_ones(connection, after, PAGE + 1)
        counts = deliveries.counts(connection)
        around = frame(connection, "deliveries", now())
    listed(())
    last = rows[PAGE - 1] if len(rows) > PAGE else None
    following = f"{last['at']}~{last['kind']}~{last['receiver']}~{last['number']}" if last else None
    return render_template(
        "deliveries.html",
        **around,
        shown=[delivery.shown(row, around["now"]) for row in rows[:PAGE]],
        told=delivery.summary(counts),
        following=following,
        is_start=after is None,
    )


@blueprint.post("/<kind>/<receiver>/<int(max=999999999):number>/again")
def send_again(kind: str, receiver: str, number: int) -> Response:
    """What was given up, or waits after a failure, is due now."""
    check_form()
    with site().store.writing() as connection:
        row = deliveries.replay(connection, (kind, receiver, number), clock())
        if row is None:
            words = "There is no such delivery that could be sent again."
            raise Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", words))
        written_with(connection, row["referral_id"])
    return redirect(url_for("deliveries.show_list"), 303)
