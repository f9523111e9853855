"""The key that the service signs with at an EHR: read, made beside an SQLite file, and good for strict servers."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from referral_service.access.keys import read_key_set
from referral_service.access.own_key import OwnKeyError, own_key_beside, read_own_key
from tests.systems import ec_key, rsa_key

AT = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)
TOKEN_URL = "https://ehr.example/token"


def pem(key: ECKey | RSAKey) -> str:
    return key.as_pem(private=True).decode()


def jwk(key: ECKey | RSAKey, **more: object) -> str:
    return json.dumps({**key.as_dict(private=True), **more})


@pytest.mark.parametrize(("key", "algorithm"), [(ec_key("own"), "ES384"), (rsa_key("own"), "RS384")])
def test_it_is_read_as_pem_and_as_json_web_key(key: ECKey | RSAKey, algorithm: str) -> None:
    read = [read_own_key(text) for text in (pem(key), jwk(key), jwk(key, kid="x", use="sig", key_ops=["sign"]))]
    assert {one.algorithm for one in read} == {algorithm}
    assert len({one.kid for one in read}) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no private key"),
        ("{}", "no private key"),
        ("not a key", "no private key"),
        (json.dumps(ec_key("own").as_dict(private=False)), "public key"),
        (jwk(ec_key("own", "P-256")), "not P-384"),
        (pem(ec_key("own", "P-256")), "not P-384"),
        (json.dumps({"kty": "oct", "k": "AAAA"}), "no private key"),
    ],
)
def test_what_is_no_such_key_is_refused_and_not_shown(text: str, words: str) -> None:
    with pytest.raises(OwnKeyError, match=words) as raised:
        read_own_key(text)
    assert not text or text not in str(raised.value)


def test_what_is_published_is_a_key_set_of_the_public_half_alone() -> None:
    key = read_own_key(pem(ec_key("own")))
    [published] = read_key_set(json.dumps({"keys": [key.published()]}))
    assert (published.kid, published.algorithms) == (key.kid, {"ES384"})
    assert set(key.published()) == {"kty", "crv", "x", "y", "kid", "use", "alg", "key_ops"}
    assert str(ec_key("own").as_dict(private=True)["d"]) not in repr(key)


@pytest.mark.parametrize("made", [ec_key("own"), rsa_key("own")])
def test_an_assertion_says_who_calls_whom_for_less_than_five_minutes_and_is_never_the_same(
    made: ECKey | RSAKey,
) -> None:
    key = read_own_key(pem(made))
    tokens = [jwt.decode(key.assertion("referrals", TOKEN_URL, AT), made, algorithms=[key.algorithm]) for _ in range(2)]
    first, second = (token.claims for token in tokens)
    assert tokens[0].header == {"alg": key.algorithm, "kid": key.kid, "typ": "JWT"}
    assert {name: first[name] for name in ("iss", "sub", "aud", "iat")} == {
        "iss": "referrals",
        "sub": "referrals",
        "aud": TOKEN_URL,
        "iat": int(AT.timestamp()),
    }
    assert first["exp"] - first["iat"] == 240
    assert first["jti"] != second["jti"]


def test_one_is_made_beside_an_sqlite_file_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    made = own_key_beside(tmp_path / "referrals.db")
    kept = tmp_path / "referrals.db.client-key"
    assert (made.algorithm, stat.S_IMODE(kept.stat().st_mode)) == ("ES384", 0o600)
    assert own_key_beside(tmp_path / "referrals.db").kid == made.kid
