"""What a Subscription is told of one event, as its client may see it at this moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from referral_service.fhir.bundle import Resource
from referral_service.fhir.subscription import TOPICS
from referral_service.fhir.writer.notification import About, Event
from referral_service.intake.applying import read_resource
from referral_service.referral import Queue
from referral_service.store import deliveries
from referral_service.store.deliveries import SUBSCRIPTION
from referral_service.store.engine import Connection
from referral_service.worklist import Actor

Row = Mapping[str, Any]


def about_of(connection: Connection, found: Row, base: str, payload: str | None = None) -> About:
    """Of which Subscription it is; ``payload`` is how much is told, when that is not what it asks for itself."""
    topic = next(one for one, kind in TOPICS.items() if kind == found["type"])
    count = deliveries.last_number(connection, SUBSCRIPTION, found["id"])
    return About(base, found["id"], topic, found["status"], count, payload or found["payload"], found["fault"])


def event_of(connection: Connection, row: Row, payload: str, actor: Actor | None) -> Event:
    """One event. What is out of the sight of ``actor`` by now is not named; None sees nothing.

    Of a referral that was entered in error nothing is told but that it was.
    """
    current, text = deliveries.content_of(connection, row["type"], row["resource_id"], row["version"])
    queue = current["queue"] if row["type"] == "Task" else deliveries.queue_of(connection, row["referral_id"])
    if actor is None or not actor.sees(Queue(queue), current["client"]):
        return Event(row["number"], row["at"], None, row["version"])
    is_masked = row["type"] == "ServiceRequest" and current["status"] == "entered-in-error"
    content: Resource | None = None
    if payload == "full-resource":
        content = read_resource(current["content"] if is_masked else text)
    return Event(row["number"], row["at"], f"{row['type']}/{row['resource_id']}", row["version"], content)
