"""What all who deliver stand on, and what a message to a receiver is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import random
from time import monotonic
from typing import Any

from referral_service.access.scopes import Need, Scopes, parse_scopes
from referral_service.access.tokens import system
from referral_service.ehr.known import Ehr
from referral_service.ehr.tokens import Scopes as Wanted
from referral_service.ehr.tokens import Tokens
from referral_service.fhir.conformance.table import resource_types
from referral_service.settings import Settings
from referral_service.store.engine import Store
from referral_service.worker import Clock
from referral_service.worklist import Actor, everyone

Row = Mapping[str, Any]
FHIR_JSON = "application/fhir+json"
HELD_SECONDS = 60.0
"""So long a client whose receiver gives no answer is left alone at most, that others are not kept waiting by it."""


@dataclass(frozen=True, slots=True)
class Ground:
    """``chance`` gives the jitter of pauses, in [0, 1); ``tokens`` are those that open the servers of clients."""

    store: Store
    settings: Settings
    clock: Clock
    chance: Callable[[], float] = random
    tokens: Tokens = field(default_factory=lambda: Tokens(None, monotonic))

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
class Login:
    """Where this service logs in before it sends, if anything is registered for that, and what it asks for there."""

    ehr: Ehr
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Letter:
    """One request to a receiver. ``registered`` are the origins that it may go to, ``seconds`` how long it may take,
    with the log-in.

    ``is_message`` tells that its answer may be a message, which can say that it failed whatever its status is;
    ``taken_too`` are statuses beside 2xx that tell that the receiver has it.
    """

    method: str
    address: str
    body: bytes
    registered: frozenset[str]
    seconds: float
    headers: Mapping[str, str] = field(default_factory=dict)
    login: Login | None = None
    is_message: bool = False
    taken_too: frozenset[int] = frozenset()


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
