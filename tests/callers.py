"""Callers of an app whose gate asks who they are: systems and people, each at its own doors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from flask import Flask

from referral_service.access.callers import BY_HAND, Caller, Kind
from referral_service.access.gate import Gate
from referral_service.access.scopes import parse_scopes
from referral_service.app import application
from referral_service.fhir.conformance.table import resource_types
from referral_service.intake import Site
from referral_service.policy import Limits
from referral_service.referral import Queue
from referral_service.worklist import Actor, Role
from tests import shapes

ALL = "system/*.cruds"


def placer(client: str, scopes: str = ALL) -> Caller:
    return _system(client, Role.PLACER, (), scopes)


def filler(client: str, *queues: Queue, scopes: str = ALL) -> Caller:
    return _system(client, Role.FILLER, queues, scopes)


def _system(client: str, role: Role, queues: Iterable[Queue], scopes: str) -> Caller:
    actor = Actor(client, client, frozenset({role}), frozenset(queues), client)
    return Caller(Kind.SYSTEM, actor, client, parse_scopes(scopes, resource_types()))


def person(name: str, role: Role, *queues: Queue) -> Caller:
    return Caller(Kind.PERSON, Actor(name, name, frozenset({role}), frozenset(queues)), BY_HAND)


@dataclass
class Doors:
    """One app whose every request comes from ``who``, as often as a test asks."""

    site: Site
    who: Caller | None = None
    app: Flask = field(init=False)

    def __post_init__(self) -> None:
        policy = replace(self.site.policy, limits=Limits(known=1_000_000, unknown=1_000_000))
        self.app = application(
            replace(self.site, policy=policy), Gate(asks=True, secret_key="k" * 32, told=lambda: self.who)
        )

    def of(self, who: Caller) -> shapes.Caller:
        """The doors as ``who`` finds them."""
        return shapes.Caller(_Client(self, who), self.site)  # type: ignore[arg-type]


class _Client:
    """Flask's client of an app, each call by the same caller."""

    def __init__(self, doors: Doors, who: Caller) -> None:
        self.get = partial(self.open, method="GET")
        self._doors, self._who, self._client = doors, who, doors.app.test_client()

    def open(self, *args: object, **more: object) -> object:
        self._doors.who = self._who
        return self._client.open(*args, **more)  # type: ignore[arg-type]
