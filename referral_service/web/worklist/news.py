"""What has arrived since somebody's page was made, in a sentence to be announced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from referral_service.issues import Fault, FaultKind, error
from referral_service.policy import Policy
from referral_service.referral import Queue
from referral_service.store import listing
from referral_service.store.worklist import Reader
from referral_service.web.present.words import Now, number, queue_name

PARAMETERS = ("since", "red")
_INSTANT = re.compile(r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a page knew: the instant of the latest change, and how many open referrals had a red flag."""

    since: str
    red: int


@dataclass(frozen=True, slots=True)
class Told:
    """``urgent`` is said at once, everything else when the reader pauses; ``count`` stands in the title."""

    words: str = ""
    urgent: bool = False
    count: int = 0


def read(given: Mapping[str, str]) -> Seen | None:
    """Raises a fault on what no page of ours would say."""
    since, red = given.get("since"), given.get("red", "")
    if since is None:
        return None
    if not _INSTANT.fullmatch(since) or not re.fullmatch(r"\d{1,7}", red, re.ASCII):
        raise Fault(FaultKind.INVALID, error("invalid", "cursor", "This address is not one of ours."))
    return Seen(since, int(red))


def told(
    connection: Reader, before: Seen | None, queues: tuple[Queue, ...], red_flags: int, now: Now, policy: Policy
) -> Told:
    """``red_flags`` is how many open referrals have one by now; more than arrived with one were marked since."""
    if before is None:
        return Told()
    arrived = {name: count for name, count in listing.arrivals(connection, before.since).items() if name in queues}
    new = sum(one.open for one in arrived.values())
    red = sum(one.red_flags for one in arrived.values())
    marked = max(0, red_flags - before.red - red)
    places = ", ".join(queue_name(queue, policy) for queue in arrived)
    sentences = [f"{_some(red, new)} in {places}."] if new else []
    if marked:
        sentences.append(f"Red flag: {number(marked, 'referral')} that was here before has one now.")
    if not sentences:
        return Told()
    return Told(" ".join((f"{now.at.astimezone(now.zone):%H:%M}:", *sentences)), bool(red or marked), new + marked)


def _some(red: int, new: int) -> str:
    all_of_them = number(new, "new referral")
    if red == 0:
        return all_of_them
    return f"Red flag: {all_of_them}" if red == new else f"Red flag: {red} of {all_of_them}"
