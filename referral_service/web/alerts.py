"""The alerts that nobody has acknowledged yet, and the button that says that somebody has them in hand."""

from __future__ import annotations

import re

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from referral_service.issues import Fault, FaultKind, error
from referral_service.store import alerts
from referral_service.store.alerts import Place
from referral_service.web.auditing import listed, written_with
from referral_service.web.forms import check_form, field
from referral_service.web.frame import frame, now
from referral_service.web.http import client, site
from referral_service.web.http import now as clock
from referral_service.web.pages import place_of
from referral_service.web.present import alert

blueprint = Blueprint("alerts", __name__, url_prefix="/alerts")
PAGE = 50
LATEST = 20

_PLACE = re.compile(r"([0-9T:.Z\-]{10,32})~([A-Za-z0-9.\-]{1,64})")


@blueprint.get("")
def show_alerts() -> str:
    """Open alerts, the oldest first, and those acknowledged last."""
    match = place_of(_PLACE, request.args.get("after"))
    after = Place(match[1], match[2]) if match else None
    with site().store.reading() as connection:
        rows = alerts.open_alerts(connection, after, PAGE + 1)
        ended = alerts.latest_acknowledged(connection, LATEST) if after is None else []
        around = frame(connection, "alerts", now())
    listed(())
    shown, latest = ([alert.shown(row, around["now"], site().policy) for row in some] for some in (rows[:PAGE], ended))
    last = rows[PAGE - 1] if len(rows) > PAGE else None
    following = f"{last['at']}~{last['id']}" if last else None
    return render_template(
        "alerts.html", **around, shown=shown, latest=latest, following=following, is_start=after is None
    )


@blueprint.post("/<alert_id>/acknowledge")
def acknowledge(alert_id: str) -> Response:
    """Whoever acknowledges first stands there; nobody further is told."""
    check_form()
    with site().store.writing() as connection:
        row = alerts.one(connection, alert_id)
        if row is None:
            raise Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", "There is no such alert."))
        alerts.acknowledge(connection, alert_id, client(), clock())
        written_with(connection, row["referral_id"])
    if field("back") != "about":
        return redirect(url_for("alerts.show_alerts"), 303)
    if row["referral_id"] is None:
        return redirect(url_for("not_taken.show_one", received_id=row["received_id"]), 303)
    return redirect(url_for("pages.show_referral", identity=row["referral_id"]), 303)
