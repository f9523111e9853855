"""What a sandbox plays, chosen by an identifier of the referral: the same each time, for those who connect a system.

Its system is :data:`SYSTEM`, its value ``accepted``, ``on-hold``, ``rejected``, ``slow`` or ``error``, each also with a
dash and any word behind it, so that it can be played again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum

from referral_service.fhir.bundle import Envelope, Resource, identifiers
from referral_service.fhir.writer import CANONICAL
from referral_service.intake.course import Course
from referral_service.intake.site import Became, Incoming, Site
from referral_service.issues import Fault, FaultKind, error
from referral_service.store import tables
from referral_service.store.engine import instant
from referral_service.store.sandbox import first_time
from referral_service.store.writes import bounded

SYSTEM = f"{CANONICAL}/sandbox"
SLOW_SECONDS = 3.0
MOVED_AFTER = timedelta(seconds=2)


class Scenario(StrEnum):
    ACCEPTED = "accepted"
    ON_HOLD = "on-hold"
    REJECTED = "rejected"
    SLOW = "slow"
    """The answer takes :data:`SLOW_SECONDS`."""
    ERROR = "error"
    """503 the first time, and nothing is stored; sent again, it is taken."""


MOVES = frozenset({Scenario.ACCEPTED, Scenario.ON_HOLD, Scenario.REJECTED})
_VALUE = re.compile(rf"({'|'.join(Scenario)})(-.*)?", re.DOTALL)


def scenario_of(resource: Resource) -> tuple[Scenario, str] | None:
    """The scenario that a referral asks for, with the value that names it; None for an ordinary one."""
    asked = (_VALUE.fullmatch(one["value"]) for one in identifiers(resource) if one.get("system") == SYSTEM)
    return next(((Scenario(match[1]), match[0]) for match in asked if match), None)


def meet(site: Site, incoming: Incoming, envelope: Envelope) -> None:
    """What comes before anything is taken: the wait, and the fault, which is raised as 503."""
    for scenario, name in _asked(envelope):
        if scenario is Scenario.SLOW:
            time.sleep(SLOW_SECONDS)
        if scenario is Scenario.ERROR and first_time(site.store, incoming.client, name):
            words = "The sandbox was asked for a fault: nothing was stored. Send the same again, and it is taken."
            raise Fault(FaultKind.TRANSIENT, error("transient", "sandbox-error", words))


def _asked(envelope: Envelope) -> Iterator[tuple[Scenario, str]]:
    return (found for entry in envelope.referrals() if (found := scenario_of(entry.resource)) is not None)


def stage(course: Course) -> None:
    """Adds what is to be played later on each new referral to what is written."""
    due = instant(course.incoming.at + MOVED_AFTER)
    for place, ordinal in course.ordinals.items():
        answer, asked = course.answers[place], scenario_of(course.envelope.referrals()[ordinal].resource)
        if asked is not None and asked[0] in MOVES and answer.became is Became.CREATED:
            played = {"name": bounded(asked[1]), "scenario": asked[0].value, "due": due, "attempts": 0}
            course.draft.add(tables.scene, referral_id=answer.id, task_id=answer.task_id, **played)
