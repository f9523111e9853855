"""Who acts on a Task, and in which capacity."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from referral_service.referral import Queue


class Role(StrEnum):
    """A system is a placer or a filler; people are coordinators, leads, auditors and integrators."""

    PLACER = "placer"
    FILLER = "filler"
    COORDINATOR = "coordinator"
    LEAD = "lead"
    AUDITOR = "auditor"
    INTEGRATOR = "integrator"


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever calls: ``id`` is stable, ``name`` is shown; ``client`` is the sender that a system speaks for."""

    id: str
    name: str
    roles: frozenset[Role]
    queues: frozenset[Queue]
    client: str | None = None

    def sees(self, queue: Queue, client: str) -> bool:
        """Whether a Task is there at all for this actor.

        A lead sees all, a filler and a coordinator what stands in their queues, a placer its own; nobody else any.
        """
        if Role.LEAD in self.roles or (Role.PLACER in self.roles and client == self.client):
            return True
        return bool(self.roles & {Role.FILLER, Role.COORDINATOR}) and queue in self.queues


def everyone(client: str) -> Actor:
    """Without authentication all callers are one and the same system and person, for all queues."""
    roles = frozenset({Role.PLACER, Role.FILLER, Role.LEAD})
    return Actor(client, "Local user", roles, frozenset(Queue), client)


def machine() -> Actor:
    """This service itself; it decides and holds no role."""
    return Actor("referral-service", "Referral service", frozenset(), frozenset())
