"""Signing in at an OpenID provider: authorization code with PKCE, by Authlib, and what Authlib leaves to its users.

https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth
"""

from __future__ import annotations

import logging
from typing import Any

from authlib.integrations.flask_client import OAuth  # type: ignore[import-untyped]
from flask import Blueprint, Flask, current_app, request, session, url_for
from werkzeug.wrappers import Response

from referral_service.access import people
from referral_service.access.gate import OpenId
from referral_service.access.people import PersonError
from referral_service.web import sessions, signing
from referral_service.web.authentications import refused_seldom
from referral_service.web.http import gate, now, site
from referral_service.web.pages import not_found

blueprint = Blueprint("openid", __name__, url_prefix="/sign-in/openid")
log = logging.getLogger("referral_service")

SECONDS = 5
SIGNED_BY = ["RS256", "PS256", "ES256", "ES384", "EdDSA"]
"""Signatures by a key that only the provider has; a provider's own list might hold others."""
_NEXT = "openid-next"
_FAILED = "Signing in at the provider did not work. Try again; if it stays so, tell whoever looks after this service."


class NotOurs(ValueError):
    """What says that it is the provider, and is not."""


def register(app: Flask, provider: OpenId | None) -> None:
    """Nothing is asked of the provider before somebody signs in there."""
    if provider is None:
        return
    # It would write each code verifier into a log at DEBUG.
    logging.getLogger("authlib").setLevel(logging.INFO)
    method = "client_secret_basic" if provider.client_secret else "none"
    kwargs = {"scope": "openid profile", "code_challenge_method": "S256", "default_timeout": SECONDS}
    app.extensions["openid"] = OAuth(app).register(
        "openid",
        client_id=provider.client_id,
        client_secret=provider.client_secret,
        server_metadata_url=f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={**kwargs, "token_endpoint_auth_method": method},
    )


@blueprint.get("")
def begin() -> Any:
    """To the provider; state, nonce and code verifier wait in the session."""
    provider = _provider()
    session[_NEXT] = sessions.own_page(request.args.get("next", "")) or ""
    try:
        return _client(provider).authorize_redirect(f"{site().public_url}{url_for('openid.back')}")
    except Exception as problem:
        return _failed(problem)


@blueprint.get("/back")
def back() -> Response | tuple[str, int]:
    """From the provider, with a code that is exchanged for an ID token."""
    provider = _provider()
    following = str(session.pop(_NEXT, ""))
    try:
        claims = _claims(provider)
    except Exception as problem:
        return _failed(problem)
    try:
        with site().store.writing() as connection:
            row = people.known_by_provider(
                connection, provider.issuer, claims["sub"], _name(claims), _values(claims, provider), now()
            )
    except PersonError as problem:
        with site().store.writing() as connection:
            people.end_sessions_of_subject(connection, provider.issuer, claims["sub"])
        if problem.known is not None:
            refused_seldom(people.caller_of(problem.known), "not-entitled")
        return signing.page("", str(problem)), 403
    return signing.begin(row, following)


def _provider() -> OpenId:
    provider = gate().openid
    if provider is None:
        raise not_found("There is nothing at this address.")
    return provider


def _client(provider: OpenId) -> Any:
    """Authlib's client, once the provider's description is read and found to be of that provider.

    https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationValidation
    """
    client = current_app.extensions["openid"]
    described = client.load_server_metadata()
    if described.get("issuer") != provider.issuer:
        described.clear()
        raise NotOurs("the issuer is another one")
    described["id_token_signing_alg_values_supported"] = SIGNED_BY
    return client


def _claims(provider: OpenId) -> dict[str, Any]:
    """The claims of the ID token: signed by the provider, for us, for this sign-in, and not over."""
    wanted = {
        "iss": {"essential": True, "value": provider.issuer},
        "aud": {"essential": True, "value": provider.client_id},
        "sub": {"essential": True},
        "nonce": {"essential": True},
    }
    token = _client(provider).authorize_access_token(claims_options=wanted, leeway=60)
    claims = token.get("userinfo")
    if not claims:
        raise NotOurs("no ID token came")
    if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
        raise NotOurs("the subject is no text")
    return dict(claims)


def _name(claims: dict[str, Any]) -> str:
    names = (claims.get(one) for one in ("name", "preferred_username"))
    found = next((one for one in names if isinstance(one, str) and one.strip()), "")
    return "".join(sign for sign in found if sign.isprintable())


def _values(claims: dict[str, Any], provider: OpenId) -> list[str]:
    """The values of the claim that names the role; dots lead into objects, as in ``realm_access.roles``."""
    value: Any = claims
    for part in provider.role_claim.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str)]


def _failed(problem: Exception) -> tuple[str, int]:
    """What went wrong may hold what was sent, so only its kind is told to the log."""
    log.warning("openid_failed kind=%s", type(problem).__name__)
    return signing.page("", _FAILED), 502
