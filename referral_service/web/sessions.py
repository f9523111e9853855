"""Who is signed in by a browser: a signed cookie that names a session, and the token that forms of that session carry.

A session ends by itself: idle after 15 minutes, in any case after 12 hours. The cookie says when something was done in
it last; what a page asks for by itself does not count as that.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime
from urllib.parse import urlsplit

from flask import Flask, current_app, g, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import URLSafeTimedSerializer
from markupsafe import Markup
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from referral_service.access import people
from referral_service.access.callers import Caller, Kind
from referral_service.issues import Fault, FaultKind, error
from referral_service.store import people as stored
from referral_service.web.http import gate, now, site
from referral_service.web.present.words import ROLES
from referral_service.web.rules import RULES

POLLS = frozenset({"worklist.refresh", "worklist.refresh_found"})
"""What pages ask for by themselves; nobody need sit before them."""

_HOMES = ("worklist.show", "not_taken.show_list", "trail.show", "signing.show_account")
_SESSION, _SEEN, _TOKEN, _PERSON = "session", "seen", "token", "person"


class _Sessions(SecureCookieSessionInterface):
    """Flask's, which makes the same signer anew for every request, whether it carries a cookie or not."""

    def __init__(self) -> None:
        self._made: tuple[object, URLSafeTimedSerializer | None] = ("", None)

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        if self._made[0] != app.secret_key:
            self._made = (app.secret_key, super().get_signing_serializer(app))
        return self._made[1]


def register(app: Flask, secret_key: str, public_url: str) -> None:
    app.session_interface = _Sessions()
    is_https = urlsplit(public_url).scheme == "https"
    app.secret_key = secret_key or None
    app.config.update(
        SESSION_COOKIE_NAME="__Host-referral" if is_https else "referral",
        SESSION_COOKIE_SECURE=is_https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        PERMANENT_SESSION_LIFETIME=people.LONGEST,
    )
    app.jinja_env.globals |= {"form_token": form_token, "home": home, "may": may, "me": me, "role_name": role_name}


def begin(session_id: str, person_id: str, at: datetime) -> None:
    """Everything of before is forgotten: whoever set a cookie for somebody else does not know the new one."""
    session.clear()
    session.update({_SESSION: session_id, _SEEN: at.timestamp(), _TOKEN: secrets.token_urlsafe(32)})
    session[_PERSON] = person_id


def session_id() -> str:
    """The session that this browser is in; empty when it is in none."""
    return str(session.get(_SESSION, ""))


def forget() -> None:
    """The browser keeps nothing of a session that has ended."""
    session.clear()


def signed_in() -> Caller | None:
    """Who is signed in; None when nobody is, any more or yet."""
    session_id, seen, at = session.get(_SESSION), session.get(_SEEN), now()
    if session_id is None or seen is None:
        return None
    row = None
    if at.timestamp() - seen < people.IDLE.total_seconds():
        with site().store.reading() as connection:
            row = stored.of_session(connection, session_id, at)
    if row is None:
        person = last_person()
        session.clear()
        session[_PERSON] = person
        return None
    if request.endpoint not in POLLS:
        session[_SEEN] = at.timestamp()
    return people.caller_of(row)


def last_person() -> str:
    """Who is signed in by this browser, or was until their session ended by itself; empty when nobody was."""
    return str(session.get(_PERSON, ""))


def me() -> Caller | None:
    """Who is signed in, for the frame of the page; None also where nobody is asked who they are."""
    caller: Caller | None = g.get("caller")
    return caller if caller is not None and caller.kind is Kind.PERSON else None


def role_name() -> str:
    """What the role of whoever is signed in is called."""
    person = me()
    return ", ".join(ROLES[role].name for role in person.actor.roles) if person is not None else ""


def may(endpoint: str) -> bool:
    """Whether the caller may open a route; pages show no link that leads to a refusal."""
    caller: Caller | None = g.get("caller")
    if caller is None or endpoint not in current_app.view_functions:
        return False
    return caller.kind is Kind.ANYONE or caller.has_role(RULES[endpoint].roles)


def form_token() -> Markup:
    """The field of a form that shows that we made it for this session (OWASP, synchronizer token)."""
    if not gate().asks:
        return Markup("")
    token = session.setdefault(_TOKEN, secrets.token_urlsafe(32))
    return Markup('<input type="hidden" name="token" value="{}">').format(token)


def check_token() -> None:
    """Refuses (403) a form that was not made for this session, where anybody is asked who they are."""
    if gate().asks and not has_token():
        words = "This form was made for another sign-in. Open the page again and fill it in there."
        raise Fault(FaultKind.FORBIDDEN, error("forbidden", "forbidden", words))


def has_token() -> bool:
    wanted, given = str(session.get(_TOKEN, "")), request.form.get("token", "")
    return bool(wanted) and hmac.compare_digest(wanted.encode(), given.encode())


def home() -> str:
    """The first page that whoever is signed in may open."""
    return url_for(next((endpoint for endpoint in _HOMES if may(endpoint)), "worklist.show"))


def own_page(address: str) -> str | None:
    """An address as it is, when it is a page of ours that can be opened, else None: no way leads elsewhere."""
    if not address.startswith("/") or address.startswith("//") or "\\" in address or not address.isprintable():
        return None
    path, _, query = address.partition("?")
    try:
        endpoint, _ = current_app.url_map.bind("").match(path, "GET", query_args=query)
    except (HTTPException, RequestRedirect):
        return None
    rule = RULES[endpoint]
    is_page = bool(rule.roles) and rule.scope is None and endpoint not in POLLS
    return address if is_page else None


def page_of_request() -> str:
    """The page to come back to after signing in: the one asked for, or the one that a form belongs to."""
    path = request.path
    query = f"?{request.query_string.decode('ascii', 'replace')}" if request.query_string else ""
    if own_page(path) is not None and request.method == "GET":
        return own_page(path + query) or path
    while own_page(path) is None:
        path = path.rpartition("/")[0] or "/"
    return (own_page(path + query) if path == "/" else None) or path
