"""Who a system is, shown by an assertion it signed. Each case is named by the statement that it holds, of
https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html or of the RFC that this names."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from referral_service.access.assertions import Assertion, check_signer, read_assertion
from referral_service.access.key_sets import KeySets
from referral_service.access.keys import KeySetError, read_key_set, the_one, usable_keys
from referral_service.access.signed import TokenError
from tests.systems import (
    AUDIENCE,
    LEFT_OUT,
    System,
    base64url,
    ec_key,
    key_set,
    public,
    rsa_key,
    signed,
)

NOW = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)
AT = NOW.timestamp()
KEPT_AT = "https://ehr.example/jwks.json"


@pytest.fixture
def system() -> System:
    return System()


def known(*keys: dict[str, Any], jwks_url: str | None = None) -> dict[str, Any]:
    return {"id": "ehr-a", "jwks": key_set(*(keys or (public(rsa_key("a")),))), "jwks_url": jwks_url}


def take(token: str, client: dict[str, Any] | None = None, at: datetime = NOW) -> Assertion:
    assertion = read_assertion(token, AUDIENCE, at)
    check_signer(assertion, client or known(), KeySets())
    return assertion


@pytest.mark.parametrize("key", [rsa_key("a"), ec_key("a")], ids=["RS384", "ES384"])
def test_the_server_shall_validate_signatures_of_rs384_and_es384(key: RSAKey | ECKey) -> None:
    one = System(key=key)
    taken = take(one.assertion(exp=AT + 60, jti="n-1"), known(public(key)))
    assert (taken.issuer, taken.jti, taken.expires) == ("ehr-a", "n-1", NOW + timedelta(seconds=60))


ACCEPTED = {
    "typ may be left out": ({"typ": LEFT_OUT}, {}),
    "exp may be five minutes in the future": ({}, {"exp": int(AT) + 300}),
    "exp may have parts of a second": ({}, {"exp": AT + 59.5}),
    "iat and nbf may be given": ({}, {"iat": int(AT), "nbf": int(AT) - 60}),
    "a clock may run a little ahead": ({}, {"iat": AT + 20, "nbf": AT + 20}),
    "header parameters not understood are ignored (RFC 7515 4)": ({"x5t": "abc", "seen": [1]}, {}),
    "claims not understood are ignored (RFC 7519 4)": ({}, {"client_name": "An EHR", "scope": "system/*.*"}),
    "jti may be 128 characters": ({}, {"jti": "x" * 128}),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_an_assertion_is_taken_when(system: System, case: str) -> None:
    header, claims = ACCEPTED[case]
    assert take(system.assertion(header, **{"exp": AT + 60, **claims})).issuer == "ehr-a"


REFUSED_CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "exp is required: absent": ({"exp": LEFT_OUT}, "exp is missing"),
    "exp is an integer: a string": ({"exp": str(int(AT) + 60)}, "exp is a number"),
    "exp is an integer: null": ({"exp": None}, "exp is a number"),
    "exp is an integer: true": ({"exp": True}, "exp is a number"),
    "exp is an integer: a list": ({"exp": [AT + 60]}, "exp is a number"),
    "exp SHALL be no more than five minutes in the future: an hour": ({"exp": AT + 3600}, "300 seconds ahead"),
    "exp SHALL be no more than five minutes in the future: a second more": ({"exp": AT + 301}, "300 seconds ahead"),
    "exp SHALL be no more than five minutes in the future: milliseconds": ({"exp": AT * 1000}, "300 seconds ahead"),
    "exp SHALL be no more than five minutes in the future: endless digits": ({"exp": 10**400}, "300 seconds ahead"),
    "the JWT has expired (RFC 7523 3.4): a second ago": ({"exp": AT - 1}, "has expired"),
    "the JWT has expired (RFC 7523 3.4): now": ({"exp": AT}, "has expired"),
    "the JWT has expired (RFC 7523 3.4): before the Epoch": ({"exp": -1}, "has expired"),
    "nbf (RFC 7523 3.5): not yet": ({"nbf": AT + 50}, "nbf is ahead"),
    "nbf (RFC 7523 3.5): a string": ({"nbf": "now"}, "nbf is a number"),
    "iat (RFC 7523 3.6): made tomorrow": ({"iat": AT + 86400}, "iat is ahead"),
    "iat (RFC 7523 3.6): a string": ({"iat": "0"}, "iat is a number"),
    "iat (RFC 7523 3.6): after exp": ({"iat": AT + 20, "exp": AT + 10}, "iat is ahead"),
    "iss is required: absent": ({"iss": LEFT_OUT}, "iss and sub"),
    "iss is required: empty": ({"iss": "", "sub": ""}, "iss and sub"),
    "iss is the client_id: a number": ({"iss": 1, "sub": 1}, "iss and sub"),
    "iss is the client_id: one with NUL": ({"iss": "ehr-a\0", "sub": "ehr-a\0"}, "iss and sub"),
    "iss is the client_id: half of a surrogate pair": ({"iss": "\ud800", "sub": "\ud800"}, "iss and sub"),
    "iss is the client_id: longer than any": ({"iss": "e" * 65, "sub": "e" * 65}, "iss and sub"),
    "sub is required: absent": ({"sub": LEFT_OUT}, "iss and sub"),
    "sub is the same as iss: another": ({"sub": "ehr-b"}, "iss and sub"),
    "sub is the same as iss: a list of it": ({"sub": ["ehr-a"]}, "iss and sub"),
    "aud is required: absent": ({"aud": LEFT_OUT}, "aud is the address"),
    "aud is the token URL: a list of it": ({"aud": [AUDIENCE]}, "aud is the address"),
    "aud is the token URL: the FHIR base": ({"aud": "http://localhost/fhir"}, "aud is the address"),
    "aud is the token URL: with a slash behind it": ({"aud": f"{AUDIENCE}/"}, "aud is the address"),
    "aud is the token URL: in capital letters": ({"aud": AUDIENCE.upper()}, "aud is the address"),
    "aud is the token URL: another server's": ({"aud": "https://other.example/auth/token"}, "aud is the address"),
    "jti is required: absent": ({"jti": LEFT_OUT}, "jti is a text"),
    "jti is a string: empty": ({"jti": ""}, "jti is a text"),
    "jti is a string: a number": ({"jti": 1}, "jti is a text"),
    "jti is a string: null": ({"jti": None}, "jti is a text"),
    "jti is a string: one that no database keeps": ({"jti": "n\0"}, "jti is a text"),
    "jti is a string: longer than is kept": ({"jti": "x" * 129}, "jti is a text"),
}


@pytest.mark.parametrize("case", REFUSED_CLAIMS)
def test_an_assertion_is_refused_for_its_claims(system: System, case: str) -> None:
    claims, words = REFUSED_CLAIMS[case]
    with pytest.raises(TokenError, match=words):
        take(system.assertion(**{"exp": AT + 60, **claims}))


REFUSED_HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "alg is required: absent": ({"alg": LEFT_OUT}, "alg is one of RS384, ES384"),
    "alg is RS384 or ES384: none": ({"alg": "none"}, "alg is one of"),
    "alg is RS384 or ES384: None": ({"alg": "None"}, "alg is one of"),
    "alg is RS384 or ES384: RS256": ({"alg": "RS256"}, "alg is one of"),
    "alg is RS384 or ES384: in small letters": ({"alg": "rs384"}, "alg is one of"),
    "alg is RS384 or ES384: a list": ({"alg": ["RS384"]}, "alg is one of"),
    "kid is required: absent": ({"kid": LEFT_OUT}, "kid is missing"),
    "kid is required: empty": ({"kid": ""}, "kid is missing"),
    "kid is required: a number": ({"kid": 1}, "kid is missing"),
    "typ is JWT: another": ({"typ": "at+jwt"}, "typ is JWT"),
    "typ is JWT: in small letters": ({"typ": "jwt"}, "typ is JWT"),
    "typ is JWT: null": ({"typ": None}, "typ is JWT"),
    "typ is JWT: a list": ({"typ": ["JWT"]}, "typ is JWT"),
    "crit not understood is refused (RFC 7515 4.1.11)": ({"crit": ["exp"], "exp": 1}, "holds one of crit"),
    "crit is refused, even an empty one": ({"crit": []}, "holds one of crit"),
    "b64 would change what is signed (RFC 7797)": ({"b64": False}, "holds one of crit"),
    "a nested JWT is refused (RFC 7519 5.2)": ({"cty": "JWT"}, "inside a token"),
}


@pytest.mark.parametrize("case", REFUSED_HEADERS)
def test_an_assertion_is_refused_for_its_header(system: System, case: str) -> None:
    header, words = REFUSED_HEADERS[case]
    with pytest.raises(TokenError, match=words):
        take(system.assertion(header, exp=AT + 60))


def deep(levels: int) -> str:
    return '{"alg":"RS384","kid":"a","x":' + "[" * levels + "]" * levels + "}"


def parts(header: str | bytes, claims: str = "{}") -> str:
    return f"{base64url(header)}.{base64url(claims)}.e30"


MALFORMED = {
    "no JWT at all": "hello",
    "two parts": "e30.e30",
    "four parts": "e30.e30.e30.e30",
    "an empty signature": "e30.e30.",
    "no base64url": "e30=.e30=.e30=",
    "base64url of an impossible length": "e30.e30ee.e30",
    "a header that is no JSON": parts("alg"),
    "a header that is a list": parts("[]"),
    "a header that is nested a thousand times": parts(deep(2000)),
    "a header that names alg twice": parts('{"alg":"none","alg":"RS384","kid":"a"}'),
    "a header that is no UTF-8": parts(b'{"alg":"\xff"}'),
    "claims that are nested a thousand times": parts(deep(0), "[" * 3000),
    "claims with a number that JSON does not have": parts(deep(0), '{"exp":NaN}'),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_jwt_is_a_json_object_signed_in_three_parts_and_is_not(case: str) -> None:
    with pytest.raises(TokenError, match=r"three parts|JSON objects"):
        take(MALFORMED[case])


def test_a_jwt_of_nine_kib_is_not_looked_at(system: System) -> None:
    token = system.assertion(exp=AT + 60, filler="x" * 7000)
    assert len(token) > 9 * 1024
    with pytest.raises(TokenError, match="longer than 8192"):
        take(token)


def test_claims_that_name_exp_twice_are_refused_though_signed(system: System) -> None:
    claims = json.dumps(system.claims(exp=AT + 60))[:-1] + f', "exp": {AT + 3600}}}'
    with pytest.raises(TokenError, match="JSON objects"):
        take(signed(system.header(), claims, system.key, "RS384"))


def test_the_public_key_is_no_secret_to_sign_with_hs256(system: System) -> None:
    for material in (rsa_key("a").as_pem(private=False), json.dumps(public(rsa_key("a"))).encode()):
        message = f"{base64url(json.dumps(system.header(alg='HS256')))}.{base64url(json.dumps(system.claims()))}"
        mac = hmac.digest(material, message.encode(), hashlib.sha256)
        with pytest.raises(TokenError, match="alg is one of"):
            take(f"{message}.{base64url(mac)}")


NOT_KNOWN = "No registered client has signed this"


def refused_as_unknown(token: str, client: dict[str, Any] | None) -> None:
    assertion = read_assertion(token, AUDIENCE, NOW)
    with pytest.raises(TokenError, match=NOT_KNOWN):
        check_signer(assertion, client, KeySets())


def test_the_client_is_known(system: System) -> None:
    refused_as_unknown(system.assertion(exp=AT + 60), None)


def test_a_jku_that_is_not_the_registered_one_fails(system: System) -> None:
    token = system.assertion({"jku": "https://elsewhere.example/jwks.json"}, exp=AT + 60)
    refused_as_unknown(token, known())
    refused_as_unknown(token, known(jwks_url=KEPT_AT))
    refused_as_unknown(system.assertion({"jku": None}, exp=AT + 60), known(jwks_url=KEPT_AT))


def test_a_jku_that_is_the_registered_one_is_taken(system: System) -> None:
    assert take(system.assertion({"jku": KEPT_AT}, exp=AT + 60), known(jwks_url=KEPT_AT)).issuer == "ehr-a"


def test_a_key_within_the_header_counts_for_nothing() -> None:
    stranger = System(key=rsa_key("stranger"))
    refused_as_unknown(stranger.assertion({"kid": "a", "jwk": {"kty": "oct", "k": "AA"}}, exp=AT + 60), known())


def test_no_key_matches_the_kid(system: System) -> None:
    refused_as_unknown(system.assertion({"kid": "b"}, exp=AT + 60), known())


def test_the_kty_is_consistent_with_the_algorithm(system: System) -> None:
    refused_as_unknown(system.assertion(exp=AT + 60), known(public(ec_key("a"))))


def test_the_signature_is_of_the_key_that_kid_names() -> None:
    stranger = System(key=rsa_key("stranger"))
    refused_as_unknown(stranger.assertion({"kid": "a"}, exp=AT + 60), known())


def test_the_signature_is_of_these_claims(system: System) -> None:
    header, _, signature = system.assertion(exp=AT + 60).split(".")
    refused_as_unknown(f"{header}.{base64url(json.dumps(system.claims(exp=AT + 60)))}.{signature}", known())


def test_the_signature_is_of_this_header(system: System) -> None:
    _, claims, signature = system.assertion(exp=AT + 60).split(".")
    refused_as_unknown(f"{base64url(json.dumps(system.header(seen=1)))}.{claims}.{signature}", known())


@pytest.mark.parametrize("size", [0, 1, 95, 97, 2000])
def test_a_signature_of_another_length_is_none(size: int) -> None:
    one = System(key=ec_key("a"))
    header, claims, _ = one.assertion(exp=AT + 60).split(".")
    refused_as_unknown(f"{header}.{claims}.{base64url(b'x' * (size or 3))}", known(public(ec_key("a"))))


def test_a_key_that_names_another_algorithm_is_not_used_for_this_one() -> None:
    keys = usable_keys(key_set(public(rsa_key("a"), alg="RS256"), public(rsa_key("b"), alg="RS384")))
    assert [key.kid for key in keys] == ["b"]


def test_two_keys_of_one_kid_and_kty_match_none_and_of_one_kid_alone_match_each() -> None:
    twice = usable_keys(key_set(public(rsa_key("a")), public(rsa_key("other"), kid="a")))
    assert the_one(twice, "a", "RS384") is None
    apart = usable_keys(key_set(public(rsa_key("a")), public(ec_key("a"))))
    assert the_one(apart, "a", "ES384") == apart[1]


UNSOUND: dict[str, tuple[str | bytes, str]] = {
    "no JSON": ("keys", "no JSON Web Key Set"),
    "one key without its set": (json.dumps(public(rsa_key("a"))), "no JSON Web Key Set"),
    "no key": (key_set(), "is empty"),
    "a key that is a text": (json.dumps({"keys": ["a"]}), "key 1 is no object"),
    "a private RSA key": (key_set(rsa_key("a").as_dict(private=True)), "holds private parts"),
    "a private EC key": (key_set(ec_key("a").as_dict(private=True)), "holds private parts"),
    "a shared secret": (key_set({"kty": "oct", "k": "AAAA", "kid": "a"}), "holds private parts"),
    "a key with no kid": (key_set({**public(rsa_key("a")), "kid": ""}), "has no kid"),
    "two keys with one kid": (key_set(public(rsa_key("a")), public(ec_key("a"))), "two keys have one kid"),
    "an RSA key of 1024 bits": (
        key_set({"kty": "RSA", "kid": "a", "e": "AQAB", "n": base64url(b"\xff" * 128)}),
        "key 1 has 1024 bits",
    ),
    "an RSA key with no modulus": (key_set({"kty": "RSA", "e": "AQAB", "kid": "a"}), "cannot be read"),
    "an EC key of P-256": (key_set(public(ec_key("p", "P-256"))), "fits none of RS384, ES384"),
    "a point that is not on the curve": (key_set({**public(ec_key("a")), "x": public(ec_key("b"))["x"]}), "cannot be"),
    "a key for encryption": (key_set(public(rsa_key("a"), use="enc")), "not for signatures"),
    "a key that only signs": (key_set(public(rsa_key("a"), key_ops=["sign"])), "not for signatures"),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_a_registered_key_set_holds_public_keys_with_kty_and_kid_and_not(case: str) -> None:
    text, words = UNSOUND[case]
    with pytest.raises(KeySetError, match=words):
        read_key_set(text)


def test_what_is_said_of_a_key_set_shows_nothing_of_it() -> None:
    secret = rsa_key("a").as_dict(private=True)
    with pytest.raises(KeySetError) as caught:
        read_key_set(key_set(secret))
    assert str(secret["d"])[:8] not in str(caught.value)
