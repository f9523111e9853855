"""Keys that are fetched, at the doors: a client that publishes its own, and an issuer outside whose tokens count."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from joserfc.jwk import ECKey, RSAKey

from referral_service.access.gate import Gate
from referral_service.access.issuer import ALGORITHMS, Issuer
from referral_service.access.key_sets import KeySets
from referral_service.app import application, gate_of
from referral_service.intake import Site
from referral_service.settings import OutsideIssuer, SettingsError, from_environment
from referral_service.store.engine import Store
from tests.publishers import Publisher
from tests.shapes import FHIR_JSON, all_rules, referral
from tests.systems import LEFT_OUT, System, changed_as, ec_key, public, rsa_key, signed

NAME = "https://login.example/realms/clinic"
SCOPE = "openid profile system/ServiceRequest.cr system/Task.s"


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    opened = Publisher()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    keys = (rsa_key("r"), ec_key("e256", "P-256"), ec_key("e384"))
    opened.publish(*map(public, keys))
    with opened.trusted(tmp_path / "trusted.pem"):
        yield opened


@pytest.fixture
def app(site: Site, publisher: Publisher) -> Flask:
    allowed = frozenset({publisher.origin})
    issuer = Issuer(NAME, publisher.address, "referrals", KeySets(allowed, ALGORITHMS))
    return application(site, Gate(asks=True, key_sets=KeySets(allowed), issuer=issuer))


@pytest.fixture
def system(store: Store) -> System:
    scopes = ("system/ServiceRequest.cr system/Task.rs",)
    return System("ehr-o").register(store, scopes=scopes, jwks=None, outside_issuer=True)


def outside(
    header: dict[str, Any] | None = None, key: RSAKey | ECKey | None = None, algorithm: str = "RS256", **claims: Any
) -> str:
    """An access token of the issuer, for the client ``ehr-o`` unless ``claims`` say otherwise."""
    signer = key or rsa_key("r")
    written = {
        "iss": NAME,
        "aud": ["account", "referrals"],
        "exp": time.time() + 3600,
        "iat": time.time(),
        "azp": "ehr-o",
        "scope": SCOPE,
        "sub": "service-account",
        "jti": "j",
    }
    headed = changed_as({"alg": algorithm, "typ": "JWT", "kid": signer.kid}, header or {})
    return signed(headed, changed_as(written, claims), signer, algorithm)


def status_with(app: Flask, token: str) -> int:
    return app.test_client().get("/fhir/Task", headers={"Authorization": f"Bearer {token}"}).status_code


def test_a_client_that_publishes_its_keys_gets_a_token_and_changes_its_key_by_itself(
    app: Flask, store: Store, publisher: Publisher
) -> None:
    System("ehr-p", rsa_key("r")).register(store, jwks_url=publisher.address)
    jku = {"jku": publisher.address}
    for key in (rsa_key("r"), ec_key("e384")):
        one = System("ehr-p", key)
        form = one.form("system/Task.s", client_assertion=one.assertion(jku))
        assert app.test_client().post("/auth/token", data=form).status_code == 200
    publisher.publish(public(rsa_key("new")))
    assert System("ehr-p", rsa_key("new")).token(app, "system/Task.s")
    assert [call.path for call in publisher.calls] == ["/jwks.json"] * 2


def test_a_client_without_keys_of_its_own_gets_no_token_here(app: Flask, system: System) -> None:
    assert app.test_client().post("/auth/token", data=system.form()).get_json()["error"] == "invalid_client"


@pytest.mark.usefixtures("system")
def test_with_a_token_from_outside_a_referral_is_sent(app: Flask) -> None:
    headers = {"Authorization": f"Bearer {outside()}"}
    http = app.test_client()
    sent = http.post("/fhir/ServiceRequest", json=referral(), headers=headers, content_type=FHIR_JSON)
    assert sent.status_code == 201
    read = http.get(f"/fhir/ServiceRequest/{sent.get_json(force=True)['id']}", headers=headers)
    assert read.status_code == 200
    forbidden = http.get("/fhir/Patient", headers=headers)
    assert (forbidden.status_code, all_rules(forbidden.get_json(force=True))) == (403, ["forbidden"])


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        *((name, rsa_key("r")) for name in ("RS256", "RS384", "PS256", "PS384")),
        *(("ES256", ec_key("e256", "P-256")), ("ES384", ec_key("e384"))),
    ],
)
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.usefixtures("system")
def test_the_usual_algorithms_are_taken(app: Flask, algorithm: str, key: RSAKey | ECKey) -> None:
    assert status_with(app, outside(key=key, algorithm=algorithm)) == 200


ACCEPTED: dict[str, dict[str, Any]] = {
    "the client stands in client_id": {"azp": LEFT_OUT, "client_id": "ehr-o"},
    "the client stands in both": {"client_id": "ehr-o"},
    "the audience is one text": {"aud": "referrals"},
    "the type is at+jwt (RFC 9068 2.1)": {"header": {"typ": "at+jwt"}},
}
REFUSED: dict[str, dict[str, Any]] = {
    "it has expired": {"exp": time.time() - 1},
    "it never expires": {"exp": LEFT_OUT},
    "exp is a text": {"exp": "2099"},
    "it does not count yet": {"nbf": time.time() + 3000},
    "the issuer is another": {"iss": "https://login.example/realms/other"},
    "the issuer has a slash more": {"iss": f"{NAME}/"},
    "the audience is another": {"aud": "account"},
    "the audience is absent": {"aud": LEFT_OUT},
    "the audience is an object": {"aud": {"referrals": 1}},
    "no client is named": {"azp": LEFT_OUT},
    "two clients are named": {"client_id": "ehr-o", "azp": "ehr-b"},
    "the client is not registered": {"azp": "ehr-x"},
    "the client is no text": {"azp": ["ehr-o"]},
    "the client holds NUL": {"azp": "ehr-o\0"},
    "scope is absent": {"scope": LEFT_OUT},
    "scope is a list": {"scope": ["system/Task.s"]},
    "scope holds nothing for systems": {"scope": "openid user/Task.s"},
    "scope is wider than what was granted": {"scope": "system/Task.s system/Task.u"},
    "scope is wider: every type": {"scope": "system/*.s"},
    "scope is out of order": {"scope": "system/Task.sr"},
    "scope is in the grammar of SMART 1": {"scope": "system/Task.s system/Task.read"},
    "the algorithm is none": {"header": {"alg": "none"}},
    "the algorithm is HS256": {"header": {"alg": "HS256"}},
    "the type is that of a logout token": {"header": {"typ": "logout+jwt"}},
    "crit is there": {"header": {"crit": ["exp"]}},
    "the key is not known": {"header": {"kid": "unknown"}},
    "the signature is of another key": {"key": rsa_key("stranger"), "header": {"kid": "r"}},
    "it is longer than 8 KiB": {"filler": "x" * 9000},
}


@pytest.mark.parametrize("case", ACCEPTED)
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.usefixtures("system")
def test_a_token_counts_when(app: Flask, case: str) -> None:
    assert status_with(app, outside(**ACCEPTED[case])) == 200


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.usefixtures("system")
def test_a_token_does_not_count_when(app: Flask, case: str) -> None:
    assert status_with(app, outside(**REFUSED[case])) == 401


@pytest.mark.parametrize("own", ["jwks", "jwks_url"])
def test_a_token_from_outside_does_not_count_for_a_client_with_keys_of_its_own(
    app: Flask, store: Store, publisher: Publisher, own: str
) -> None:
    keys: dict[str, Any] = {"jwks_url": publisher.address} if own == "jwks_url" else {}
    System("ehr-own").register(store, scopes=(SCOPE.partition("profile ")[2],), **keys)
    assert status_with(app, outside(azp="ehr-own")) == 401


@pytest.mark.usefixtures("system")
def test_without_an_issuer_no_token_from_outside_counts(site: Site) -> None:
    assert status_with(application(site, Gate(asks=True)), outside()) == 401


GIVEN = {
    "REFERRAL_ISSUER": NAME,
    "REFERRAL_ISSUER_JWKS": f"{NAME}/certs",
    "REFERRAL_ISSUER_AUDIENCE": "referrals",
    "REFERRAL_SECRET_KEY": "k" * 32,
}


def test_an_issuer_is_named_with_its_keys_and_audience(tmp_path: Path) -> None:
    settings = from_environment(GIVEN | {"REFERRAL_DATABASE_URL": f"sqlite:///{tmp_path / 'store.db'}"})
    assert settings.issuer == OutsideIssuer(NAME, f"{NAME}/certs", "referrals")
    issuer = gate_of(settings).issuer
    assert issuer is not None
    assert (issuer.name, issuer.keys_at, issuer.audience) == (NAME, f"{NAME}/certs", "referrals")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"REFERRAL_ISSUER": ""}, "are given together"),
        ({"REFERRAL_ISSUER_JWKS": ""}, "are given together"),
        ({"REFERRAL_ISSUER_AUDIENCE": ""}, "are given together"),
        ({"REFERRAL_ISSUER_JWKS": "http://login.example/certs"}, "REFERRAL_ISSUER_JWKS is no https address"),
        ({"REFERRAL_ISSUER_JWKS": "certs"}, "REFERRAL_ISSUER_JWKS is no https address"),
    ],
)
def test_half_an_issuer_is_none(changed: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        from_environment(GIVEN | changed)
