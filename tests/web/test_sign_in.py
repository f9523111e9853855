"""Sign-in: sessions that end, forms that are one's own, ways that lead nowhere else, and who sees which queue."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient

from referral_service.access import people
from referral_service.access.gate import Gate
from referral_service.app import application
from referral_service.intake import Incoming, Site, receive
from referral_service.referral import Queue
from referral_service.store import alerts, worklist
from referral_service.store import people as stored
from tests.shapes import CHILD_BORN, patient, referral
from tests.web.signing import KEY, OURS, PASSWORD, USERS, add_users, form, sign_in, token_on


def moved(client: FlaskClient, back: timedelta) -> None:
    """As if the last thing had been done that much longer ago."""
    with client.session_transaction() as session:
        session["seen"] -= back.total_seconds()


def test_whoever_is_not_signed_in_is_led_to_sign_in_and_then_to_the_page_they_wanted(browser: FlaskClient) -> None:
    answer = browser.get("/?queue=intake-review&sort=due")
    where = "/sign-in?next=/?queue%3Dintake-review%26sort%3Ddue"
    assert (answer.status_code, answer.headers["Location"]) == (303, where)
    answer = form(browser, "/sign-in", page=where, user="lead", password=PASSWORD)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?queue=intake-review&sort=due")


@pytest.mark.parametrize("user", USERS)
def test_each_role_comes_to_a_page_it_may_open_and_reads_who_is_signed_in(browser: FlaskClient, user: str) -> None:
    homes = {"coordinator": "/", "lead": "/", "integrator": "/not-taken", "auditor": "/audit"}
    answer = sign_in(browser, user)
    assert answer.headers["Location"] == homes[user]
    bare = browser.get("/", follow_redirects=True)
    assert (bare.status_code, bare.request.path) == (200, homes[user])
    page = browser.get(homes[user])
    assert page.status_code == 200
    assert f"<bdi>Sample {user}</bdi>, {user.capitalize()}</a>" in page.text


def test_a_wrong_name_a_wrong_password_and_a_locked_name_are_answered_alike(browser: FlaskClient) -> None:
    def said(user: str, password: str) -> tuple[int, str]:
        answer = form(browser, "/sign-in", user=user, password=password)
        return answer.status_code, re.sub(r'value="[^"]*"', "", answer.text)

    wrong = said("lead", "not the password")
    assert wrong[0] == 401
    assert "do not go together" in wrong[1]
    assert said("nobody", "not the password") == wrong
    for _ in range(4):
        said("lead", "not the password")
    assert said("lead", PASSWORD) == wrong


def test_what_is_typed_stands_in_no_address_and_no_log(browser: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answer = form(browser, "/sign-in", user="somebody typed", password="secret as it is")
    assert "secret as it is" not in answer.text
    sign_in(browser, "lead")
    assert not re.search("somebody|secret as|Sample|wind over", caplog.text)


@pytest.mark.parametrize(
    ("public_url", "name", "is_secure"),
    [("https://r.example", "__Host-referral", True), ("http://localhost", "referral", False)],
)
def test_the_cookie_is_kept_from_scripts_and_other_sites(
    site: Site, public_url: str, name: str, is_secure: bool
) -> None:
    add_users(site.store)
    browser = application(replace(site, public_url=public_url), Gate(asks=True, secret_key=KEY)).test_client()
    answer = browser.get("/sign-in", base_url=public_url)
    value, *flags = answer.headers["Set-Cookie"].split("; ")
    assert value.startswith(f"{name}=")
    assert sorted(flags) == sorted([*(["Secure"] if is_secure else []), "HttpOnly", "Path=/", "SameSite=Lax"])


def test_a_session_ends_after_fifteen_minutes_in_which_nothing_is_done(browser: FlaskClient) -> None:
    sign_in(browser, "lead")
    moved(browser, timedelta(minutes=14))
    assert browser.get("/").status_code == 200
    moved(browser, timedelta(minutes=14))
    assert browser.get("/").status_code == 200
    moved(browser, timedelta(minutes=15))
    assert browser.get("/").status_code == 303


def test_what_a_page_asks_for_by_itself_keeps_no_session_alive(browser: FlaskClient) -> None:
    sign_in(browser, "lead")
    token = token_on(browser, "/")
    moved(browser, timedelta(minutes=14))
    assert browser.get("/refresh").status_code == 200
    assert browser.post("/refresh", data={"text": "x", "token": token}).status_code == 200
    moved(browser, timedelta(minutes=1))
    answer = browser.get("/refresh")
    assert (answer.status_code, answer.headers["HX-Reswap"], answer.text) == (401, "none", "")


def test_a_session_ends_after_twelve_hours_whatever_is_done(browser: FlaskClient, site: Site) -> None:
    sign_in(browser, "lead")
    with site.store.writing() as connection, browser.session_transaction() as session:
        row = stored.of_session(connection, session["session"], datetime.now(UTC))
        assert row is not None
        began = datetime.now(UTC) - timedelta(hours=12)
        session["session"] = people.begin_session(connection, row["id"], began)
    assert browser.get("/").status_code == 303


def test_signing_in_makes_a_new_session_so_that_one_set_by_somebody_else_is_worth_nothing(asking: Flask) -> None:
    theirs, victim = asking.test_client(), asking.test_client()
    token_on(theirs, "/sign-in")
    fixed = theirs.get_cookie("referral")
    assert fixed is not None
    victim.set_cookie("referral", fixed.value)
    sign_in(victim, "lead")
    after = victim.get_cookie("referral")
    assert after is not None
    assert after.value != fixed.value
    assert theirs.get("/").status_code == 303
    with theirs.session_transaction() as before, victim.session_transaction() as now:
        assert before["token"] != now["token"]


def test_a_copy_of_the_cookie_is_worth_nothing_once_its_owner_has_signed_out(asking: Flask) -> None:
    owner, thief = asking.test_client(), asking.test_client()
    sign_in(owner, "lead")
    cookie = owner.get_cookie("referral")
    assert cookie is not None
    thief.set_cookie("referral", cookie.value)
    assert thief.get("/").status_code == 200
    assert form(owner, "/sign-out", page="/account").headers["Location"] == "/sign-in"
    assert (owner.get("/").status_code, thief.get("/").status_code) == (303, 303)


def test_signing_out_everywhere_ends_every_session_of_that_person_alone(asking: Flask) -> None:
    ward, office, other = asking.test_client(), asking.test_client(), asking.test_client()
    sign_in(ward, "coordinator")
    sign_in(office, "coordinator")
    sign_in(other, "lead")
    assert form(office, "/sign-out-everywhere", page="/account").status_code == 303
    assert [one.get("/").status_code for one in (ward, office, other)] == [303, 303, 200]


def test_whoever_is_disabled_is_out_at_the_next_request(asking: Flask, site: Site) -> None:
    browser = asking.test_client()
    sign_in(browser, "lead")
    with site.store.writing() as connection:
        people.disable(connection, "lead", datetime.now(UTC))
    assert browser.get("/").status_code == 303


def test_a_cookie_signed_with_another_key_is_nobody(asking: Flask, site: Site) -> None:
    browser = application(site, Gate(asks=True, secret_key="another key that is as long as the first")).test_client()
    sign_in(browser, "lead")
    cookie = browser.get_cookie("referral")
    assert cookie is not None
    elsewhere = asking.test_client()
    elsewhere.set_cookie("referral", cookie.value)
    assert elsewhere.get("/").status_code == 303


@pytest.mark.parametrize(
    "address",
    [
        *("https://evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)"),
        *(
            "/\t/evil.example",
            "/%0d%0aX: y",
            "evil",
            "/fhir/Task",
            "/nothing-here",
            "/sign-in",
            "/refresh",
            "/static/x",
        ),
        *("/sign-out", "///evil.example", "/\n/evil.example", ""),
    ],
)
def test_no_way_leads_from_sign_in_to_anywhere_but_a_page_of_ours(browser: FlaskClient, address: str) -> None:
    token = token_on(browser, "/sign-in")
    data = {"user": "lead", "password": PASSWORD, "next": address, "token": token}
    assert browser.post("/sign-in", data=data, headers=OURS).headers["Location"] == "/"


@pytest.mark.parametrize(
    ("sent_to", "page"),
    [
        ("/referrals/x-1/do/accept", "/referrals/x-1"),
        ("/referrals/new", "/referrals/new"),
        ("/do/claim?queue=all&due=soon", "/?queue%3Dall%26due%3Dsoon"),
        ("/?queue=closed", "/?queue%3Dclosed"),
        ("/alerts/x-1/acknowledge", "/alerts"),
        ("/not-taken/x-1/0/take-in", "/not-taken/x-1"),
        ("/sign-out", "/"),
    ],
)
def test_a_form_sent_after_the_session_ended_leads_by_sign_in_to_the_page_of_the_form(
    browser: FlaskClient, sent_to: str, page: str
) -> None:
    answer = browser.post(sent_to, data={"comment": "typed"}, headers=OURS)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/sign-in?next={page}")


def test_a_sign_in_page_left_open_for_too_long_is_given_again(browser: FlaskClient) -> None:
    answer = browser.post("/sign-in", data={"user": "lead", "password": PASSWORD}, headers=OURS)
    assert answer.status_code == 403
    assert "open for too long" in answer.text
    assert sign_in(browser, "lead").status_code == 303


def test_a_system_that_nobody_knows_is_told_so_as_systems_are(browser: FlaskClient) -> None:
    answer = browser.get("/fhir/Task")
    assert (answer.status_code, answer.get_json(force=True)["resourceType"]) == (401, "OperationOutcome")


@pytest.fixture
def three_queues(site: Site) -> dict[Queue, str]:
    """One referral in each queue, by queue its id."""

    def arrived(number: str, born: str | None, family: str, reason: str = "Cervical dystonia") -> str:
        subject = patient(born, id="p", name=[{"family": family}])
        body = referral(number, reason, subject={"reference": "#p"}, contained=[subject])
        answer = receive(site, Incoming("ehr", "test", number, orjson.dumps(body), datetime.now(UTC)), "ServiceRequest")
        (one,) = answer.answers
        return str(one.id)

    return {
        Queue.ADULT: arrived("A-1", "1970-05-01", "Grownup"),
        Queue.PEDIATRIC: arrived("A-2", CHILD_BORN, "Littleone", "Acute dystonic reaction after metoclopramide"),
        Queue.REVIEW: arrived("A-3", None, "Undated", "Acute dystonic reaction after metoclopramide"),
    }


def test_a_coordinator_sees_what_stands_in_the_queues_given_and_nothing_else(
    browser: FlaskClient, three_queues: dict[Queue, str]
) -> None:
    sign_in(browser, "coordinator")
    page = browser.get("/?queue=all").text
    assert ("Grownup" in page, "Undated" in page, "Littleone" in page) == (True, True, False)
    tabs = re.findall(r'data-key="\w"[^>]*>\s*([^<]+?) <span class="count">(\d+)', page)
    assert [(words.strip(), count) for words, count in tabs][:4] == [
        ("Adult movement disorders", "1"),
        ("Intake review", "1"),
        ("My queues", "2"),
        ("Closed", "0"),
    ]
    opened = {queue: browser.get(f"/referrals/{identity}").status_code for queue, identity in three_queues.items()}
    assert opened == {Queue.ADULT: 200, Queue.REVIEW: 200, Queue.PEDIATRIC: 404}
    assert browser.get("/?queue=pediatric-neuromotor").status_code == 404
    assert browser.get("/worklist.csv?queue=pediatric-neuromotor").status_code == 404
    exported = browser.get("/worklist.csv").text
    assert ("Grownup" in exported, "Littleone" in exported) == (True, False)
    found = form(browser, "/?queue=all", page="/", text="Littleone")
    assert "Nobody found" in found.text
    assert 'class="name"' not in found.text


def test_a_coordinator_is_told_of_the_alerts_of_the_queues_given(
    browser: FlaskClient, site: Site, three_queues: dict[Queue, str]
) -> None:
    with site.store.reading() as connection:
        ids = {row["referral_id"]: row["id"] for row in alerts.open_alerts(connection, tuple(Queue), None, 9)}
    sign_in(browser, "coordinator")
    page = browser.get("/alerts").text
    assert (three_queues[Queue.REVIEW] in page, three_queues[Queue.PEDIATRIC] in page) == (True, False)
    assert "1 alert not acknowledged" in page
    sent = [
        form(browser, f"/alerts/{ids[three_queues[queue]]}/acknowledge", page="/alerts").status_code
        for queue in (Queue.PEDIATRIC, Queue.REVIEW)
    ]
    assert sent == [404, 303]


def test_a_coordinator_moves_nothing_of_another_queue_and_is_shown_nothing_of_it(
    browser: FlaskClient, site: Site, three_queues: dict[Queue, str]
) -> None:
    with site.store.reading() as connection:
        row = worklist.one_referral(connection, three_queues[Queue.PEDIATRIC])
    assert row is not None
    sign_in(browser, "coordinator")
    one = form(browser, f"/referrals/{row['referral_id']}/do/claim", page="/", version="1")
    many = form(browser, "/do/claim", page="/", task=f"{row['task_id']}.1")
    assert (one.status_code, many.status_code) == (404, 200)
    assert "Littleone" not in one.text + many.text
    with site.store.reading() as connection:
        after = worklist.one_referral(connection, three_queues[Queue.PEDIATRIC])
    assert after is not None
    assert (after["version"], after["assignee"]) == (1, None)


def test_what_was_moved_out_of_sight_is_told_of_on_the_list(
    browser: FlaskClient, three_queues: dict[Queue, str]
) -> None:
    sign_in(browser, "coordinator")
    data = {"version": "1", "queue": "pediatric-neuromotor", "comment": "Too young for us"}
    answer = form(browser, f"/referrals/{three_queues[Queue.ADULT]}/do/re-route", page="/", **data)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?went=pediatric-neuromotor")
    page = browser.get(answer.headers["Location"]).text
    assert "which is not one of your queues" in page


def test_what_a_person_does_stands_under_their_name(
    browser: FlaskClient, site: Site, three_queues: dict[Queue, str]
) -> None:
    sign_in(browser, "lead")
    form(browser, f"/referrals/{three_queues[Queue.ADULT]}/do/claim", page="/", version="1")
    with site.store.reading() as connection:
        row = worklist.one_referral(connection, three_queues[Queue.ADULT])
        assert row is not None
        change = worklist.timeline(connection, row["task_id"])[-1]
        ids = {one["user_name"]: one["id"] for one in stored.everybody(connection)}
    assert (row["assignee"], change["actor_name"], change["actor"]) == ("Sample lead", "Sample lead", ids["lead"])


def test_an_integrator_sees_what_was_not_taken_and_no_way_to_take_it_in(browser: FlaskClient, site: Site) -> None:
    body = b'{"resourceType": "ServiceRequest"}'
    receive(site, Incoming("ehr", "create", "r-1", body, datetime.now(UTC)), "ServiceRequest")
    sign_in(browser, "integrator")
    listed = browser.get("/not-taken").text
    one = re.search(r'href="(/not-taken/[^"?]+)"', listed)
    assert one is not None
    page = browser.get(one[1])
    assert page.status_code == 200
    shown = set(re.findall(r'(?:href|action)="(/[^"?]*)', listed + page.text))
    assert {re.sub(r"[0-9a-f-]{36}", "x", path) for path in shown if not path.startswith("/static")} == {
        *("/account", "/sign-out", "/not-taken", "/not-taken/x", "/not-taken/x/text", "/deliveries"),
    }


def test_the_refreshed_list_is_made_anew_for_another_session(asking: Flask) -> None:
    browser = asking.test_client()
    sign_in(browser, "lead")
    etag = browser.get("/refresh").headers["ETag"]
    assert browser.get("/refresh", headers={"If-None-Match": etag}).status_code == 304
    sign_in(browser, "coordinator")
    assert browser.get("/refresh", headers={"If-None-Match": etag}).status_code == 200


def test_where_nobody_is_asked_there_is_no_sign_in(app_client: FlaskClient) -> None:
    assert app_client.get("/sign-in").headers["Location"] == "/"
    assert app_client.get("/account").status_code == 404
    assert app_client.get("/sign-in/openid").status_code == 404
    page = app_client.get("/")
    assert ('name="token"' in page.text, "Set-Cookie" in page.headers, "Sign out" in page.text) == (False, False, False)
