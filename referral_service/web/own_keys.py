"""GET /.well-known/jwks.json: the public key that EHRs check this service's assertions with.

https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html#registering-a-client-communicating-public-keys
"""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from referral_service.web.http import gate

blueprint = Blueprint("own_keys", __name__)
KEPT_SECONDS = 3600


@blueprint.get("/.well-known/jwks.json")
def publish() -> Response:
    """Empty where there is no key, and this service therefore no client of anybody."""
    key = gate().own_key
    response = jsonify({"keys": [key.published()] if key is not None else []})
    response.headers["Cache-Control"] = f"max-age={KEPT_SECONDS}"
    return response
