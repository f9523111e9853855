"""A site whose clients are told of changes: real doors, real receivers, and a clock that stands until it is moved."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from referral_service.delivery.carrying import Carrier
from referral_service.delivery.dispatching import Dispatcher
from referral_service.delivery.ground import Ground
from referral_service.delivery.subscribers import Keeper
from referral_service.ehr.tokens import Tokens
from referral_service.intake import Site
from referral_service.settings import Settings
from referral_service.store import tables
from referral_service.worker import Together, now
from tests.callers import Doors, filler, placer
from tests.receivers import Receiver
from tests.shapes import OWN, Caller, Resource
from tests.systems import EVERYTHING, System

TASKS, REQUESTS = f"{OWN}/SubscriptionTopic/referral-task", f"{OWN}/SubscriptionTopic/referral-request"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
PUBLIC_URL = "http://localhost"
MINUTE = timedelta(minutes=1)


def subscription(endpoint: str, topic: str = TASKS, payload: str = "full-resource", **more: Any) -> Resource:
    """``filters`` are written beside the criteria, ``channel`` and ``periods`` into the channel."""
    filters = [{"url": f"{BACKPORT}/backport-filter-criteria", "valueString": one} for one in more.pop("filters", [])]
    channel = {
        "type": "rest-hook",
        "endpoint": endpoint,
        "payload": "application/fhir+json",
        "_payload": {"extension": [{"url": f"{BACKPORT}/backport-payload-content", "valueCode": payload}]},
        **more.pop("channel", {}),
    }
    periods = [{"url": f"{BACKPORT}/{name}", **value} for name, value in more.pop("periods", {}).items()]
    if periods:
        channel["extension"] = periods
    written: Resource = {"resourceType": "Subscription", "status": "requested", "reason": "To be told", **more}
    if filters:
        written["_criteria"] = {"extension": filters}
    return {**written, "criteria": topic, "channel": channel}


@dataclass
class World:
    """``north`` and ``south`` send, ``clinic`` and ``childrens`` work on queues; all may be told at ``hook``."""

    site: Site
    hook: Receiver = field(default_factory=Receiver)
    tokens: Tokens = field(default_factory=lambda: Tokens(None, lambda: 0.0))
    listed: frozenset[str] = frozenset()
    at: datetime = field(default_factory=lambda: now().replace(microsecond=0) + MINUTE)
    doors: Doors = field(init=False)

    def __post_init__(self) -> None:
        self.doors = Doors(self.site)
        self.doors.app.extensions["outbound"] = self.settings.outbound

    @property
    def settings(self) -> Settings:
        outbound = frozenset({self.hook.origin}) | self.listed
        return Settings("", None, "127.0.0.1", 8080, PUBLIC_URL, "smart", demo=False, outbound=outbound)

    @property
    def ground(self) -> Ground:
        return Ground(self.site.store, self.settings, self.clock, chance=lambda: 1.0, tokens=self.tokens)

    def clock(self) -> datetime:
        return self.at

    def register(self, identity: str, *queues: Any, **more: Any) -> Caller:
        """A client with what the doors know it as."""
        roles = ("filler", "placer") if queues else ("placer",)
        given: dict[str, Any] = {"callbacks": (self.hook.origin,), "roles": roles, "queues": queues} | more
        with self.site.store.writing() as connection:
            from referral_service.access.registering import register
            from referral_service.web.reading import GRANTABLE

            asked = System(identity).registration(**given)
            register(connection, asked, GRANTABLE, datetime.now(UTC), self.settings.outbound)
        scopes = " ".join(more.get("scopes", (EVERYTHING,)))
        return self.doors.of(filler(identity, *queues, scopes=scopes) if queues else placer(identity, scopes))

    def works(self, most: int = 1000) -> int:
        """How many pieces of work are done until nothing is due."""
        ground = self.ground
        work, done = Together((Dispatcher(ground), Keeper(ground), Carrier(ground))), 0
        while done < most and work.step():
            done += 1
        return done

    def passes(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def subscribed(self, caller: Caller, *arguments: Any, path: str = "/hook", **more: Any) -> str:
        """The id of a Subscription that has become active; what its endpoint heard by then is forgotten."""
        answer = caller.post("Subscription", subscription(f"{self.hook.origin}{path}", *arguments, **more))
        assert answer.status_code == 201, answer.text
        identity = str(answer.get_json(force=True)["id"])
        self.works()
        assert caller.read(f"Subscription/{identity}")["status"] == "active"
        self.hook.calls.clear()
        return identity

    def told(self) -> list[tuple[int, str, str, str]]:
        """(number, type, id, status) of every event with its whole resource that the receiver got."""
        return [event for call in self.hook.calls for event in events_of(call.body)]

    def deliveries(self) -> list[tuple[Any, ...]]:
        table = tables.delivery
        columns = (table.c.kind, table.c.receiver, table.c.number, table.c.state, table.c.failures, table.c.fault)
        with self.site.store.reading() as connection:
            query = select(*columns).order_by(table.c.kind, table.c.receiver, table.c.number)
            return [tuple(row) for row in connection.execute(query)]

    def states(self) -> list[str]:
        return [row[3] for row in self.deliveries()]


def status_of(bundle: Resource) -> dict[str, Any]:
    """The parameters of the first entry by name; events by number, each with its parts by name."""
    found: dict[str, Any] = {"events": {}}
    for one in bundle["entry"][0]["resource"]["parameter"]:
        if one["name"] == "notification-event":
            parts = {part["name"]: _value(part) for part in one["part"]}
            found["events"][parts.pop("event-number")] = parts
        else:
            found[one["name"]] = _value(one)
    return found


def _value(parameter: Resource) -> Any:
    value = next(one for name, one in parameter.items() if name != "name")
    return value.get("reference", value) if isinstance(value, dict) else value


def events_of(bundle: Resource) -> list[tuple[int, str, str, str]]:
    numbers = [int(number) for number in status_of(bundle)["events"]]
    resources = [entry["resource"] for entry in bundle["entry"][1:]]
    return [
        (number, one["resourceType"], one["id"], one["status"]) for number, one in zip(numbers, resources, strict=True)
    ]
