"""Whoever is let in, goes or is refused leaves an event of the audit trail; whom nobody knows leaves none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text

from referral_service.access import people
from referral_service.access.gate import Gate, OpenId
from referral_service.app import application
from referral_service.fhir import conformance
from referral_service.intake import Site
from referral_service.store import people as stored
from referral_service.store import tables
from referral_service.store.engine import Store
from referral_service.web.authentications import GAP, Seldom
from tests.systems import LEFT_OUT, System, rsa_key
from tests.web.provider import CLIENT, SECRET, running
from tests.web.signing import KEY, PASSWORD, form, sign_in
from tests.web.test_audit import events
from tests.web.test_openid import come_back, to_provider

DCM = "http://dicom.nema.org/resources/ontology/DCM"
GIVEN, NOT_GIVEN = "0", "4"
IN, OUT = ("110122", "Login"), ("110123", "Logout")


@pytest.fixture
def system(store: Store) -> System:
    return System().register(store, scopes=("system/Task.rs",))


def attempts(app: Flask) -> list[tuple[str, tuple[str, str], str, str]]:
    """Of each sign-in, sign-out and token: who, what, whether it was given and why not."""
    return [
        (
            next(one["name"] for one in event["agent"] if one["requestor"]),
            (event["subtype"][0]["code"], event["subtype"][0]["display"]),
            event["outcome"],
            event.get("outcomeDesc", ""),
        )
        for event in events(app)
        if event["type"] == {"system": DCM, "code": "110114", "display": "User Authentication"}
    ]


def try_password(browser: FlaskClient, user: str, password: str = "not the password") -> int:
    return form(browser, "/sign-in", user=user, password=password).status_code


def ask(browser: FlaskClient, system: System, **changed: Any) -> int:
    scope = changed.pop("scope", "system/Task.rs")
    return browser.post("/auth/token", data=system.form(scope, **changed)).status_code


def test_who_signs_in_and_out_leaves_one_event_each_that_r4_and_the_models_take(
    asking: Flask, browser: FlaskClient
) -> None:
    from fhir.resources.R4B.auditevent import AuditEvent

    sign_in(browser, "lead")
    assert form(browser, "/sign-out", page="/account").status_code == 303
    assert attempts(asking) == [("Sample lead", IN, GIVEN, ""), ("Sample lead", OUT, GIVEN, "")]
    for one in events(asking):
        assert [issue for issue in conformance.check(one) if issue.severity in ("error", "fatal")] == []
        assert AuditEvent.model_validate(one).id == one["id"]
        assert one["agent"][0]["network"] == {"address": "127.0.0.1", "type": "2"}


def test_signing_out_everywhere_is_a_log_out(asking: Flask, browser: FlaskClient) -> None:
    sign_in(browser, "lead")
    form(browser, "/sign-out-everywhere", page="/account")
    assert attempts(asking)[1:] == [("Sample lead", OUT, GIVEN, "")]


def test_wrong_passwords_of_somebody_known_leave_events_until_the_name_is_locked_and_then_none(
    asking: Flask, browser: FlaskClient
) -> None:
    assert [try_password(browser, "lead") for _ in range(7)] == [401] * 7
    assert try_password(browser, "lead", PASSWORD) == 401
    assert attempts(asking) == [
        *[("Sample lead", IN, NOT_GIVEN, "wrong-password")] * 4,
        ("Sample lead", IN, NOT_GIVEN, "locked-out"),
    ]


def test_nobody_buys_an_event_with_a_name_that_nobody_has_or_that_was_disabled(
    asking: Flask, browser: FlaskClient, site: Site
) -> None:
    with site.store.writing() as connection:
        people.disable(connection, "lead", datetime.now(UTC))
    assert [try_password(browser, name) for name in ("nobody", "lead", "")] == [401, 401, 401]
    assert events(asking) == []


def test_there_is_no_session_and_no_token_without_its_event(browser: FlaskClient, system: System, site: Site) -> None:
    def rename(old: str, new: str) -> None:
        with site.store.writing() as connection:
            connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))

    rename("audit_event", "audit_event_away")
    try:
        assert min(try_password(browser, "lead", PASSWORD), ask(browser, system)) >= 500
    finally:
        rename("audit_event_away", "audit_event")
    assert browser.get("/").status_code == 303
    with site.store.reading() as connection:
        assert connection.execute(select(tables.session.c.id)).all() == []
        assert connection.execute(select(tables.access_token.c.hash)).all() == []


def test_a_token_leaves_an_event_of_the_client_that_got_it(asking: Flask, browser: FlaskClient, system: System) -> None:
    assert ask(browser, system) == 200
    assert attempts(asking) == [("The system ehr-a", IN, GIVEN, "")]
    (event,) = events(asking)
    assert event["agent"][0]["who"] == {"identifier": {"value": "ehr-a"}}
    assert [issue for issue in conformance.check(event) if issue.severity in ("error", "fatal")] == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"client_assertion": System(key=rsa_key("another")).assertion()}, "invalid-client"),
        ({"client_assertion": System().assertion(exp=1_700_000_000)}, "invalid-client"),
        ({"client_assertion": System().assertion({"alg": "none"})}, "invalid-client"),
        ({"client_assertion": System().assertion(jti=LEFT_OUT)}, "invalid-client"),
        ({"client_id": "ehr-b"}, "invalid-client"),
        ({"scope": "system/Patient.r"}, "invalid-scope"),
    ],
    ids=["another key", "expired", "no signature", "no jti", "two ids", "more than granted"],
)
def test_a_refusal_of_a_client_that_is_known_leaves_an_event(
    asking: Flask, browser: FlaskClient, system: System, changed: dict[str, Any], reason: str
) -> None:
    assert ask(browser, system, **changed) in (400, 401)
    assert attempts(asking) == [("The system ehr-a", IN, NOT_GIVEN, reason)]


def test_an_assertion_that_comes_again_leaves_an_event(asking: Flask, browser: FlaskClient, system: System) -> None:
    used = system.assertion()
    assert [ask(browser, system, client_assertion=used) for _ in range(2)] == [200, 401]
    assert attempts(asking) == [
        ("The system ehr-a", IN, GIVEN, ""),
        ("The system ehr-a", IN, NOT_GIVEN, "invalid-client"),
    ]


@pytest.mark.usefixtures("system")
def test_strangers_who_name_a_client_leave_one_event_a_minute_however_often_they_try(
    asking: Flask, browser: FlaskClient
) -> None:
    stranger = System(key=rsa_key("another"))
    assert {ask(browser, stranger) for _ in range(12)} == {401}
    assert attempts(asking) == [("The system ehr-a", IN, NOT_GIVEN, "invalid-client")]


@pytest.mark.parametrize("assertion", [System("ehr-z").assertion(), "a.b.c", "x" * 9000, "", "é"])
def test_nobody_buys_an_event_with_a_client_that_nobody_knows(
    asking: Flask, browser: FlaskClient, system: System, assertion: str
) -> None:
    assert browser.post("/auth/token", data={**system.form(), "client_assertion": assertion}).status_code in (400, 401)
    assert events(asking) == []


def test_a_reason_comes_up_again_after_a_minute_and_another_one_at_once() -> None:
    seldom, at = Seldom(), datetime(2026, 3, 16, tzinfo=UTC)
    asked = [("a", "x", 0), ("a", "x", 59.9), ("a", "y", 59.9), ("b", "x", 59.9), ("a", "x", 60), ("a", "x", 119.9)]
    due = [seldom.is_due(caller, reason, at + timedelta(seconds=seconds)) for caller, reason, seconds in asked]
    assert (due, GAP) == ([True, False, True, True, True, False], timedelta(minutes=1))


def test_whoever_the_provider_sends_and_may_not_come_in_leaves_an_event_once_known(site: Site) -> None:
    with running() as provider:
        openid = OpenId(provider.issuer, CLIENT, "roles", SECRET)
        app = application(site, Gate(asks=True, secret_key=KEY, openid=openid))
        browser = app.test_client()
        provider.claims["roles"] = ["staff"]
        assert come_back(browser, to_provider(browser)).status_code == 403
        assert events(app) == []
        provider.claims["roles"] = ["lead"]
        assert come_back(browser, to_provider(browser)).status_code == 303
        with site.store.writing() as connection:
            (row,) = stored.everybody(connection)
            people.disable(connection, row["id"], datetime.now(UTC))
        assert [come_back(browser, to_provider(browser)).status_code for _ in range(3)] == [403] * 3
    assert attempts(app) == [("Bea Example", IN, GIVEN, ""), ("Bea Example", IN, NOT_GIVEN, "not-entitled")]


def test_an_auditor_reads_who_signed_in_and_out(browser: FlaskClient) -> None:
    sign_in(browser, "lead")
    form(browser, "/sign-out", page="/account")
    try_password(browser, "lead")
    sign_in(browser, "auditor")
    page = browser.get("/audit").text
    assert (page.count("Signed in"), page.count("Signed out"), page.count("wrong password")) == (3, 1, 1)
