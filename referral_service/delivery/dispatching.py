"""Of each change that was noted a delivery is made for everybody who is to be told, by one leader at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from referral_service.delivery.ground import Ground, Row, client_of
from referral_service.delivery.ways import WAYS
from referral_service.fhir.bundle import Resource
from referral_service.fhir.subscription import fits
from referral_service.intake.applying import read_resource
from referral_service.referral import Queue
from referral_service.store import deliveries, leases, subscriptions, systems
from referral_service.store.deliveries import SUBSCRIPTION, Receiver
from referral_service.store.engine import Connection, instant

GATHER = timedelta(milliseconds=200)
"""How long the oldest change waits for others, so that under load many are numbered with one wait for the disk."""


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Whoever numbers events: as many as wanted, of whom one does at a time."""

    ground: Ground

    def step(self) -> bool:
        """Makes deliveries of the oldest changes; whether there were any that this one could take."""
        at = self.ground.clock()
        with self.ground.store.writing() as connection:
            if not deliveries.lead(connection):
                return False
            changes = deliveries.noted(connection)
            if changes:
                asked = subscriptions.that_count(connection, at)
                senders = {one: systems.client_in_use(connection, one) for one in {row["client"] for row in changes}}
                told = [(change, self._receivers(connection, change, asked, senders)) for change in changes]
                deliveries.make(connection, told, at)
                leases.ring(connection)
        return bool(changes)

    def next_due(self) -> str | None:
        with self.ground.store.reading() as connection:
            oldest = deliveries.oldest_noted(connection)
        return instant(datetime.fromisoformat(oldest) + GATHER) if oldest else None

    def _receivers(
        self, connection: Connection, change: Row, asked: list[Row], senders: Mapping[str, Row | None]
    ) -> Iterator[Receiver]:
        content: Resource | None = None
        for one in asked:
            if one["type"] == change["type"] and self._sees(one, change):
                if content is None:
                    where = (change["type"], change["resource_id"], change["version"])
                    content = read_resource(deliveries.content_of(connection, *where)[1])
                if fits(content, json.loads(one["filters"])):
                    yield Receiver(SUBSCRIPTION, one["id"], one["client"])
        sender = senders[change["client"]] if change["type"] == "Task" else None
        if sender is not None and sender["tell"] in WAYS:
            yield Receiver(sender["tell"], sender["id"], sender["id"])

    def _sees(self, asked: Row, change: Row) -> bool:
        """Whether the client of a Subscription has the referral in sight as it stands now."""
        client = client_of(asked)
        actor = self.ground.actor(client, asked["client"])
        if actor is None or not self.ground.may_read(client, change["type"]):
            return False
        return actor.sees(Queue(change["queue"]), change["client"])
