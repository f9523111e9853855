"""SMART for systems: POST /auth/token, and the discovery that leads there.

https://hl7.org/fhir/smart-app-launch/backend-services.html and, for errors,
https://www.rfc-editor.org/rfc/rfc6749#section-5.2
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import NotFound, RequestEntityTooLarge

from referral_service.access.assertions import Assertion, check_signer, read_assertion
from referral_service.access.callers import Caller
from referral_service.access.keys import SMART
from referral_service.access.scopes import ScopeError, Scopes, parse_scopes
from referral_service.access.signed import TokenError, issuer_said
from referral_service.access.tokens import TOKEN_SECONDS, granted, issue, system, use_up
from referral_service.store import systems
from referral_service.store.writes import KeyTaken
from referral_service.web.authentications import let_in, refused_seldom
from referral_service.web.http import gate, now, site
from referral_service.web.reading import GRANTABLE

blueprint = Blueprint("token", __name__)

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_FORM = "application/x-www-form-urlencoded"
_MAX_FORM = 32 * 1024


class Refused(Exception):
    """An error of RFC 6749 5.2: its code, words that hold nothing of what was sent, and its HTTP status."""

    def __init__(self, code: str, words: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.words = words
        self.status = status


@blueprint.get("/fhir/.well-known/smart-configuration")
def smart_configuration() -> Response:
    """https://hl7.org/fhir/smart-app-launch/conformance.html#metadata"""
    _check_asked()
    return jsonify(
        {
            "token_endpoint": token_address(),
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": list(SMART),
            "scopes_supported": ["system/*.cruds", *(f"system/{kind}.cruds" for kind in sorted(GRANTABLE))],
            # Required of every server, also of one that has no log-in which would use it.
            "code_challenge_methods_supported": ["S256"],
            "capabilities": ["client-confidential-asymmetric", "permission-v2"],
        }
    )


@blueprint.post("/auth/token")
def give_token() -> Response:
    _check_asked()
    try:
        return _never_kept(jsonify(_token_for(_form())))
    except Refused as refused:
        _leave_refusal(refused)
        response = jsonify({"error": refused.code, "error_description": refused.words})
        response.status_code = refused.status
        return _never_kept(response)


def _leave_refusal(refused: Refused) -> None:
    """Of a client that is known, or of whoever names it in an assertion that is not its own."""
    if refused.code not in ("invalid_client", "invalid_scope"):
        return
    with site().store.reading() as connection:
        client = systems.client_in_use(connection, issuer_said(request.form.get("client_assertion", "")))
    if client is not None:
        refused_seldom(_caller(client), refused.code.replace("_", "-"))


def _caller(client: systems.Row) -> Caller:
    return system(client, parse_scopes(client["scopes"], GRANTABLE))


def token_address() -> str:
    """What the claim ``aud`` of an assertion is to be."""
    return f"{site().public_url}/auth/token"


def _check_asked() -> None:
    """Where nobody is asked who they are, there are no tokens."""
    if not gate().asks:
        raise NotFound


def _never_kept(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    return response


def _form() -> dict[str, str]:
    """The parameters that have a value, each once (RFC 6749 3.2); others than ours are passed over."""
    if request.mimetype != _FORM:
        raise Refused("invalid_request", f"Send {_FORM}.", 415)
    if "Authorization" in request.headers or request.args:
        raise Refused("invalid_request", "The client shows who it is by client_assertion in the form, and only there.")
    request.max_content_length = _MAX_FORM
    try:
        sent: MultiDict[str, str] = request.form
    except RequestEntityTooLarge as problem:
        raise Refused("invalid_request", f"The form is larger than {_MAX_FORM // 1024} KiB.", 413) from problem
    if any(len(values) > 1 for _, values in sent.lists()):
        raise Refused("invalid_request", "A parameter stands twice.")
    return {name: value for name, value in sent.items() if value}


def _token_for(form: dict[str, str]) -> dict[str, Any]:
    assertion = _assertion(form)
    with site().store.reading() as connection:
        client = systems.client_in_use(connection, assertion.issuer)
    try:
        check_signer(assertion, client, gate().key_sets)
        assert client is not None  # or else nobody has signed it
        scopes = _scopes(form.get("scope", ""), client)
        return _issued(assertion, client, scopes)
    except TokenError as problem:
        raise _no_client(str(problem)) from problem


def _assertion(form: dict[str, str]) -> Assertion:
    for name in ("grant_type", "client_assertion_type", "client_assertion"):
        if name not in form:
            raise Refused("invalid_request", f"The parameter {name} is missing.")
    if form["grant_type"] != "client_credentials":
        raise Refused("unsupported_grant_type", "The grant_type is client_credentials.")
    if form["client_assertion_type"] != _ASSERTION_TYPE:
        raise Refused("invalid_request", f"The client_assertion_type is {_ASSERTION_TYPE}.")
    if "client_secret" in form:
        raise Refused("invalid_request", "The client shows who it is by client_assertion, and by nothing else.")
    try:
        assertion = read_assertion(form["client_assertion"], token_address(), now())
    except TokenError as problem:
        raise _no_client(str(problem)) from problem
    if form.get("client_id", assertion.issuer) != assertion.issuer:
        raise _no_client("The client_id is not the one of the assertion.")
    return assertion


def _no_client(words: str) -> Refused:
    return Refused("invalid_client", words, 401)


def _scopes(asked: str, client: systems.Row) -> Scopes | Refused:
    """The scopes asked for, or what is said once the assertion is used up: for it was a good one."""
    try:
        return granted(asked, client, GRANTABLE)
    except ScopeError:
        return Refused("invalid_scope", "A scope is missing, not in the SMART 2 grammar, or not granted to the client.")


def _issued(assertion: Assertion, client: systems.Row, scopes: Scopes | Refused) -> dict[str, Any]:
    try:
        with site().store.writing() as connection:
            use_up(connection, assertion, client)
            token = ""
            if isinstance(scopes, Scopes):
                token = issue(connection, client, scopes, now())
                let_in(connection, system(client, scopes))
    except KeyTaken as problem:
        raise _no_client("The assertion was used before; each has a jti of its own.") from problem
    if isinstance(scopes, Refused):
        raise scopes
    return {"access_token": token, "token_type": "bearer", "expires_in": TOKEN_SECONDS, "scope": str(scopes)}
