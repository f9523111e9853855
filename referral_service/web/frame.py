"""What every page shows around its own matter: the tabs with their counts, and the sums that must agree."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import orjson
from flask import current_app

from referral_service.referral import Queue
from referral_service.store import alerts, ledger, listing, worklist
from referral_service.store.listing import Stamp
from referral_service.store.worklist import Count, Reader
from referral_service.web.http import now as clock
from referral_service.web.http import queues_seen, site
from referral_service.web.present import alert
from referral_service.web.present.people import Key, Known
from referral_service.web.present.queue import ends_of_roles
from referral_service.web.present.words import Now
from referral_service.web.sessions import may

ALL, CLOSED = "all", "closed"
_SETTLED = timedelta(minutes=10)
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Tab:
    """One list of the worklist; ``key`` is what is pressed after g to go there."""

    name: str
    words: str
    key: str
    count: Count
    unit: str = "open"


def now() -> Now:
    """When the page is made, in the zone of the site."""
    return Now(clock(), site().policy.zone)


def stamp(connection: Reader, now: Now) -> Stamp:
    """What a page stands on; changes that were begun but ten minutes ago may still be on their way."""
    settled = now.at.replace(minute=now.at.minute // 10 * 10, second=0, microsecond=0) - _SETTLED
    return listing.stamp(connection, settled)


def kept(connection: Reader, stamp: Stamp, work: Callable[..., Found], *given: Hashable) -> Found:
    """What ``work`` finds in the database, looked up once for as long as nothing changes.

    A stamp is read before that which it stands for, so that what changes in between is at worst looked up twice.
    """
    of, found = current_app.extensions.get("kept", (None, {}))
    if of != stamp:
        found = {}
        current_app.extensions["kept"] = (stamp, found)
    key = (work, *given)
    if key not in found:
        found[key] = work(connection, *given)
    value: Found = found[key]
    return value


def frame(connection: Reader, current: str, now: Now, stamped: Stamp | None = None) -> dict[str, Any]:
    policy, stamped = site().policy, stamped or stamp(connection, now)
    sums = kept(connection, stamped, ledger.sums)
    tabs = _tabs(connection, stamped, sums) if may("worklist.show") else []
    sees_alerts = may("alerts.show_alerts")
    return {
        "current": current,
        "tabs": tabs,
        "red_flags": max((tab.count.red_flags for tab in tabs), default=0),
        "sums": sums,
        "not_taken_count": sums["refused"] + sums["rejected"],
        "now": now,
        "policy": policy,
        "banner": alert.banner(alerts.summary(connection, queues_seen()), now, policy) if sees_alerts else None,
    }


_KEYS = {Queue.ADULT: "a", Queue.PEDIATRIC: "p", Queue.REVIEW: "r"}


def _tabs(connection: Reader, stamped: Stamp, sums: dict[str, int]) -> list[Tab]:
    policy, seen, counts = site().policy, queues_seen(), kept(connection, stamped, worklist.counts)
    queues = [Tab(name, policy.queues[name], _KEYS[name], counts.get(name, Count())) for name in seen]
    every = Count(sum(tab.count.open for tab in queues), sum(tab.count.red_flags for tab in queues))
    if len(seen) == len(Queue):
        words, closed = "All queues", sums["routed"] + sums["review"] - every.open
    else:
        words, closed = "My queues", kept(connection, stamped, worklist.closed, seen)
    return [*queues, Tab(ALL, words, "e", every), Tab(CLOSED, "Closed", "c", Count(closed), "closed")]


def first_to_open(counts: dict[str, Count], queues: tuple[Queue, ...]) -> str:
    """The first of these queues with a red flag, else the first with anything in it, else the last: that for review."""
    with_red_flag = [name for name in queues if counts.get(name, Count()).red_flags]
    not_empty = [name for name in queues if counts.get(name, Count()).open]
    return next(iter((*with_red_flag, *not_empty)), queues[-1]).value


def known_for(connection: Reader, wanted: Iterable[Key]) -> Known:
    """The resources that references lead to, and whom the roles among them stand for."""
    first = parsed(worklist.records(connection, wanted))
    second = parsed(worklist.records(connection, ends_of_roles(Known(first)) - set(first)))
    return Known({**first, **second})


def parsed(texts: dict[Key, str]) -> dict[Key, Any]:
    return {key: orjson.loads(text) for key, text in texts.items()}
