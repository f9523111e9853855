"""A form that came after its session had ended is given back to the same person, and to nobody else."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from io import BytesIO

import orjson
import pytest
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer
from werkzeug.test import TestResponse

from referral_service.access.gate import Gate, OpenId
from referral_service.app import application
from referral_service.intake import Incoming, Site, receive
from referral_service.web.keeping import MOST
from tests.shapes import referral
from tests.web.signing import KEY, OURS, PASSWORD, add_users, form, sign_in, token_on
from tests.web.test_sign_in import moved

WORDS = 'Called the parents: "on & off" <b>since May</b>\nsecond line'
TOO_LONG = timedelta(minutes=15)


@pytest.fixture
def question(site: Site) -> str:
    """Where a question about a referral that is here is sent."""
    sent = Incoming("ehr", "test", "r-1", orjson.dumps(referral()), datetime.now(UTC))
    (answer,) = receive(site, sent, "ServiceRequest").answers
    return f"/referrals/{answer.id}/do/return-for-information"


def hidden(page: TestResponse) -> list[tuple[str, str]]:
    found = re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', page.text)
    return [(name, unescape(value)) for name, value in found]


def left_too_long(browser: FlaskClient, address: str, user: str = "lead", **fields: str) -> TestResponse:
    """What a form is answered with that was open when the session ended."""
    sign_in(browser, user)
    token = token_on(browser, "/account")
    moved(browser, TOO_LONG)
    return browser.post(address, data={"token": token, **fields}, headers=OURS)


def signed_in_on(
    browser: FlaskClient, page: TestResponse, user: str = "lead", password: str = PASSWORD
) -> TestResponse:
    return browser.post("/sign-in", data={**dict(hidden(page)), "user": user, "password": password}, headers=OURS)


def sent_again(browser: FlaskClient, page: TestResponse) -> TestResponse:
    """The button of the page pressed, with what stands in its form."""
    address = re.search(r'<form method="post" action="([^"]*)"><input type="hidden" name="token"', page.text)
    assert address is not None
    return browser.post(unescape(address[1]), data=dict(hidden(page)), headers=OURS)


def test_what_was_typed_is_shown_after_signing_in_again_and_sent_with_one_press(
    browser: FlaskClient, question: str
) -> None:
    refused = left_too_long(browser, question, version="1", reason="more-information-needed", comment=WORDS)
    assert (refused.status_code, "signed out before this was sent" in refused.text) == (401, True)
    page = signed_in_on(browser, refused)
    assert page.status_code == 200
    assert "&lt;b&gt;since May&lt;/b&gt;" in page.text
    done = sent_again(browser, page)
    assert (done.status_code, done.headers["Location"].partition("?")[0]) == (303, question.partition("/do/")[0])
    assert "since May" in browser.get(done.headers["Location"]).text


def test_nothing_is_done_before_the_button_is_pressed(browser: FlaskClient, question: str) -> None:
    refused = left_too_long(browser, question, version="1", reason="more-information-needed", comment=WORDS)
    signed_in_on(browser, refused)
    assert "since May" not in browser.get(question.partition("/do/")[0]).text


def test_what_was_typed_stands_in_no_address_no_cookie_and_not_in_the_clear(
    browser: FlaskClient, question: str
) -> None:
    refused = left_too_long(browser, question, version="1", comment=WORDS)
    page = signed_in_on(browser, refused)
    for answer in (refused, page):
        said = "\n".join(f"{name}: {value}" for name, value in answer.headers)
        assert "May" not in said
        assert len(said) < 2500
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_wrong_password_loses_nothing(browser: FlaskClient, question: str) -> None:
    refused = left_too_long(browser, question, version="1", comment=WORDS)
    again = signed_in_on(browser, refused, password="not the password")
    assert again.status_code == 401
    assert "since May" in signed_in_on(browser, again).text


def test_somebody_else_who_signs_in_is_given_nothing(browser: FlaskClient, question: str) -> None:
    page = signed_in_on(browser, left_too_long(browser, question, comment=WORDS), "coordinator")
    assert (page.status_code, page.headers["Location"]) == (303, question.partition("/do/")[0])


def test_every_value_of_a_field_comes_back(browser: FlaskClient) -> None:
    sign_in(browser, "lead")
    token = token_on(browser, "/account")
    moved(browser, TOO_LONG)
    sent = {"token": token, "task": ["t-1~1", "t-2~1"]}
    page = signed_in_on(browser, browser.post("/do/claim?queue=all", data=sent, headers=OURS))
    assert [one for one in hidden(page) if one[0] != "token"] == [("task", "t-1~1"), ("task", "t-2~1")]
    assert 'action="/do/claim?queue=all"' in page.text


def test_a_file_and_what_is_very_long_are_not_kept_and_that_is_said(browser: FlaskClient) -> None:
    sign_in(browser, "lead")
    token = token_on(browser, "/account")
    moved(browser, TOO_LONG)
    sent = {"token": token, "reason": WORDS, "kept_data": "x" * MOST, "attachment": (BytesIO(b"%PDF-"), "fax.pdf")}
    page = signed_in_on(browser, browser.post("/referrals/new", data=sent, headers=OURS))
    assert ("since May" in page.text, "were not kept" in page.text) == (True, True)
    assert "kept_data" not in dict(hidden(page))


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}])
def test_a_form_of_another_site_is_not_kept(browser: FlaskClient, question: str, headers: dict[str, str]) -> None:
    sign_in(browser, "lead")
    moved(browser, TOO_LONG)
    answer = browser.post(question, data={"comment": WORDS}, headers=headers)
    assert (answer.status_code, 'name="kept"' in answer.text) == (303, False)


def test_whoever_was_never_signed_in_has_nothing_kept(browser: FlaskClient, question: str) -> None:
    assert browser.post(question, data={"comment": WORDS}, headers=OURS).status_code == 303


@pytest.mark.parametrize("salt", ["cookie-session", "another"])
def test_only_what_this_service_has_signed_as_a_form_is_shown(browser: FlaskClient, salt: str) -> None:
    made_up = {"person": "x", "address": "/", "fields": [["text", "x"]], "is_part": False}
    sign_in(browser, "lead")
    forged = URLSafeTimedSerializer(KEY, salt=salt).dumps(made_up)
    assert browser.post("/sign-in/again", data={"kept": forged}, headers=OURS).headers["Location"] == "/"


def test_a_kept_form_is_no_cookie(browser: FlaskClient, question: str) -> None:
    kept = dict(hidden(left_too_long(browser, question, session="s", seen="9e9", comment=WORDS)))["kept"]
    browser.set_cookie("referral", kept)
    assert browser.get("/").status_code == 303


def test_whoever_signs_in_at_the_provider_in_another_tab_comes_back_to_the_form(site: Site, question: str) -> None:
    add_users(site.store)
    openid = OpenId("https://idp.example", "us", "roles", None)
    app = application(site, Gate(asks=True, secret_key=KEY, openid=openid))
    browser = app.test_client()
    refused = left_too_long(browser, question, comment=WORDS)
    assert re.search(r'href="/sign-in/openid" target="_blank"', refused.text)
    kept = {"kept": dict(hidden(refused))["kept"]}
    early = browser.post("/sign-in/again", data=kept, headers=OURS)
    assert (early.status_code, dict(hidden(early))["kept"]) == (401, kept["kept"])
    form(browser, "/sign-in", user="lead", password=PASSWORD)
    assert "since May" in browser.post("/sign-in/again", data=kept, headers=OURS).text


def test_signing_out_leaves_nothing_to_come_back_to(browser: FlaskClient, question: str) -> None:
    sign_in(browser, "lead")
    form(browser, "/sign-out", page="/account")
    assert browser.post(question, data={"comment": WORDS}, headers=OURS).status_code == 303
