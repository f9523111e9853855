"""A world once on each engine, its receiver listening."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from referral_service.intake import Site
from tests.delivery.world import World


@pytest.fixture
def world(site: Site) -> Iterator[World]:
    made = World(site)
    with made.hook.open():
        yield made
