"""A caller at the doors of a site, once on each engine."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from referral_service.intake import Site
from tests.shapes import Caller


@pytest.fixture
def caller(app_client: FlaskClient, site: Site) -> Caller:
    return Caller(app_client, site)
