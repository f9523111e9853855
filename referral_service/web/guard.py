"""Before any route: who calls, and whether the rule of the route lets them."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, g, redirect, request, url_for
from werkzeug.wrappers import Response

from referral_service.access.callers import ANYONE, Caller, Kind
from referral_service.access.scopes import Need
from referral_service.issues import Fault, FaultKind, error
from referral_service.settings import LOOPBACK
from referral_service.web import keeping, sessions, signing
from referral_service.web.auditing import begin
from referral_service.web.bearer import bearer
from referral_service.web.http import allows, check_accept, gate, is_sending, limiter, refuse_nul, site
from referral_service.web.rules import RULES, Rule
from referral_service.web.watching import is_probe


def register(app: Flask) -> None:
    """Whoever calls is counted first, whatever is wrong with the rest of the request."""
    for step in (_check_host, check, refuse_nul, check_accept):
        app.before_request(step)


def check() -> Response | None:
    """Leaves the caller in ``g``. 401 when nobody is known where somebody must be, 403 when the rule says no.

    Whoever opens a page without being signed in is sent to sign in first.
    """
    if request.endpoint is None:
        _count_lost()
        return None  # There is nothing at this address, or not by this method: told to anybody.
    rule = RULES.get(request.endpoint, Rule())
    if rule.is_public:
        _count_unknown()
        return None
    try:
        caller = _caller()
    except Fault:
        _count_unknown()
        raise
    if caller is None:
        _count_unknown()
        return _to_sign_in()
    _take(caller)
    if caller.kind is Kind.PERSON and request.endpoint == "worklist.show" and not caller.has_role(rule.roles):
        return redirect(sessions.home(), 303)  # The bare address of the service opens whatever is theirs.
    _judge(caller, rule)
    return None


def _take(caller: Caller) -> None:
    g.caller = caller
    _count_known(caller)
    begin(caller)


def _count_lost() -> None:
    """Whoever calls where there is nothing leaves an event all the same when it is known who it is."""
    try:
        caller = _caller()
    except Fault:
        caller = None
    if caller is None:
        _count_unknown()
    else:
        _take(caller)


def _check_host() -> None:
    """Where nobody is asked who they are, answers only by the names of this machine and by the public one.

    A page from elsewhere could make a name of its own lead here, and read whatever is answered by it (DNS rebinding).
    Load balancers ask by any name.
    """
    if gate().asks or is_probe():
        return
    try:
        host = urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    except ValueError:
        host = ""
    if host not in LOOPBACK | {site().host}:
        words = "This service is not called so. Its name is that of its public address."
        raise Fault(FaultKind.INVALID, error("invalid", "bad-request", words))


def _count_known(caller: Caller) -> None:
    if caller.kind is not Kind.ANYONE and not limiter().takes_known(f"{caller.kind}:{caller.actor.id}"):
        raise _too_many()


def _count_unknown() -> None:
    """Load balancers ask how the service does as often as they want."""
    if gate().asks and not is_probe() and not limiter().takes_unknown(request.remote_addr or ""):
        raise _too_many()


def _too_many() -> Fault:
    words = "More calls came in this second than are taken. Try again in a second."
    return Fault(FaultKind.THROTTLED, error("throttled", "too-many-requests", words))


def check_scope(need: Need) -> None:
    """One more interaction within a request, as an entry of a Bundle or what a search includes. Raises 403."""
    if not allows(need.type, need.may):
        role = " and the role of a placer" if is_sending(need.type, need.may) else ""
        raise forbidden(f"This needs the scope {need}{role}, which the token does not hold.")


def forbidden(words: str) -> Fault:
    return Fault(FaultKind.FORBIDDEN, error("forbidden", "forbidden", words))


def _caller() -> Caller | None:
    told = gate().told
    found = told() if told is not None else None
    if found is not None:
        return found
    if not gate().asks:
        return ANYONE
    found = bearer() or sessions.signed_in()
    if found is None and not _is_page():
        raise Fault(FaultKind.LOGIN, error("login", "login", "Nobody is known by this request."))
    return found


def _is_page() -> bool:
    return not request.path.startswith(("/fhir", "/cds-services"))


def _to_sign_in() -> Response:
    """A page that asks by itself is told in a way that leaves it as it is, with all that was typed in it.

    A form that came too late is kept until its person has signed in again.
    """
    if request.endpoint in sessions.POLLS:
        return Response("", 401, {"HX-Reswap": "none"})
    kept = keeping.keep()
    if kept:
        page = signing.page(sessions.page_of_request(), signing.NOT_SENT, kept=kept)
        return Response(page, 401, content_type="text/html; charset=utf-8")
    return redirect(url_for("signing.show_form", next=sessions.page_of_request()), 303)


def _judge(caller: Caller, rule: Rule) -> None:
    if caller.kind is Kind.SYSTEM:
        if rule.scope is None:
            raise forbidden("This address is for people.")
        if rule.scope != "*":
            type_, _, may = rule.scope.format(**(request.view_args or {})).partition(".")
            check_scope(Need(type_, may))
    elif caller.kind is Kind.PERSON and not caller.has_role(rule.roles):
        theirs = ", ".join(sorted(role.value for role in rule.roles)) or "no person"
        raise forbidden(f"Your role does not open this. It is for: {theirs}.")
