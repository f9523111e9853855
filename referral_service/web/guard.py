"""Before any route: who calls, and whether the rule of the route lets them."""

from __future__ import annotations

from flask import Flask, g, redirect, request, url_for
from werkzeug.wrappers import Response

from referral_service.access.callers import ANYONE, Caller, Kind
from referral_service.access.scopes import Need
from referral_service.issues import Fault, FaultKind, error
from referral_service.web import sessions
from referral_service.web.http import gate
from referral_service.web.rules import RULES, Rule


def register(app: Flask) -> None:
    app.before_request(check)


def check() -> Response | None:
    """Leaves the caller in ``g``. 401 when nobody is known where somebody must be, 403 when the rule says no.

    Whoever opens a page without being signed in is sent to sign in first.
    """
    if request.endpoint is None:
        return None  # There is nothing at this address, or not by this method: told to anybody.
    rule = RULES.get(request.endpoint, Rule())
    if rule.is_public:
        return None
    caller = _caller()
    if caller is None:
        return _to_sign_in()
    g.caller = caller
    _judge(caller, rule)
    return None


def check_scope(need: Need) -> None:
    """One more interaction within a request, as an entry of a Bundle or what a search includes. Raises 403."""
    caller: Caller = g.caller
    if caller.kind is Kind.SYSTEM and not (caller.scopes and caller.scopes.allow(need)):
        raise forbidden(f"This needs the scope {need}, which the token does not hold.")


def forbidden(words: str) -> Fault:
    return Fault(FaultKind.FORBIDDEN, error("forbidden", "forbidden", words))


def _caller() -> Caller | None:
    if not gate().asks:
        return ANYONE
    person = sessions.signed_in()
    if person is None and not _is_page():
        raise Fault(FaultKind.LOGIN, error("login", "login", "Nobody is known by this request."))
    return person


def _is_page() -> bool:
    return not request.path.startswith(("/fhir", "/cds-services"))


def _to_sign_in() -> Response:
    """A page that asks by itself is told in a way that leaves it as it is, with all that was typed in it."""
    if request.endpoint in sessions.POLLS:
        return Response("", 401, {"HX-Reswap": "none"})
    return redirect(url_for("signing.show_form", next=sessions.page_of_request()), 303)


def _judge(caller: Caller, rule: Rule) -> None:
    if caller.kind is Kind.SYSTEM:
        if rule.scope is None:
            raise forbidden("This address is for people.")
        if rule.scope != "*":
            type_, _, may = rule.scope.format(**(request.view_args or {})).partition(".")
            check_scope(Need(type_, may))
    elif caller.kind is Kind.PERSON and not caller.has_role(rule.roles):
        raise forbidden("Your role does not open this.")
