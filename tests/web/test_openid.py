"""Signing in at an OpenID provider, over HTTP, and everything that must not sign anybody in."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from joserfc.jwk import RSAKey
from werkzeug.test import TestResponse

from referral_service.access.gate import Gate, OpenId
from referral_service.app import application
from referral_service.intake import Site
from referral_service.store import people as stored
from tests.web.provider import CLIENT, SECRET, Provider, running
from tests.web.signing import KEY


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running() as found:
        yield found


@pytest.fixture
def app(site: Site, provider: Provider) -> Iterator[Flask]:
    openid = OpenId(provider.issuer, CLIENT, "roles", SECRET)
    served = application(site, Gate(asks=True, secret_key=KEY, openid=openid))
    yield served
    served.extensions["recorder"].settle()


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    return app.test_client()


def to_provider(browser: FlaskClient, following: str = "/alerts") -> str:
    """Where the provider sends the browser back to."""
    answer = browser.get(f"/sign-in/openid?next={following}")
    assert answer.status_code == 302
    sent = requests.get(answer.headers["Location"], allow_redirects=False, timeout=5)
    return sent.headers["Location"]


def come_back(browser: FlaskClient, address: str) -> TestResponse:
    return browser.get(address.removeprefix("http://localhost"))


def people_of(site: Site) -> list[tuple[object, ...]]:
    with site.store.reading() as connection:
        return [(row["subject"], row["shown_name"], row["role"], row["queues"]) for row in stored.everybody(connection)]


def test_whoever_the_provider_knows_comes_in_by_the_role_that_it_names(
    browser: FlaskClient, provider: Provider, site: Site
) -> None:
    assert 'href="/sign-in/openid?next=/alerts"' in browser.get("/sign-in?next=/alerts").text
    answer = come_back(browser, to_provider(browser))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/alerts")
    assert "Bea Example" in browser.get("/alerts").text
    assert people_of(site) == [("s-1", "Bea Example", "lead", "")]
    provider.claims["roles"] = ["coordinator", "intake-review"]
    come_back(browser, to_provider(browser))
    assert people_of(site) == [("s-1", "Bea Example", "coordinator", "intake-review")]


def test_whoever_comes_for_the_first_time_in_two_browsers_at_once_is_one_person(
    browser: FlaskClient, site: Site
) -> None:
    browsers = [browser.application.test_client() for _ in range(8)]
    ways = [(one, to_provider(one)) for one in browsers]
    together = Barrier(len(ways))

    def back(way: tuple[FlaskClient, str]) -> int:
        together.wait()
        return come_back(*way).status_code

    with ThreadPoolExecutor(len(ways)) as pool:
        assert list(pool.map(back, ways)) == [303] * len(ways)
    assert people_of(site) == [("s-1", "Bea Example", "lead", "")]
    assert [one.get("/alerts").status_code for one in browsers] == [200] * len(ways)


def test_whoever_has_no_role_there_is_told_so_and_is_not_signed_in(
    browser: FlaskClient, provider: Provider, site: Site
) -> None:
    provider.claims["roles"] = ["staff"]
    answer = come_back(browser, to_provider(browser))
    assert (answer.status_code, "names no role in this service" in answer.text) == (403, True)
    assert (browser.get("/").status_code, people_of(site)) == (303, [])


@pytest.mark.parametrize("roles", [["staff"], ["coordinator"], []])
def test_whoever_is_refused_loses_every_session_begun_before(app: Flask, provider: Provider, roles: list[str]) -> None:
    first, second = app.test_client(), app.test_client()
    come_back(first, to_provider(first))
    assert first.get("/account").status_code == 200
    provider.claims["roles"] = roles
    assert come_back(second, to_provider(second)).status_code == 403
    assert first.get("/account").status_code == 303


@pytest.mark.parametrize(
    "spoil",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": "another", "azp": CLIENT},
        {"aud": None},
        {"iss": "https://another.example"},
        {"iss": None},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"sub": None},
        {"sub": "s" * 256},
        {"sub": 7},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_this_sign_in_signs_nobody_in(
    browser: FlaskClient, provider: Provider, site: Site, spoil: dict[str, object]
) -> None:
    provider.spoil = spoil
    _refused(browser, come_back(browser, to_provider(browser)), site)


def test_a_token_signed_by_another_key_signs_nobody_in(browser: FlaskClient, provider: Provider, site: Site) -> None:
    provider.signs_with = RSAKey.generate_key(2048, {"kid": "k1"}, private=True, auto_kid=False)
    _refused(browser, come_back(browser, to_provider(browser)), site)


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_a_token_without_a_signature_signs_nobody_in(browser: FlaskClient, provider: Provider, site: Site) -> None:
    provider.algorithm = "none"
    _refused(browser, come_back(browser, to_provider(browser)), site)


def test_a_state_that_this_browser_did_not_ask_with_signs_nobody_in(
    browser: FlaskClient, site: Site, provider: Provider
) -> None:
    victim = browser.application.test_client()
    address = to_provider(browser)
    _refused(victim, come_back(victim, address), site)
    _refused(browser, come_back(browser, address.replace("state=", "state=x")), site)
    assert len(provider.asked) == 1


def test_coming_back_a_second_time_signs_nobody_in(browser: FlaskClient, site: Site) -> None:
    address = to_provider(browser)
    assert come_back(browser, address).status_code == 303
    again = browser.application.test_client()
    assert come_back(again, address).status_code == 502
    assert come_back(browser, address).status_code == 502
    assert len(people_of(site)) == 1


def test_another_code_verifier_than_asked_with_is_refused_by_the_provider(browser: FlaskClient, site: Site) -> None:
    address = to_provider(browser)
    state = parse_qs(urlsplit(address).query)["state"][0]
    with browser.session_transaction() as session:
        kept = session[f"_state_openid_{state}"]
        assert len(kept["data"]["code_verifier"]) >= 43
        session[f"_state_openid_{state}"] = {**kept, "data": {**kept["data"], "code_verifier": "v" * 48}}
    _refused(browser, come_back(browser, address), site)


def test_a_provider_that_names_itself_otherwise_is_not_the_provider(browser: FlaskClient, provider: Provider) -> None:
    provider.described_as = "https://another.example"
    assert browser.get("/sign-in/openid").status_code == 502
    provider.described_as = None
    assert browser.get("/sign-in/openid").status_code == 302


def test_what_the_provider_refuses_is_said_in_our_own_words(browser: FlaskClient) -> None:
    answer = browser.get("/sign-in/openid/back?error=access_denied&error_description=<b>Bad</b>")
    assert (answer.status_code, "did not work" in answer.text, "Bad" in answer.text) == (502, True, False)


def _refused(browser: FlaskClient, answer: TestResponse, site: Site) -> None:
    assert (answer.status_code, "did not work" in answer.text) == (502, True)
    assert (browser.get("/").status_code, people_of(site)) == (303, [])
