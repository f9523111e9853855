"""Signing in and out, and the page that says who one is here.

What is typed stands in no address and no log, and the answer to a wrong name is that to a wrong password.
"""

from __future__ import annotations

import logging

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from referral_service.access import people
from referral_service.issues import Fault
from referral_service.store import people as stored
from referral_service.store.people import Row
from referral_service.web import attempts, keeping, sessions
from referral_service.web.authentications import gone, let_in, refused
from referral_service.web.forms import check_form, check_own
from referral_service.web.frame import frame
from referral_service.web.frame import now as page_now
from referral_service.web.http import caller, gate, now, queues_seen, site
from referral_service.web.keeping import Kept
from referral_service.web.pages import not_found
from referral_service.web.present.words import ROLES
from referral_service.worklist import Role

blueprint = Blueprint("signing", __name__)
log = logging.getLogger("referral_service")

FORM_BYTES = 8 * 1024
NOT_RIGHT = (
    "The user name and the password do not go together, or there were too many attempts. After five wrong passwords a "
    "name takes none for a minute, after each further one for longer, up to 15 minutes."
)
NOT_SENT = (
    "You were signed out before this was sent. It is not lost: sign in, and what you typed is shown to you, to be sent "
    "again."
)
OPEN_TOO_LONG = "This page had been open for too long. Please type again."


@blueprint.get("/sign-in")
def show_form() -> Response | str:
    """The form; ``next`` is the page to come to afterwards."""
    if not gate().asks:
        return redirect(url_for("worklist.show"), 303)
    return page(sessions.own_page(request.args.get("next", "")) or "")


def page(following: str, problem: str = "", user_name: str = "", kept: str = "") -> str:
    """The sign-in page; with ``kept`` it says that a form was not sent, and holds it until somebody is signed in."""
    return render_template(
        "sign_in.html",
        following=following,
        problem=problem,
        user_name=user_name,
        openid=gate().openid is not None,
        kept=kept,
    )


@blueprint.post("/sign-in")
@attempts.bounded
def sign_in() -> Response | tuple[str, int]:
    """A session for whoever has the name and the password."""
    if not gate().asks:
        return redirect(url_for("worklist.show"), 303)
    try:
        check_form(FORM_BYTES + keeping.SIGNED_MOST)
    except Fault:
        if sessions.has_token():
            raise
        return page("", OPEN_TOO_LONG, kept=keeping.passed_on()), 403
    following = sessions.own_page(request.form.get("next", "")) or ""
    user_name = request.form.get("user", "")
    attempt = people.attempted(site().store, user_name, request.form.get("password", ""), now())
    if attempt is not None and attempt.is_right:
        return begin(attempt.row, following)
    if attempt is not None:
        refused(people.caller_of(attempt.row), "locked-out" if attempt.locks else "wrong-password")
    log.warning("sign_in_refused")
    return page(following, NOT_RIGHT, user_name, keeping.passed_on()), 401


def begin(row: Row, following: str) -> Response:
    """A new session, and on to the page that was asked for, if this person may open it."""
    at = now()
    with site().store.writing() as connection:
        session_id = people.begin_session(connection, row["id"], at)
        g.caller = people.caller_of(row)
        let_in(connection, g.caller)
    sessions.begin(session_id, row["id"], at)
    log.info("signed_in person=%s", row["id"])
    kept = keeping.given_back(row["id"])
    if kept is not None:
        return Response(_again(kept), content_type="text/html; charset=utf-8")
    return redirect(following or sessions.home(), 303)


@blueprint.post("/sign-in/again")
def send_again() -> Response | str:
    """What was kept of a form, for whoever has signed in elsewhere meanwhile, as at an OpenID provider."""
    check_own(keeping.SIGNED_MOST)
    kept = keeping.given_back(caller().actor.id)
    return redirect(sessions.home(), 303) if kept is None else _again(kept)


def _again(kept: Kept) -> str:
    return render_template("send_again.html", kept=kept)


@blueprint.post("/sign-out")
def sign_out() -> Response:
    """This browser is signed out; its cookie, also a copy of it, is worth nothing from now on."""
    check_form(FORM_BYTES)
    if not gate().asks:
        return redirect(url_for("worklist.show"), 303)
    with site().store.writing() as connection:
        stored.end_session(connection, sessions.session_id())
        gone(connection, caller())
    sessions.forget()
    return redirect(url_for("signing.show_form"), 303)


@blueprint.post("/sign-out-everywhere")
def sign_out_everywhere() -> Response:
    """Every session of this person ends, on whatever machine."""
    check_form(FORM_BYTES)
    if not gate().asks:
        return redirect(url_for("worklist.show"), 303)
    with site().store.writing() as connection:
        stored.end_sessions(connection, caller().actor.id)
        gone(connection, caller())
    sessions.forget()
    return redirect(url_for("signing.show_form"), 303)


@blueprint.get("/account")
def show_account() -> str:
    """Who is signed in, and what they may do here."""
    person = sessions.me()
    if person is None:
        raise not_found("Nobody is asked here who they are.")
    (role,) = person.actor.roles
    queues = [] if role is Role.LEAD else [site().policy.queues[queue] for queue in queues_seen()]
    with site().store.reading() as connection:
        around = frame(connection, "account", page_now())
    return render_template("account.html", **around, role=role, queues=queues, roles=ROLES)
