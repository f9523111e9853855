"""Deny by default: a route without a rule is closed, and none is without one."""

from __future__ import annotations

from flask.testing import FlaskClient

from referral_service.web.rules import RULES


def test_every_route_has_a_rule_and_every_rule_a_route(app_client: FlaskClient) -> None:
    routes = {rule.endpoint for rule in app_client.application.url_map.iter_rules()}
    assert sorted(routes ^ RULES.keys()) == []


def test_a_rule_opens_a_route_to_somebody() -> None:
    closed = [name for name, rule in RULES.items() if not (rule.is_public or rule.scope or rule.roles)]
    assert closed == []
