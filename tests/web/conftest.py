"""A caller at the doors of a site, once on each engine."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from referral_service.access.gate import Gate
from referral_service.app import application
from referral_service.intake import Site
from tests.shapes import Caller
from tests.web.signing import KEY, add_users


@pytest.fixture
def caller(app_client: FlaskClient, site: Site) -> Caller:
    return Caller(app_client, site)


@pytest.fixture
def asking(site: Site) -> Flask:
    """The service with somebody of each role, where everybody is asked who they are."""
    add_users(site.store)
    return application(site, Gate(asks=True, secret_key=KEY))


@pytest.fixture
def browser(asking: Flask) -> FlaskClient:
    return asking.test_client()
