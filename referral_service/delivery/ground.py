"""What all who deliver stand on, and what a message to a receiver is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import random
from typing import Any

from referral_service.access.scopes import Need, Scopes, parse_scopes
from referral_service.access.tokens import system
from referral_service.fhir.conformance.table import resource_types
from referral_service.settings import Settings
from referral_service.store.engine import Store
from referral_service.worker import Clock
from referral_service.worklist import Actor, everyone

Row = Mapping[str, Any]
FHIR_JSON = "application/fhir+json"


def no_authorization(_: Row) -> dict[str, str]:
    """What goes along to the FHIR server of a client that has registered no way of authorization."""
    return {}


@dataclass(frozen=True, slots=True)
class Ground:
    """``chance`` gives the jitter of pauses, in [0, 1); ``authorization`` the headers that open a client's server."""

    store: Store
    settings: Settings
    clock: Clock
    chance: Callable[[], float] = random
    authorization: Callable[[Row], dict[str, str]] = no_authorization

    @property
    def base(self) -> str:
        return f"{self.settings.public_url}/fhir"

    def actor(self, client: Row | None, identity: str) -> Actor | None:
        """As whom a client sees records; None for one that is not registered, or not any more."""
        if self.settings.auth == "none":
            return everyone(identity)
        return system(client, Scopes(frozenset())).actor if client and client["revoked_at"] is None else None

    def may_read(self, client: Row | None, kind: str) -> bool:
        """Whether a client was granted to read a type at all."""
        if self.settings.auth == "none":
            return True
        return client is not None and parse_scopes(client["scopes"], resource_types()).allow(Need(kind, "r"))

    def registered(self, client: Row | None) -> frozenset[str]:
        """The origins at which a client may be told by Subscriptions."""
        if self.settings.auth == "none":
            return self.settings.outbound
        return frozenset(client["callbacks"].split()) if client is not None else frozenset()


@dataclass(frozen=True, slots=True)
class Letter:
    """One request to a receiver. ``registered`` are the origins that it may go to, ``seconds`` how long it may take.

    ``client`` is set when that client's server asks for authorization.
    """

    method: str
    address: str
    body: bytes
    registered: frozenset[str]
    seconds: float
    headers: Mapping[str, str] = field(default_factory=dict)
    client: Row | None = None


@dataclass(frozen=True, slots=True)
class NotNow:
    """It cannot be told yet: to be asked again later, without counting as a failure."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Never:
    """There is nobody any more who is to be told."""


def later(at: datetime, seconds: float) -> datetime:
    return at + timedelta(seconds=seconds)


def client_of(row: Row) -> Row | None:
    """The registered client in a row that a Subscription and its client were read as together."""
    if row["client_id"] is None:
        return None
    return {name.removeprefix("client_"): value for name, value in row.items() if name.startswith("client_")}
