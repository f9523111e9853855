"""Open alerts stand above every page until somebody acknowledges them from a page of ours."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from referral_service.app import application
from referral_service.intake import Site
from referral_service.intake.moves import act
from referral_service.policy import Contact
from referral_service.reminding import Reminder
from referral_service.store import tables, worklist
from referral_service.web import alerts as page_of_alerts
from referral_service.web import frame
from referral_service.worklist import everyone
from tests.web.test_pages import MONDAY, lines, page, referral, said, send

RED = "Acute dystonic reaction after metoclopramide"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(autouse=True)
def monday_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "clock", lambda: MONDAY)
    monkeypatch.setattr(page_of_alerts, "clock", lambda: MONDAY)


@pytest.fixture
def site(site: Site) -> Site:
    contacts = (Contact("Pager", webhook="https://pager.example/"), Contact("Duty <b>neurologist</b>", email="d@x.org"))
    return replace(site, policy=replace(site.policy, alerts=replace(site.policy.alerts, contacts=contacts)))


def alert_ids(site: Site) -> list[str]:
    with site.store.reading() as connection:
        return list(connection.execute(select(tables.alert.c.id).order_by(tables.alert.c.at)).scalars())


def acknowledged(site: Site) -> list[tuple[Any, Any]]:
    alert = tables.alert
    with site.store.reading() as connection:
        query = select(alert.c.acknowledged_by, alert.c.acknowledged_at).order_by(alert.c.at)
        return [tuple(row) for row in connection.execute(query)]


def press(app_client: FlaskClient, identity: str, back: str = "alerts", **headers: str) -> TestResponse:
    sent_from = {name.replace("_", "-"): value for name, value in headers.items()} or SAME_ORIGIN
    return app_client.post(f"/alerts/{identity}/acknowledge", data={"back": back}, headers=sent_from)


def banners(html: str) -> list[str]:
    return [said(one) for one in re.findall(r'<aside class="wide alerts-banner".*?</aside>', html, re.S)]


def test_without_an_open_alert_no_page_speaks_of_one(site: Site, app_client: FlaskClient) -> None:
    send(site, referral())
    assert banners(page(app_client, "/")) == []
    assert "No alert is open" in said(page(app_client, "/alerts"))


def test_an_open_alert_stands_above_every_page(site: Site, app_client: FlaskClient) -> None:
    one = send(site, referral(RED), timedelta(minutes=1, seconds=30))
    send(site, b'{"note": "status dystonicus"', timedelta(seconds=30))
    for path in ("/", f"/referrals/{one}", "/not-taken", "/alerts", "/?queue=intake-review"):
        assert banners(page(app_client, path)) == ["2 alerts not acknowledged , the oldest for 1 minute"]


def test_the_list_says_why_since_when_who_was_told_and_what_comes_next(site: Site, app_client: FlaskClient) -> None:
    identity = send(site, referral(RED, priority="stat"), timedelta(minutes=5))
    notice, alert = tables.notice, tables.alert
    with site.store.writing() as connection:
        mine = select(alert.c.id).where(alert.c.kind == "stat").scalar_subquery()
        told = {"contact": "Pager", "sent_at": "2026-03-16T11:55:01.000Z", "due": None, "attempts": 1}
        connection.execute(notice.update().where(notice.c.alert_id == mine, notice.c.step == 0).values(told))
        tried = {"fault": "timeout", "due": "2026-03-16T12:01:00.000Z", "attempts": 3}
        connection.execute(notice.update().where(notice.c.alert_id != mine, notice.c.step == 0).values(tried))
    about = f"Referral {identity} Adult movement disorders 5 minutes ago 16 Mar 2026, 11:55 Raised 16 Mar 2026, 11:55"
    later = "Next to tell Duty <b>neurologist</b> 16 Mar 2026, 12:10"
    button = "Acknowledge {} of 16 Mar 2026, 11:55"
    assert sorted(lines(page(app_client, "/alerts"))) == [
        f"Red flag {about} Not reached in 3 attempts (timeout), to be tried again Pager 16 Mar 2026, 12:01 {later} "
        + button.format("Red flag"),
        f"Sent as stat {about} Told Pager 16 Mar 2026, 11:55 {later} {button.format('Sent as stat')}",
    ]


def test_acknowledging_says_who_and_when_and_ends_the_alert(site: Site, app_client: FlaskClient) -> None:
    send(site, referral(RED), timedelta(minutes=5))
    (identity,) = alert_ids(site)
    answer = press(app_client, identity)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/alerts")
    assert acknowledged(site) == [("Local user", "2026-03-16T12:00:00.000Z")]
    html = page(app_client, "/alerts")
    assert banners(html) == []
    (line,) = lines(html)
    assert line.endswith("Raised 16 Mar 2026, 11:55 Acknowledged by Local user 16 Mar 2026, 12:00 Acknowledged")


def test_a_question_that_is_not_answered_stands_above_every_page_until_the_referral_leaves_the_hold(
    site: Site, app_client: FlaskClient
) -> None:
    identity = send(site, referral(), timedelta(days=14))
    _moved(site, identity, 11, "return-for-information", reason="more-information-needed", comment="Since when?")
    Reminder(site.store, site.policy, lambda: MONDAY).step()
    assert banners(page(app_client, "/")) == ["1 alert not acknowledged"]
    (line,) = lines(page(app_client, "/alerts"))
    assert line.startswith(f"Sender to be reminded Referral {identity} Adult movement disorders just now")
    _moved(site, identity, 0, "resume")
    html = page(app_client, "/alerts")
    assert banners(html) == []
    (line,) = lines(html)
    assert "Closed, as the referral is no longer on hold 16 Mar 2026, 12:00" in line
    assert line.endswith("Closed by itself")


def _moved(site: Site, identity: str, days_ago: int, move: str, **fields: str) -> None:
    with site.store.reading() as connection:
        found = worklist.one_referral(connection, identity)
    assert found is not None
    at = MONDAY - timedelta(days=days_ago)
    answer = act(site, everyone("local"), found["task_id"], None, move, fields, at, "r-2")
    assert answer.fault is None, answer.issues


def test_it_is_acknowledged_on_the_page_of_the_referral_too(site: Site, app_client: FlaskClient) -> None:
    identity = send(site, referral(RED))
    forms = re.findall(r"<form.*?</form>", page(app_client, f"/referrals/{identity}"), re.S)
    (form,) = (one for one in forms if ">Acknowledge<" in one)
    action = re.findall(r'action="([^"]+)"', form)[0]
    assert 'name="back" value="about"' in form
    answer = app_client.post(action, data={"back": "about"}, headers=SAME_ORIGIN)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/referrals/{identity}")
    html = page(app_client, f"/referrals/{identity}")
    assert ">Acknowledge<" not in html
    assert "Acknowledged by Local user 16 Mar 2026, 12:00" in said(html)


def test_it_is_acknowledged_where_the_text_that_was_not_taken_stands(site: Site, app_client: FlaskClient) -> None:
    send(site, b'{"note": "status dystonicus"')
    with site.store.reading() as connection:
        received = connection.execute(select(tables.alert.c.received_id)).scalar_one()
    assert "Alerts Red flag Raised" in said(page(app_client, f"/not-taken/{received}"))
    answer = press(app_client, alert_ids(site)[0], "about")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/not-taken/{received}")


def test_a_second_press_changes_nothing(site: Site, app_client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    send(site, referral(RED))
    (identity,) = alert_ids(site)
    press(app_client, identity)
    monkeypatch.setattr(page_of_alerts, "clock", lambda: MONDAY + timedelta(hours=1))
    assert press(app_client, identity).status_code == 303
    assert acknowledged(site) == [("Local user", "2026-03-16T12:00:00.000Z")]


@pytest.mark.parametrize(
    "sent_from",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://elsewhere.example"},
        {"Origin": "https://localhost"},
        {"Origin": "http://localhost:8081"},
        {"Origin": "null"},
        {"Origin": "localhost"},
        {"Accept": "text/html"},
    ],
    ids=str,
)
def test_a_form_from_elsewhere_is_not_taken(site: Site, app_client: FlaskClient, sent_from: dict[str, str]) -> None:
    send(site, referral(RED))
    answer = press(app_client, alert_ids(site)[0], **sent_from)
    assert answer.status_code == 403
    assert "not sent from a page of this service" in said(answer.get_data(as_text=True))
    assert acknowledged(site) == [(None, None)]


@pytest.mark.parametrize("sent_from", [SAME_ORIGIN, {"Origin": "http://localhost"}, {"Origin": "http://localhost:80"}])
def test_a_form_of_ours_is_taken(site: Site, app_client: FlaskClient, sent_from: dict[str, str]) -> None:
    send(site, referral(RED))
    assert press(app_client, alert_ids(site)[0], **sent_from).status_code == 303


def test_an_alert_that_is_not_there_is_told_in_words(app_client: FlaskClient) -> None:
    answer = press(app_client, "unknown")
    assert (answer.status_code, "There is no such alert." in answer.get_data(as_text=True)) == (404, True)
    assert app_client.get("/alerts?after=x").status_code == 400
    assert app_client.get("/alerts/x/acknowledge").status_code == 405


def test_further_alerts_stand_on_further_pages(
    site: Site, app_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_of_alerts, "PAGE", 2)
    sent = [send(site, referral(RED), timedelta(minutes=5 - number)) for number in range(5)]
    seen, path = [], "/alerts"
    while path:
        html = page(app_client, path)
        seen.append(re.findall(r'<a class="name" href="/referrals/([^"]+)"', html))
        following = re.findall(r'rel="next" href="([^"]*)"', html)
        path = following[0] if following else ""
    assert seen == [sent[:2], sent[2:4], sent[4:]]


def test_a_message_that_nobody_sends_is_told_of(site: Site, app_client: FlaskClient) -> None:
    send(site, referral(RED), timedelta(minutes=3))
    assert banners(page(app_client, "/")) == [
        "1 alert not acknowledged , the oldest for 3 minutes "
        "A message to a contact has been due for 3 minutes and nobody sends it: no worker seems to run."
    ]


def test_a_policy_without_contacts_says_so_and_shows_alerts_all_the_same(site: Site) -> None:
    alone = replace(site, policy=replace(site.policy, alerts=replace(site.policy.alerts, contacts=())))
    send(alone, referral(RED), timedelta(hours=1))
    html = page(application(alone).test_client(), "/alerts")
    assert "Nobody is told of alerts by mail or webhook: the policy names no contact." in said(html)
    assert (banners(html), len(lines(html))) == (["1 alert not acknowledged , the oldest for 1 hour"], 1)


def test_nothing_of_the_patient_stands_on_the_page_of_alerts(site: Site, app_client: FlaskClient) -> None:
    send(site, referral(RED))
    html = page(app_client, "/alerts")
    assert [word for word in ("Vellum", "Ada ", "1971", "Sparrow", "metoclopramide") if word in html] == []
