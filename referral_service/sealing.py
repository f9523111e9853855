"""The audit trail is sealed in batches, and checked against its seals.

Each sealed event has a number and a hash of itself and of the hash before it, so that one which was changed, removed,
added or moved later breaks the chain where it stands. Sealing follows writing: the events of the last moments are not
sealed yet, and of this tail only what its triggers refuse is kept from being changed. While a worker runs, the tail is
what came in the last :data:`GATHER` and the time in which the worker looks again
(:data:`~referral_service.worker.LOOK_SECONDS`).

Whoever can write to every table could make the whole chain anew, or cut off its end together with what was received
since. The hash of a seal that was noted elsewhere, as in the log where each seal is told, shows that too: see
``expected`` of :func:`verify`.

Where the policy lets old events go (:mod:`referral_service.retention`), the kept part follows an anchor, the last seal
that was removed, in place of the beginning.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from referral_service.fhir.audit import named_in
from referral_service.store import audit
from referral_service.store.audit import START, Row, link, seal_hash
from referral_service.store.engine import Connection, Store, instant

log = logging.getLogger("referral_service")

GATHER = timedelta(seconds=2)
"""How long the oldest event waits for others before it is sealed with them."""
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Sealer:
    """Whoever seals; as many as wanted, of whom one does at a time."""

    store: Store
    clock: Callable[[], datetime]

    def step(self) -> bool:
        at = self.clock()
        with self.store.writing() as connection:
            sealed = audit.seal(connection, at)
            last = audit.last_seal(connection) if sealed else None
        if last is not None:
            log.info("audit_sealed seal=%s:%s events=%s", last["batch"], last["hash"], last["last"])
        return sealed > 0

    def next_due(self) -> str | None:
        with self.store.reading() as connection:
            oldest = audit.oldest_unsealed(connection)
        return instant(datetime.fromisoformat(oldest) + GATHER) if oldest else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found: ``fault`` names the first thing that is not as it was sealed, None when all is.

    ``sealed`` events stand in the chain until ``sealed_at``, ``tail`` are not sealed yet, the oldest since
    ``tail_since``; ``last`` is the last seal. Of those sealed the first ``removed`` were, as the policy has it.
    """

    sealed: int
    sealed_at: str | None
    tail: int
    tail_since: str | None
    last: Row | None
    fault: str | None
    removed: int = 0


def verify(store: Store, expected: tuple[int, str] | None = None) -> Verdict:
    """Reads the whole trail. ``expected`` is the number and hash of a seal as it was noted elsewhere."""
    with store.at_one_moment() as connection:
        seals, anchors = audit.seals(connection), audit.anchors(connection)
        fault = next(_faults(connection, seals, anchors, expected), None)
        last = seals[-1] if seals else None
        return Verdict(
            sealed=last["last"] if last else 0,
            sealed_at=last["sealed_at"] if last else None,
            tail=audit.unsealed(connection),
            tail_since=audit.oldest_unsealed(connection),
            last=last,
            fault=fault,
            removed=anchors[-1]["last"] if anchors else 0,
        )


def _faults(
    connection: Connection, seals: list[Row], anchors: list[Row], expected: tuple[int, str] | None
) -> Iterator[str]:
    anchor = anchors[-1] if anchors else None
    yield from _of_seals(seals, anchor)
    yield from _of_noted(seals, anchors, expected)
    yield from _of_anchor(connection, anchor)
    yield from _of_chain(connection, seals, anchor)
    yield from _of_tail(connection)
    for identity in audit.orphans(connection, 1):
        yield f"event {identity} is gone, what it is found by is still here"
    for request in audit.untold(connection, 1, anchor["until"] if anchor else ""):
        yield f"the event of what was received as {request['id']} at {request['at']} is gone"
    for name in audit.missing_guards(connection):
        yield f"the trigger {name}, which keeps the trail from being changed, is gone or switched off"


def _of_seals(seals: list[Row], anchor: Row | None) -> Iterator[str]:
    """The batches follow the anchor, or the beginning, and one another without a gap."""
    following, batch = (anchor["last"] + 1, anchor["batch"] + 1) if anchor else (1, 1)
    for number, seal in enumerate(seals, start=batch):
        if seal["batch"] != number:
            yield f"batch {number} is missing"
        if seal["first"] != following or seal["last"] < seal["first"]:
            yield f"batch {number} begins at event {seal['first']}, not at {following}"
        following = seal["last"] + 1


def _of_noted(seals: list[Row], anchors: list[Row], expected: tuple[int, str] | None) -> Iterator[str]:
    """The seal that was noted elsewhere is here, as a seal or as an anchor."""
    if expected is None:
        return
    found = next((one["hash"] for one in (*seals, *anchors) if one["batch"] == expected[0]), None)
    if found is None and anchors and expected[0] < anchors[-1]["batch"]:
        last = anchors[-1]["batch"]
        yield f"batch {expected[0]} was removed, as the policy has it, until batch {last}: note a later one"
    elif found != expected[1]:
        yield f"batch {expected[0]} is not the one whose hash was noted"


def _of_anchor(connection: Connection, anchor: Row | None) -> Iterator[str]:
    """Of what was removed an event tells, which stands in the kept part and cannot be changed either."""
    if anchor is not None and audit.tells_of(connection, anchor["event_id"]) != removal(anchor):
        yield f"the event that tells of the removal until batch {anchor['batch']} is not here"


def removal(anchor: Row) -> str:
    """How an event tells of the removal until an anchor."""
    return f"removed by policy: audit until seal {anchor['batch']}:{anchor['hash']}"


def _of_chain(connection: Connection, seals: list[Row], anchor: Row | None) -> Iterator[str]:
    """Every event of every batch, in order; each is looked at as it stands, and then by what it is found by."""
    events = _sealed(connection, anchor["last"] if anchor else -1)
    before, event = anchor["hash"] if anchor else START, next(events, None)
    for seal in seals:
        for number in range(seal["first"], seal["last"] + 1):
            where = f"batch {seal['batch']}, event {number}"
            if event is None or event["sequence"] != number:
                yield f"{where}: it is missing"
                return
            before = link(before, number, event)
            if event["hash"] != before:
                yield f"{where} ({event['id']}): it is not as it was sealed"
                return
            yield from (f"{where} ({event['id']}): {words}" for words in _of_references(event))
            event = next(events, None)
        before = seal_hash(before, seal)
        if seal["hash"] != before:
            yield f"batch {seal['batch']}: its seal is not that of its events"
            return
    if event is not None:
        yield f"event {event['sequence']} ({event['id']}): it stands in no batch"


def _sealed(connection: Connection, after: int) -> Iterator[Row]:
    page = audit.sealed_after(connection, after, _PAGE)
    while page:
        yield from page
        page = audit.sealed_after(connection, page[-1]["sequence"], _PAGE)


def _of_references(event: Row) -> Iterator[str]:
    """What an event is found by is not in the hash, for it follows from what is."""
    wanted = sorted((one, event["at"]) for one in named_in(event["content"]))
    if sorted(event["references"]) != wanted:
        yield "it is not found by what it names"


def _of_tail(connection: Connection) -> Iterator[str]:
    after = ("", "")
    while page := audit.unsealed_events(connection, after, _PAGE):
        for event in page:
            yield from (f"event {event['id']}, not sealed yet: {words}" for words in _of_references(event))
        after = (page[-1]["at"], page[-1]["id"])
