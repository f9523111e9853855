"""Who calls: a system with its scopes, a person with a role, or anyone where nobody is asked who they are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from referral_service.access.scopes import Scopes
from referral_service.worklist import Actor, Role, everyone

BY_HAND = "local"
"""The client of what people enter by hand; also that of all callers where nobody is asked who they are."""


class Kind(StrEnum):
    SYSTEM = "system"
    PERSON = "person"
    ANYONE = "anyone"


@dataclass(frozen=True, slots=True)
class Caller:
    """``client`` is the one whose records a system sends and reads; ``scopes`` are those of its token.

    People hold no scopes, their roles say what they may do, and what they enter by hand is of the client by hand.
    ``placer_system`` is the system of a client's placer identifiers without a type, ``bars`` whether it speaks BaRS.
    """

    kind: Kind
    actor: Actor
    client: str
    scopes: Scopes | None = None
    placer_system: str | None = None
    bars: bool = False

    def has_role(self, roles: frozenset[Role]) -> bool:
        return bool(self.actor.roles & roles)


ANYONE = Caller(Kind.ANYONE, everyone(BY_HAND), BY_HAND)
"""Without authentication all callers are one and the same system and person."""
