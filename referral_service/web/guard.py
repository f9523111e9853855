"""Before any route: who calls, and whether the rule of the route lets them."""

from __future__ import annotations

from flask import Flask, g, request

from referral_service.access.callers import ANYONE, Caller, Kind
from referral_service.access.scopes import Need
from referral_service.issues import Fault, FaultKind, error
from referral_service.web.auditing import begin
from referral_service.web.http import gate
from referral_service.web.rules import RULES, Rule


def register(app: Flask) -> None:
    app.before_request(check)


def check() -> None:
    """Leaves the caller in ``g``. 401 when nobody is known where somebody must be, 403 when the rule says no."""
    if request.endpoint is None:
        return  # There is nothing at this address, or not by this method: told to anybody.
    rule = RULES.get(request.endpoint, Rule())
    if not rule.is_public:
        g.caller = _caller()
        begin(g.caller)
        _judge(g.caller, rule)


def check_scope(need: Need) -> None:
    """One more interaction within a request, as an entry of a Bundle or what a search includes. Raises 403."""
    caller: Caller = g.caller
    if caller.kind is Kind.SYSTEM and not (caller.scopes and caller.scopes.allow(need)):
        raise forbidden(f"This needs the scope {need}, which the token does not hold.")


def forbidden(words: str) -> Fault:
    return Fault(FaultKind.FORBIDDEN, error("forbidden", "forbidden", words))


def _caller() -> Caller:
    if not gate().asks:
        return ANYONE
    raise Fault(FaultKind.LOGIN, error("login", "login", "Nobody is known by this request."))


def _judge(caller: Caller, rule: Rule) -> None:
    if caller.kind is Kind.SYSTEM:
        if rule.scope is None:
            raise forbidden("This address is for people.")
        if rule.scope != "*":
            type_, _, may = rule.scope.format(**(request.view_args or {})).partition(".")
            check_scope(Need(type_, may))
    elif caller.kind is Kind.PERSON and not caller.has_role(rule.roles):
        raise forbidden("Your role does not open this.")
