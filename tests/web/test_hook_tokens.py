"""Who calls by CDS Hooks: an EHR with a token that it has signed itself for just this call, or one of our own tokens.

https://cds-hooks.hl7.org/2.0/#trusting-cds-clients
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from referral_service.access.gate import Gate
from referral_service.access.registering import RegistrationError
from referral_service.app import application
from referral_service.intake import Site
from referral_service.store.engine import Store
from referral_service.store.systems import revoke
from tests.conftest import RECEIVED_AT
from tests.hooking import SERVICE, call, draft, known_patient, send
from tests.shapes import all_rules, referral
from tests.systems import LEFT_OUT, System, ec_key, rsa_key

ISSUER = "https://ehr.example/hooks"
HERE = f"http://localhost{SERVICE}"
SCOPE = "system/ServiceRequest.c"


@pytest.fixture
def app(site: Site) -> Flask:
    return application(site, Gate(asks=True))


@pytest.fixture
def http(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def ehr(store: Store) -> System:
    return System("ehr-a", ec_key("h")).register(store, scopes=(SCOPE,), cds_issuer=ISSUER)


def token(ehr: System, header: dict[str, Any] | None = None, **claims: Any) -> str:
    said = {"iss": ISSUER, "sub": LEFT_OUT, "aud": HERE, "iat": time.time(), **claims}
    return ehr.assertion(header, **said)


def ask(http: FlaskClient, bearer: str, path: str = SERVICE) -> TestResponse:
    return send(http, call(draft()), path, Authorization=f"Bearer {bearer}")


def refused(answer: TestResponse) -> tuple[int, list[str], str]:
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    outcome = answer.get_json()
    return answer.status_code, all_rules(outcome), outcome["issue"][0]["diagnostics"]


@pytest.mark.parametrize("key", [ec_key("h"), rsa_key("h")], ids=["ES384", "RS384"])
def test_an_ehr_calls_with_a_token_that_it_has_signed_itself(http: FlaskClient, store: Store, key: Any) -> None:
    ehr = System("ehr-a", key).register(store, scopes=(SCOPE,), cds_issuer=ISSUER)
    answer = ask(http, token(ehr))
    assert (answer.status_code, len(answer.get_json()["cards"])) == (200, 1)


def test_one_of_several_audiences_may_be_this_address(http: FlaskClient, ehr: System) -> None:
    assert ask(http, token(ehr, aud=["https://other.example", HERE])).status_code == 200


def test_its_own_open_referral_is_told_to_it(app: Flask, http: FlaskClient, store: Store) -> None:
    ehr = System("ehr-a", ec_key("h")).register(store, cds_issuer=ISSUER)
    contained = [{**known_patient(), "id": "p"}]
    sent = referral(subject={"reference": "#p"}, contained=contained)
    assert http.post("/fhir/ServiceRequest", json=sent, headers=ehr.bearer(app)).status_code == 201
    cards = ask(http, token(ehr)).get_json()["cards"]
    assert [card["summary"][:34] for card in cards] == [
        "Would go to Adult movement disorde",
        "A referral for this patient is ope",
    ]


def test_a_token_of_ours_is_taken_too(app: Flask, http: FlaskClient, ehr: System) -> None:
    assert ask(http, ehr.token(app, SCOPE)).status_code == 200


def test_feedback_has_an_address_of_its_own(http: FlaskClient, ehr: System) -> None:
    [card] = ask(http, token(ehr)).get_json()["cards"]
    given, path = {"feedback": [{"card": card["uuid"], "outcome": "accepted"}]}, f"{SERVICE}/feedback"
    signed = token(ehr, aud=f"{HERE}/feedback")
    assert send(http, given, path, Authorization=f"Bearer {signed}").status_code == 200
    assert send(http, given, path, Authorization=f"Bearer {token(ehr)}").status_code == 401


AUDIENCE = "The claim aud is the address that is called, letter for letter."
NOT_KNOWN = "No registered client has signed this with a key that is known."
BAD: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "another audience": ({}, {"aud": "http://localhost/cds-services"}, AUDIENCE),
    "our address with a slash": ({}, {"aud": f"{HERE}/"}, AUDIENCE),
    "no audience": ({}, {"aud": LEFT_OUT}, AUDIENCE),
    "an issuer that is unknown": ({}, {"iss": "https://evil.example"}, NOT_KNOWN),
    "the client's id as issuer": ({}, {"iss": "ehr-a"}, NOT_KNOWN),
    "no issuer": ({}, {"iss": LEFT_OUT}, "The claim iss is the URL by which the system was registered."),
    "no iat": ({}, {"iat": LEFT_OUT}, "The claim iat is missing."),
    "no exp": ({}, {"exp": LEFT_OUT}, "The claim exp is missing."),
    "expired": ({}, {"exp": time.time() - 1, "iat": time.time() - 60}, "The token has expired."),
    "too long": ({}, {"exp": time.time() + 3600}, "The claim exp is more than 300 seconds ahead."),
    "no jti": ({}, {"jti": LEFT_OUT}, "The claim jti is a text of 1 to 128 printable characters."),
    "another key set": ({"jku": "https://evil.example/jwks"}, {}, NOT_KNOWN),
    "another kid": ({"kid": "x"}, {}, NOT_KNOWN),
}


@pytest.mark.parametrize(("header", "claims", "words"), BAD.values(), ids=BAD.keys())
def test_a_token_that_says_something_else_is_refused(
    http: FlaskClient, ehr: System, header: dict[str, Any], claims: dict[str, Any], words: str
) -> None:
    assert refused(ask(http, token(ehr, header, **claims))) == (401, ["invalid-token"], words)


@pytest.mark.usefixtures("ehr")
def test_a_token_signed_by_somebody_else_is_refused(http: FlaskClient) -> None:
    forged = token(System("ehr-a", rsa_key("h")))
    assert refused(ask(http, forged))[2] == NOT_KNOWN


def test_a_token_counts_once(http: FlaskClient, ehr: System) -> None:
    used = token(ehr)
    assert ask(http, used).status_code == 200
    words = "The token was used before; each has a jti of its own."
    assert refused(ask(http, used)) == (401, ["invalid-token"], words)


def test_a_revoked_client_is_refused(http: FlaskClient, store: Store, ehr: System) -> None:
    with store.writing() as connection:
        assert revoke(connection, ehr.id, RECEIVED_AT)
    assert refused(ask(http, token(ehr)))[2] == NOT_KNOWN


def test_what_was_not_granted_is_not_opened(http: FlaskClient, store: Store) -> None:
    reader = System("ehr-b", ec_key("h")).register(store, scopes=("system/Task.rs",), cds_issuer=ISSUER)
    answer = ask(http, token(reader))
    assert (answer.status_code, all_rules(answer.get_json())) == (403, ["forbidden"])


def test_nobody_calls_without_a_token_but_anybody_may_ask_what_there_is(http: FlaskClient) -> None:
    assert (send(http, call(draft())).status_code, http.get("/cds-services").status_code) == (401, 200)


def test_such_a_token_opens_nothing_else(http: FlaskClient, ehr: System) -> None:
    for audience in (HERE, "http://localhost/fhir/Task"):
        headers = {"Authorization": f"Bearer {token(ehr, aud=audience)}"}
        assert http.get("/fhir/Task", headers=headers).status_code == 401


@pytest.mark.usefixtures("ehr")
def test_an_issuer_is_registered_for_one_client_only(store: Store) -> None:
    with pytest.raises(RegistrationError, match="that of another client"):
        System("ehr-b").register(store, cds_issuer=ISSUER)


@pytest.mark.parametrize("wrong", ["ehr.example", "https://ehr.example/a b", "https://" + "e" * 505, ""])
def test_an_issuer_is_a_url(store: Store, wrong: str) -> None:
    with pytest.raises(RegistrationError, match="the issuer of CDS Hooks"):
        System("ehr-b").register(store, cds_issuer=wrong)


def test_an_ehr_without_keys_of_its_own_cannot_call_by_cds_hooks(store: Store) -> None:
    with pytest.raises(RegistrationError, match="keys of its own"):
        System("ehr-b").register(store, jwks=None, outside_issuer=True, cds_issuer=ISSUER)
