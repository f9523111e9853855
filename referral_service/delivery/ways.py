"""The ways of telling: each kind of receiver has a function that writes what is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from referral_service.access.registering import TELLING
from referral_service.delivery import direct, subscribers
from referral_service.delivery.ground import Ground, Letter, Never, NotNow, Row
from referral_service.store.deliveries import SUBSCRIPTION
from referral_service.store.engine import Connection

Prepare = Callable[[Connection, Row, Ground], Letter | NotNow | Never]
"""From a delivery: what is sent, or why nothing is. Reads the database; sends nothing itself."""

WAYS: Mapping[str, Prepare] = {
    "task": direct.prepare_task,
    "bser": direct.prepare_bser,
    "bars": direct.prepare_bars,
}
"""How a client can be told directly: what ``client add --tell`` takes."""

assert WAYS.keys() == set(TELLING)
PREPARE: Mapping[str, Prepare] = {SUBSCRIPTION: subscribers.prepare, **WAYS}
