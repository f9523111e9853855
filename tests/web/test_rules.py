"""Deny by default: a route without a rule is closed, none is without one, and each role is let in where it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from referral_service.access.gate import Gate
from referral_service.app import application, site_of
from referral_service.intake import Site
from referral_service.policy import Limits, load_policy
from referral_service.store.engine import open_store
from referral_service.store.migrations import upgrade
from referral_service.web.rules import RULES
from tests.web.signing import KEY, OURS, USERS, add_users, sign_in, token_on

PAGES_OF_LEADS = {"/overview", "/overview/x.csv"}
PAGES_OF_DELIVERIES = {"/deliveries", "/deliveries/x/x/0/again"}
PAGES_OF_COORDINATORS = {
    *("/", "/refresh", "/worklist.csv", "/alerts", "/alerts/x/acknowledge", "/referrals/new", "/referrals/x"),
    *("/referrals/x/do/x", "/referrals/x/files/x", "/referrals/x/files/x/shown", "/referrals/x/ask-again"),
    *("/do/x", "/not-taken/x/0/take-in"),
}
PAGES_OF_INPUT = {"/not-taken", "/not-taken/x", "/not-taken/x/text"}
PAGES_OF_AUDITORS = {
    "/audit",
    "/audit/patients/x",
    "/fhir/AuditEvent",
    "/fhir/AuditEvent/x",
    "/fhir/AuditEvent/_search",
}
PAGES_OF_EVERYBODY = {"/account", "/sign-in/again", "/sign-out", "/sign-out-everywhere"}
READ_BY_COORDINATORS = {
    "/fhir/Binary/x",
    *("/fhir/Task", "/fhir/Task/x", "/fhir/Task/x/_history", "/fhir/Task/x/_history/0", "/fhir/Task/x/$actions"),
    *("/fhir/ServiceRequest/x/$decision", "/fhir/ServiceRequest/x/$original"),
}
"""What is written by hand here is compared with the rules, so that a slip in one of the two is seen."""


def test_every_route_has_a_rule_and_every_rule_a_route(app_client: FlaskClient) -> None:
    routes = {rule.endpoint for rule in app_client.application.url_map.iter_rules()}
    assert sorted(routes ^ RULES.keys()) == []


def test_a_rule_opens_a_route_to_somebody() -> None:
    closed = [name for name, rule in RULES.items() if not (rule.is_public or rule.scope or rule.roles)]
    assert closed == []


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('rules') / 'store.db'}")
    upgrade(store)
    add_users(store)
    policy = replace(load_policy(), limits=Limits(known=10_000, unknown=10_000))  # every route, one after another
    yield site_of(store, policy, "http://localhost")
    store.close()


@pytest.fixture(scope="module")
def browsers(asking: Site) -> dict[str, FlaskClient]:
    """Somebody of each role, signed in."""
    app = application(asking, Gate(asks=True, secret_key=KEY))
    found = {user: app.test_client() for user in USERS}
    for user, browser in found.items():
        sign_in(browser, user)
    return {**found, "nobody": app.test_client()}


def address_of(rule: Rule) -> str:
    """The route with something in each place that a caller fills in; nothing of that name is there."""
    path = re.sub(r"<int(?:\([^)]*\))?:\w+>", "0", rule.rule)
    path = re.sub(r"<any\(([^)]*)\):\w+>", lambda one: "Task" if "Task" in one[1] else one[1].split(",")[0], path)
    return re.sub(r"<\w+>", "x", path)


def routes(browser: FlaskClient) -> list[tuple[str, str, str]]:
    """Method, address and endpoint of every route that is not open to everybody."""
    return sorted(
        (method, address_of(rule), rule.endpoint)
        for rule in browser.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not RULES[rule.endpoint].is_public
        and rule.endpoint not in ("signing.sign_out", "signing.sign_out_everywhere")
    )


def answered(browser: FlaskClient, method: str, address: str, token: str) -> int:
    return browser.open(address, method=method, data={"token": token}, headers=OURS).status_code


def is_let_in(browser: FlaskClient, method: str, address: str, token: str) -> bool:
    """The bare address sends those for whom it is not to their own first page."""
    answer = browser.open(address, method=method, data={"token": token}, headers=OURS)
    is_sent_home = (method, address, answer.status_code) == ("GET", "/", 303)
    return answer.status_code != 403 and not is_sent_home


@pytest.mark.parametrize("user", USERS)
def test_each_role_is_let_in_where_its_rule_says_and_refused_everywhere_else(
    browsers: dict[str, FlaskClient], user: str
) -> None:
    browser = browsers[user]
    token = token_on(browser, "/account")
    let_in = {(method, address): is_let_in(browser, method, address, token) for method, address, _ in routes(browser)}
    expected = {(method, address): user in RULES[endpoint].roles for method, address, endpoint in routes(browser)}
    assert let_in == expected
    assert len(let_in) > 40


@pytest.mark.parametrize(
    ("user", "opened"),
    [
        (
            "lead",
            PAGES_OF_LEADS
            | PAGES_OF_DELIVERIES
            | PAGES_OF_COORDINATORS
            | PAGES_OF_INPUT
            | PAGES_OF_EVERYBODY
            | READ_BY_COORDINATORS,
        ),
        ("coordinator", PAGES_OF_COORDINATORS | PAGES_OF_INPUT | PAGES_OF_EVERYBODY | READ_BY_COORDINATORS),
        ("integrator", PAGES_OF_DELIVERIES | PAGES_OF_INPUT | PAGES_OF_EVERYBODY),
        ("auditor", PAGES_OF_AUDITORS | PAGES_OF_EVERYBODY),
    ],
)
def test_the_rules_open_to_each_role_what_was_meant_for_it(
    app_client: FlaskClient, user: str, opened: set[str]
) -> None:
    found = {
        address_of(rule)
        for rule in app_client.application.url_map.iter_rules()
        if user in RULES[rule.endpoint].roles and not RULES[rule.endpoint].is_public
    }
    assert found == opened


def test_whoever_is_signed_in_only_reads_and_searches_under_fhir(app_client: FlaskClient) -> None:
    written = [
        rule.rule
        for rule in app_client.application.url_map.iter_rules()
        if rule.rule.startswith("/fhir")
        and RULES[rule.endpoint].roles
        and not rule.rule.endswith("/_search")
        and not (rule.methods or set()) <= {"GET", "HEAD", "OPTIONS"}
    ]
    assert written == []


def test_nobody_is_let_in_anywhere_without_signing_in(browsers: dict[str, FlaskClient]) -> None:
    browser = browsers["nobody"]
    got = {(method, address): answered(browser, method, address, "") for method, address, _ in routes(browser)}
    polls = {"/refresh"}
    expected = {
        (method, address): 401 if address.startswith(("/fhir", "/cds-services")) or address in polls else 303
        for method, address in got
    }
    assert got == expected


def test_no_form_is_taken_that_was_not_made_for_this_session(browsers: dict[str, FlaskClient]) -> None:
    lead, other = browsers["lead"], token_on(browsers["coordinator"], "/account")
    sent = [(address, endpoint) for method, address, endpoint in routes(lead) if method == "POST"]
    # What is kept for a new session cannot carry its token, and does nothing but show it.
    forms = [one for one in sent if one[1] != "signing.send_again"]
    pages = [address for address, endpoint in forms if "lead" in RULES[endpoint].roles]
    pages += ["/sign-in", "/sign-out", "/sign-out-everywhere"]
    taken = [(path, token) for path in pages for token in ("", other) if answered(lead, "POST", path, token) != 403]
    assert (taken, len(pages)) == ([], 13)
