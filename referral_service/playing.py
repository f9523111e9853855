"""A sandbox's own worker: moves the Tasks of referrals that asked for it, by the moves that people make."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from referral_service.intake.moves import act
from referral_service.intake.sandbox import Scenario
from referral_service.intake.site import Site, new_id
from referral_service.referral import Queue
from referral_service.store import leases, tables
from referral_service.worker import Clock
from referral_service.worklist import MORE_INFORMATION, Actor, Role

log = logging.getLogger("referral_service")

SANDBOX = Actor("sandbox", "Sandbox", frozenset({Role.LEAD}), frozenset(Queue))
_ACTS: dict[Scenario, tuple[str, dict[str, str]]] = {
    Scenario.ACCEPTED: ("accept", {}),
    Scenario.ON_HOLD: (
        "return-for-information",
        {
            "reason": MORE_INFORMATION,
            "comment": "The sandbox was asked for this: which medicines does the patient take?",
        },
    ),
    Scenario.REJECTED: ("reject", {"reason": "out-of-scope", "comment": "The sandbox was asked for this."}),
}


@dataclass(frozen=True, slots=True)
class Player:
    """Several may play on one store: each scene is taken by one of them."""

    site: Site
    clock: Clock

    def step(self) -> bool:
        with self.site.store.writing() as connection:
            row = leases.claim(connection, tables.scene, self.clock())
        if row is None:
            return False
        code, fields = _ACTS[Scenario(row["scenario"])]
        answer = act(self.site, SANDBOX, row["task_id"], None, code, fields, self.clock(), new_id())
        log.info("scene_played scenario=%s fault=%s", row["scenario"], answer.fault or "-")
        with self.site.store.writing() as connection:
            leases.finish(connection, tables.scene, row)
        return True

    def next_due(self) -> str | None:
        with self.site.store.reading() as connection:
            return leases.next_due(connection, tables.scene)
