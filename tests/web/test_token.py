"""A system gets a token and calls with it. Cases are named by the statement that they hold, of
https://hl7.org/fhir/smart-app-launch/backend-services.html or of the RFC that is named."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import insert, select
from werkzeug.test import TestResponse

from referral_service.access.assertions import read_assertion
from referral_service.access.gate import Gate
from referral_service.access.signed import TokenError
from referral_service.access.tokens import use_up
from referral_service.app import application
from referral_service.intake import Site
from referral_service.policy import Limits
from referral_service.store import systems, tables
from referral_service.store.engine import Store, instant, open_store
from tests.shapes import FHIR_JSON, all_rules, referral
from tests.systems import AUDIENCE, EVERYTHING, LEFT_OUT, System, ec_key, rsa_key

GRANTED = ("system/ServiceRequest.cru", "system/Task.rus", "system/Patient.rs")


@pytest.fixture
def app(site: Site) -> Flask:
    return application(site, Gate(asks=True))


@pytest.fixture
def http(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def system(store: Store) -> System:
    return System().register(store, scopes=GRANTED)


def ask(http: FlaskClient, form: dict[str, Any]) -> TestResponse:
    return http.post("/auth/token", data=form)


def fault(answer: TestResponse) -> tuple[int, str]:
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.status_code, answer.get_json()["error"]


def with_token(http: FlaskClient, token: str, path: str = "/fhir/Task") -> TestResponse:
    return http.get(path, headers={"Authorization": f"Bearer {token}"})


def test_a_valid_request_is_answered_with_a_token_for_five_minutes_at_most(system: System, http: FlaskClient) -> None:
    answer = ask(http, system.form("system/ServiceRequest.cr system/Task.rs"))
    body = answer.get_json()
    assert answer.status_code == 200
    assert {name: body[name] for name in sorted(body) if name != "access_token"} == {
        "expires_in": 300,
        "scope": "system/ServiceRequest.cr system/Task.rs",
        "token_type": "bearer",
    }
    assert len(body["access_token"]) == 43
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    assert answer.mimetype == "application/json"


def test_a_key_of_p384_is_as_good(store: Store, http: FlaskClient) -> None:
    assert ask(http, System("ehr-e", ec_key("e")).register(store).form()).status_code == 200


def test_the_token_is_kept_as_its_hash_only(system: System, http: FlaskClient, store: Store) -> None:
    token = ask(http, system.form()).get_json()["access_token"]
    with store.reading() as connection:
        rows = [dict(row) for row in connection.execute(select(tables.access_token)).mappings()]
    assert [row["hash"] for row in rows] == [hashlib.sha256(token.encode()).hexdigest()]
    assert token not in str(rows)


def test_every_token_is_another(system: System, http: FlaskClient) -> None:
    assert len({ask(http, system.form()).get_json()["access_token"] for _ in range(5)}) == 5


def test_with_a_token_a_referral_is_sent_and_read(system: System, http: FlaskClient) -> None:
    headers = {"Authorization": f"Bearer {ask(http, system.form('system/*.r system/*.c')).get_json().get('x')}"}
    assert http.post("/fhir/ServiceRequest", json=referral(), headers=headers).status_code == 401
    headers = {"Authorization": f"Bearer {ask(http, system.form()).get_json()['access_token']}"}
    sent = http.post("/fhir/ServiceRequest", json=referral(), headers=headers, content_type=FHIR_JSON)
    assert sent.status_code == 201
    read = http.get(f"/fhir/ServiceRequest/{sent.get_json(force=True)['id']}", headers=headers)
    assert read.status_code == 200
    forbidden = http.get("/fhir/Task", headers=headers)
    assert (forbidden.status_code, all_rules(forbidden.get_json(force=True))) == (403, ["forbidden"])


def test_what_is_sent_stands_under_the_client_that_holds_the_token(
    system: System, http: FlaskClient, store: Store
) -> None:
    headers = {"Authorization": f"Bearer {ask(http, system.form()).get_json()['access_token']}"}
    http.post("/fhir/ServiceRequest", json=referral(), headers=headers, content_type=FHIR_JSON)
    with store.reading() as connection:
        assert connection.execute(select(tables.service_request.c.client)).scalars().all() == ["ehr-a"]


PARAMETERS: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "grant_type is required": ({"grant_type": LEFT_OUT}, (400, "invalid_request")),
    "grant_type is required: empty (RFC 6749 3.2)": ({"grant_type": ""}, (400, "invalid_request")),
    "grant_type is fixed: password": ({"grant_type": "password"}, (400, "unsupported_grant_type")),
    "grant_type is fixed: refresh_token": ({"grant_type": "refresh_token"}, (400, "unsupported_grant_type")),
    "grant_type is fixed: authorization_code": ({"grant_type": "authorization_code"}, (400, "unsupported_grant_type")),
    "client_assertion_type is required": ({"client_assertion_type": LEFT_OUT}, (400, "invalid_request")),
    "client_assertion_type is fixed: another": (
        {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
        (400, "invalid_request"),
    ),
    "client_assertion is required": ({"client_assertion": ""}, (400, "invalid_request")),
    "client_assertion is a JWT": ({"client_assertion": "hello"}, (401, "invalid_client")),
    "a parameter stands once (RFC 6749 3.2)": ({"scope": ["system/Task.r", "system/Task.s"]}, (400, "invalid_request")),
    "one way of authentication (RFC 6749 2.3)": ({"client_secret": "s"}, (400, "invalid_request")),
    "client_id is the one of the assertion (RFC 7521 4.2)": ({"client_id": "ehr-b"}, (401, "invalid_client")),
    "scope is required: absent": ({"scope": LEFT_OUT}, (400, "invalid_scope")),
    "scope is required: empty": ({"scope": ""}, (400, "invalid_scope")),
    "scope is within what was granted: another letter": ({"scope": "system/Task.d"}, (400, "invalid_scope")),
    "scope is within what was granted: another type": ({"scope": "system/Condition.r"}, (400, "invalid_scope")),
    "scope is within what was granted: every type": ({"scope": "system/*.r"}, (400, "invalid_scope")),
    "scope is within what was granted: one of two": (
        {"scope": "system/Task.r system/Task.c"},
        (400, "invalid_scope"),
    ),
    "scope is in the grammar of SMART 2: .dus": ({"scope": "system/Task.dus"}, (400, "invalid_scope")),
    "scope is in the grammar of SMART 2: .sr": ({"scope": "system/Task.sr"}, (400, "invalid_scope")),
    "scope is in the grammar of SMART 2: .read": ({"scope": "system/Task.read"}, (400, "invalid_scope")),
    "scope is in the grammar of SMART 2: .write": ({"scope": "system/Task.write"}, (400, "invalid_scope")),
    "scope is in the grammar of SMART 2: .*": ({"scope": "system/Task.*"}, (400, "invalid_scope")),
    "scope is in the grammar of SMART 2: a query": ({"scope": "system/Task.r?status=draft"}, (400, "invalid_scope")),
    "scope is of a system: user/": ({"scope": "user/Task.r"}, (400, "invalid_scope")),
    "scope is of a system: patient/": ({"scope": "patient/Task.r"}, (400, "invalid_scope")),
    "scope is of a system: openid": ({"scope": "openid fhirUser"}, (400, "invalid_scope")),
    "refresh tokens are not issued: offline_access": ({"scope": "offline_access"}, (400, "invalid_scope")),
}


@pytest.mark.parametrize("case", PARAMETERS)
def test_a_request_is_refused_for_its_parameters(system: System, http: FlaskClient, case: str) -> None:
    changed, wanted = PARAMETERS[case]
    form = system.form() | changed
    answer = ask(http, {name: value for name, value in form.items() if value is not LEFT_OUT})
    assert fault(answer) == wanted


CLIENTS: dict[str, Callable[[System], str]] = {
    "exp is no more than five minutes in the future: an hour": lambda one: one.assertion(exp=time.time() + 3600),
    "the JWT has not expired": lambda one: one.assertion(exp=time.time() - 1),
    "exp is required": lambda one: one.assertion(exp=LEFT_OUT),
    "exp is a number": lambda one: one.assertion(exp=str(int(time.time()) + 60)),
    "jti is required": lambda one: one.assertion(jti=LEFT_OUT),
    "iss is the same as sub": lambda one: one.assertion(sub="ehr-b"),
    "aud is the token URL: a list": lambda one: one.assertion(aud=[AUDIENCE]),
    "typ is JWT": lambda one: one.assertion({"typ": "at+jwt"}),
    "jku is the registered one": lambda one: one.assertion({"jku": "https://elsewhere.example/jwks"}),
    "a single key matches kid": lambda one: one.assertion({"kid": "unknown"}),
    "alg is a signature: none": lambda one: one.assertion({"alg": "none"}),
    "alg is asymmetric: HS256": lambda one: one.assertion({"alg": "HS256"}),
    "crit is understood": lambda one: one.assertion({"crit": ["exp"]}),
    "a JWT is no longer than 8 KiB": lambda one: one.assertion(filler="x" * 7000),
    "the client is known": lambda one: System("nobody", one.key).assertion(),
    "the client signed it": lambda _: System(key=rsa_key("stranger")).assertion({"kid": "a"}),
}


@pytest.mark.parametrize("case", CLIENTS)
def test_an_error_of_authentication_is_answered_with_invalid_client(
    system: System, http: FlaskClient, case: str
) -> None:
    assert fault(ask(http, system.form(client_assertion=CLIENTS[case](system)))) == (401, "invalid_client")


def test_an_unknown_client_an_unknown_key_and_a_false_signature_are_not_told_apart(
    system: System, http: FlaskClient
) -> None:
    cases = ("the client is known", "a single key matches kid", "the client signed it", "jku is the registered one")
    answers = [ask(http, system.form(client_assertion=CLIENTS[case](system))) for case in cases]
    assert len({answer.text for answer in answers}) == 1


def test_what_is_said_of_an_error_holds_nothing_that_was_sent(system: System, http: FlaskClient) -> None:
    for case, make in CLIENTS.items():
        token = make(system)
        words = ask(http, system.form(client_assertion=token)).get_json()["error_description"]
        assert not any(part in words for part in token.split(".") if len(part) > 3), case
        assert '"' not in words
        assert "\\" not in words


def test_a_jti_counts_once_for_an_issuer(system: System, http: FlaskClient) -> None:
    form = system.form(client_assertion=system.assertion(jti="n-1"))
    assert ask(http, form).status_code == 200
    assert fault(ask(http, form)) == (401, "invalid_client")
    assert fault(ask(http, system.form(client_assertion=system.assertion(jti="n-1")))) == (401, "invalid_client")


def test_a_jti_of_another_issuer_is_another(system: System, http: FlaskClient, store: Store) -> None:
    other = System("ehr-b", rsa_key("b")).register(store)
    answers = [ask(http, one.form(client_assertion=one.assertion(jti="n-1"))) for one in (system, other)]
    assert [answer.status_code for answer in answers] == [200, 200]


def test_an_assertion_that_asked_for_too_much_is_used_up(system: System, http: FlaskClient) -> None:
    form = system.form("system/*.cruds")
    assert fault(ask(http, form)) == (400, "invalid_scope")
    assert fault(ask(http, form | {"scope": "system/Task.r"})) == (401, "invalid_client")


def test_a_forged_assertion_uses_up_no_jti(system: System, http: FlaskClient) -> None:
    forged = System(key=rsa_key("stranger")).assertion({"kid": "a"}, jti="n-1")
    assert fault(ask(http, system.form(client_assertion=forged))) == (401, "invalid_client")
    assert ask(http, system.form(client_assertion=system.assertion(jti="n-1"))).status_code == 200


def test_a_jti_is_remembered_after_a_restart(system: System, http: FlaskClient, site: Site) -> None:
    form = system.form()
    assert ask(http, form).status_code == 200
    again = application(site, Gate(asks=True)).test_client()
    assert fault(ask(again, form)) == (401, "invalid_client")


def test_of_sixteen_at_once_exactly_one_gets_a_token(system: System, app: Flask) -> None:
    form = system.form()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ask(app.test_client(), form).status_code, range(16)))
    assert sorted(answers) == [200] + [401] * 15


def test_a_form_is_the_only_way_to_ask(system: System, http: FlaskClient) -> None:
    form = system.form()
    assert fault(http.post("/auth/token", json=form)) == (415, "invalid_request")
    assert fault(http.post("/auth/token", query_string=form, data=form)) == (400, "invalid_request")
    assert fault(http.post("/auth/token", data=form, headers={"Authorization": "Basic eDp5"})) == (
        400,
        "invalid_request",
    )
    assert fault(ask(http, form | {"more": "x" * 40_000})) == (413, "invalid_request")
    assert http.get("/auth/token", query_string=form).status_code == 405


def test_a_parameter_that_is_not_known_is_passed_over(system: System, http: FlaskClient) -> None:
    assert ask(http, system.form() | {"resource": "x", "client_id": "ehr-a"}).status_code == 200


NO_TOKENS = {
    "absent": {},
    "empty": {"Authorization": ""},
    "no bearer": {"Authorization": "Basic ZWhyLWE6eA=="},
    "unknown": {"Authorization": f"Bearer {'x' * 43}"},
    "of another form": {"Authorization": "Bearer a.b.c"},
    "with NUL": {"Authorization": "Bearer \0"},
    "no token": {"Authorization": "Bearer"},
}


@pytest.mark.parametrize("case", NO_TOKENS)
def test_the_resource_server_validates_the_token_which_is(http: FlaskClient, case: str) -> None:
    answer = http.get("/fhir/Task", headers=NO_TOKENS[case])
    rule, challenge = ("login", "Bearer") if case == "absent" else ("invalid-token", 'Bearer error="invalid_token"')
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, challenge)
    assert all_rules(answer.get_json(force=True)) == [rule]


def test_a_token_in_the_address_counts_for_nothing(system: System, app: Flask, http: FlaskClient) -> None:
    assert http.get(f"/fhir/Task?access_token={system.token(app, 'system/Task.s')}").status_code == 401


def test_the_word_bearer_may_be_written_in_any_case(system: System, app: Flask, http: FlaskClient) -> None:
    token = system.token(app, "system/Task.s")
    assert http.get("/fhir/Task", headers={"Authorization": f"bearer {token}"}).status_code == 200


def test_a_token_that_has_expired_is_refused(system: System, http: FlaskClient, store: Store) -> None:
    token = "t" * 43
    for seconds, status in ((2, 200), (-1, 401)):
        with store.writing() as connection:
            connection.execute(tables.access_token.delete())
            expires = instant(datetime.now(UTC) + timedelta(seconds=seconds))
            row = {"hash": hashlib.sha256(token.encode()).hexdigest(), "client": system.id, "expires": expires}
            connection.execute(insert(tables.access_token).values(**row, scopes="system/Task.s"))
        assert with_token(http, token).status_code == status


def test_revoking_a_client_ends_its_tokens_at_once(system: System, app: Flask, http: FlaskClient, store: Store) -> None:
    token = system.token(app, "system/Task.s")
    assert with_token(http, token).status_code == 200
    with store.writing() as connection:
        assert systems.revoke(connection, system.id, datetime.now(UTC))
    assert with_token(http, token).status_code == 401
    assert fault(ask(http, system.form())) == (401, "invalid_client")


def test_a_client_registered_anew_signs_with_its_new_key_and_holds_no_old_token(
    system: System, app: Flask, http: FlaskClient, store: Store
) -> None:
    token = system.token(app, "system/Task.s")
    with store.writing() as connection:
        systems.revoke(connection, system.id, datetime.now(UTC))
    renewed = System(key=rsa_key("renewed")).register(store, scopes=GRANTED)
    assert with_token(http, token).status_code == 401
    assert fault(ask(http, system.form())) == (401, "invalid_client")
    assert ask(http, renewed.form()).status_code == 200


def test_a_client_that_is_revoked_while_it_asks_gets_no_token(system: System, store: Store) -> None:
    assertion = read_assertion(system.assertion(), AUDIENCE, datetime.now(UTC))
    with store.reading() as connection:
        row = systems.client_in_use(connection, system.id)
    assert row is not None
    with store.writing() as connection:
        systems.revoke(connection, system.id, datetime.now(UTC))
    with pytest.raises(TokenError, match="No registered client"), store.writing() as connection:
        use_up(connection, assertion, row)


def test_a_token_that_a_revoked_client_holds_after_all_is_refused(
    system: System, http: FlaskClient, store: Store
) -> None:
    token = "t" * 43
    with store.writing() as connection:
        systems.revoke(connection, system.id, datetime.now(UTC))
        token_hash = hashlib.sha256(token.encode()).hexdigest()
        systems.keep_token(connection, token_hash, system.id, "system/Task.s", datetime(2099, 1, 1, tzinfo=UTC))
    assert with_token(http, token).status_code == 401


def test_what_has_expired_is_removed_with_the_next_token(system: System, http: FlaskClient, store: Store) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    with store.writing() as connection:
        systems.keep_token(connection, "0" * 64, system.id, "system/Task.s", long_ago)
        systems.use_up(connection, system.id, "long-ago", long_ago)
    assert ask(http, system.form()).status_code == 200
    with store.reading() as connection:
        hashes = connection.execute(select(tables.access_token.c.hash)).scalars().all()
        used = connection.execute(select(tables.assertion_jti.c.jti)).scalars().all()
    assert (len(hashes), "0" * 64 in hashes, len(used), "long-ago" in used) == (1, False, 1, False)


def test_discovery_names_the_token_endpoint_and_how_to_authenticate(http: FlaskClient) -> None:
    answer = http.get("/fhir/.well-known/smart-configuration", headers={"Accept": "application/json"})
    found = answer.get_json()
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert "system/ServiceRequest.cruds" in found.pop("scopes_supported")
    assert found == {
        "token_endpoint": AUDIENCE,
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
        "code_challenge_methods_supported": ["S256"],
        "capabilities": ["client-confidential-asymmetric", "permission-v2"],
    }


def test_every_scope_that_discovery_names_can_be_granted(http: FlaskClient, app: Flask, store: Store) -> None:
    named = http.get("/fhir/.well-known/smart-configuration").get_json()["scopes_supported"]
    one = System("ehr-s", rsa_key("s")).register(store, scopes=tuple(named))
    assert one.token(app, " ".join(named))


def test_the_capability_statement_says_where_tokens_come_from(http: FlaskClient) -> None:
    security = http.get("/fhir/metadata").get_json(force=True)["rest"][0]["security"]
    assert security["extension"] == [
        {
            "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
            "extension": [{"url": "token", "valueUri": AUDIENCE}],
        }
    ]
    assert security["service"][0]["coding"] == [
        {"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR"}
    ]


def test_while_the_database_is_away_who_asks_is_told_to_try_again(
    system: System, app: Flask, http: FlaskClient, site: Site
) -> None:
    gone = open_store("postgresql://nobody@127.0.0.1:1/away")
    app.extensions["site"] = replace(site, store=gone)
    answer = ask(http, system.form())
    gone.close()
    assert fault(answer) == (503, "temporarily_unavailable")
    assert (answer.mimetype, answer.headers["Retry-After"]) == ("application/json", "5")
    app.extensions["site"] = site
    assert ask(http, system.form()).status_code == 200


def test_who_asks_too_often_is_told_so_as_oauth_has_it(system: System, site: Site) -> None:
    few = replace(site, policy=replace(site.policy, limits=Limits(known=1, unknown=1)))
    http = application(few, Gate(asks=True)).test_client()
    answers = [ask(http, system.form()) for _ in range(8)]
    refused = next(one for one in answers if one.status_code != 200)
    assert fault(refused) == (429, "temporarily_unavailable")
    assert (refused.mimetype, refused.headers["Retry-After"]) == ("application/json", "1")


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_only_post_asks_for_a_token(http: FlaskClient, method: str) -> None:
    answer = http.open("/auth/token", method=method)
    assert fault(answer) == (405, "invalid_request")
    assert answer.headers["Allow"] == "OPTIONS, POST"


def test_where_nobody_is_asked_there_are_no_tokens(site: Site, system: System) -> None:
    open_to_all = application(site).test_client()
    assert ask(open_to_all, system.form()).status_code == 404
    assert open_to_all.get("/fhir/.well-known/smart-configuration").status_code == 404
    assert "security" not in open_to_all.get("/fhir/metadata").get_json(force=True)["rest"][0]


def test_an_assertion_for_everything_is_for_what_was_granted(store: Store, app: Flask, http: FlaskClient) -> None:
    one = System("ehr-w", rsa_key("w")).register(store, scopes=("system/*.rs",))
    assert ask(http, one.form("system/Task.rs system/Patient.r")).get_json()["scope"] == (
        "system/Patient.r system/Task.rs"
    )
    assert fault(ask(http, one.form(EVERYTHING))) == (400, "invalid_scope")
    assert with_token(http, one.token(app, "system/*.s")).status_code == 200
