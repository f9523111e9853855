"""The button that has a sender's EHR asked again, now, for what a referral waits for."""

from __future__ import annotations

from flask import Blueprint, redirect, url_for
from werkzeug.wrappers import Response

from referral_service.store import fetches, files, worklist
from referral_service.web.attachments import files_of
from referral_service.web.auditing import written_with
from referral_service.web.forms import check_form
from referral_service.web.http import now as clock
from referral_service.web.http import queues_seen, site
from referral_service.web.pages import check_id, not_found

blueprint = Blueprint("fetching", __name__)


@blueprint.post("/referrals/<identity>/ask-again")
def ask_again(identity: str) -> Response:
    """A worker does the asking; where nothing is waited for, nothing is done."""
    check_form()
    check_id(identity)
    with site().store.writing() as connection:
        row = worklist.one_referral(connection, identity)
        if row is None or row["queue"] not in queues_seen():
            raise not_found("There is no such referral.")
        fetches.ask_again(connection, identity, clock())
        named = [one.fetch for one in files_of(connection, row) if one.fetch is not None]
        files.ask_again(connection, named, clock())
        written_with(connection, identity)
    return redirect(url_for("pages.show_referral", identity=identity), 303)
