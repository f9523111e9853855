"""The overview's tables: each is shown, drawn and exported from the same rows."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import ceil
from typing import Any, TypeVar

from referral_service.policy import Policy
from referral_service.referral import Queue
from referral_service.web.present import words
from referral_service.web.present.words import Now

Row = Mapping[str, Any]
Value = str | int | float | None
T = TypeVar("T", str, tuple[str, str, str])
HELD = "held-for-review"
SHARES = (0.5, 0.9)
READ = "completeness"
"""The rule that stands on every referral that could be read and was taken."""

_WHY_HELD = {
    "age-undetermined": "Age unsure",
    "indication-undetermined": "Indication unsure",
    "deceased": "Patient deceased",
    "taken-in": "Taken in by hand",
}


@dataclass(frozen=True, slots=True)
class Column:
    """``kind`` is ``text``, ``count``, ``hours``, ``share`` (0 to 1) or ``day`` (ISO); ``bar`` draws it too."""

    name: str
    kind: str = "text"
    bar: bool = False

    @property
    def heading(self) -> str:
        """As it stands in a file, where no words beside the number tell its unit."""
        return {"hours": f"{self.name} (hours)", "share": f"{self.name} (share)"}.get(self.kind, self.name)


@dataclass(frozen=True, slots=True)
class Table:
    key: str
    title: str
    columns: tuple[Column, ...]
    rows: list[tuple[Value, ...]]
    empty: str
    note: str = ""

    def exported(self) -> Iterator[Sequence[Value]]:
        yield [column.heading for column in self.columns]
        yield from self.rows

    def width(self, place: int, value: Value) -> float:
        """How long the bar of a value is, in percent of the longest in its column."""
        numbers = [number for row in self.rows if isinstance(number := row[place], int | float)]
        longest = max(numbers, default=0)
        return round(100 * value / longest, 1) if longest and isinstance(value, int | float) else 0


def shown(column: Column, value: Value) -> str:
    """A value in words."""
    if value is None:
        return "-"
    if column.kind == "hours":
        return wait(int(value))
    if column.kind == "share":
        return f"{float(value):.0%}"
    return words.day(date.fromisoformat(str(value))) if column.kind == "day" else str(value)


def wait(hours: int) -> str:
    return words.number(hours, "hour") if hours < 48 else words.number(hours // 24, "day")


def weeks(now: Now, number: int) -> list[date]:
    """The Mondays that the last weeks began on, this one included, in the site's zone."""
    monday = now.today - timedelta(days=now.today.weekday())
    return [monday - timedelta(weeks=back) for back in reversed(range(number))]


def start_of(day: date, now: Now) -> datetime:
    return datetime.combine(day, time.min, now.zone).astimezone(UTC)


def waiting(rows: Sequence[Row], titles: Mapping[str, str], now: Now, policy: Policy) -> Table:
    listed: list[tuple[Value, ...]] = [
        (
            words.queue_name(row["queue"], policy),
            row["code"] or "none yet",
            titles.get(row["code"] or "", ""),
            *(row["waiting"], int(row["overdue"]), int(row["red_flags"]), _hours(row["oldest"], now.at)),
        )
        for row in sorted(rows, key=lambda row: (list(Queue).index(row["queue"]), -row["waiting"], row["code"] or ""))
    ]
    columns = (Column("Queue"), Column("Code"), Column("Indication"), Column("Waiting", "count", bar=True))
    more = (Column("Overdue", "count"), Column("Red flag", "count"), Column("Longest wait", "hours"))
    return Table("waiting", "Who is waiting, by queue and code", columns + more, listed, "Nobody is waiting.")


def by_week(mondays: Sequence[date], starts: Sequence[str], received: Sequence[Row], decided: Sequence[Row]) -> Table:
    """What came and what people decided, week by week; the weeks begin on ``mondays``, at the instants ``starts``."""
    came = {row["week"]: row for row in received}
    done = Counter(bisect_right(starts, row["decided"]) - 1 for row in decided)
    names = ("received", "held", "not_taken")
    listed: list[tuple[Value, ...]] = [
        (monday.isoformat(), *(came[week][name] if week in came else 0 for name in names), done[week])
        for week, monday in enumerate(mondays)
    ]
    columns = (Column("Week from", "day"), Column("Received", "count"), Column("Held for review", "count"))
    more = (Column("Not taken", "count"), Column("Decided by a person", "count"))
    return Table("weeks", "Arrivals and decisions by week", columns + more, listed, "")


def ranks(waiting: Sequence[Row]) -> list[tuple[str, int]]:
    """The queues with the ranks by wait, from 1, at which the median and the 90th percentile of each stand."""
    numbers = _by_queue(waiting)
    return [(queue, _rank(number, share)) for queue, number in numbers.items() for share in SHARES]


def waits(
    waiting: Sequence[Row],
    received: Mapping[tuple[str, int], str | None],
    decided: Sequence[Row],
    now: Now,
    policy: Policy,
) -> Table:
    """How long those who wait have waited, and how long the others waited for a person's decision.

    ``received`` holds when those at the ranks were first received.
    """
    numbers = _by_queue(waiting)
    listed: list[tuple[Value, ...]] = []
    for queue in Queue:
        at_ranks = [received.get((queue, _rank(numbers[queue], share))) for share in SHARES]
        so_far = [None if since is None else _hours(since, now.at) for since in at_ranks]
        done = [row for row in decided if row["queue"] == queue]
        until = Counter(_hours(row["authored_on"], datetime.fromisoformat(row["decided"])) for row in done)
        spread = (percentile(until, share) for share in SHARES)
        listed.append((policy.queues[queue], numbers[queue], *so_far, until.total(), *spread))
    columns = (Column("Queue"), Column("Waiting", "count"), Column("Median wait so far", "hours", bar=True))
    more = (Column("9 of 10 within", "hours"), Column("Decided", "count"))
    last = (Column("Median wait for a decision", "hours", bar=True), Column("9 of 10 decided within", "hours"))
    note = "Waits run from first receipt; a decision is the first by which a person accepted, rejected or began it."
    return Table("waits", "How long they wait", columns + more + last, listed, "", note)


def _by_queue(waiting: Sequence[Row]) -> Counter[str]:
    numbers = Counter[str]()
    for row in waiting:
        numbers[row["queue"]] += row["waiting"]
    return numbers


def _rank(number: int, share: float) -> int:
    """The nearest rank."""
    return ceil(number * share)


def percentile(values: Counter[int], share: float) -> int | None:
    """The nearest rank: the smallest value that at least this share of all values does not exceed; None of none."""
    wanted, seen = _rank(values.total(), share), 0
    for value in sorted(values):
        seen += values[value]
        if seen >= wanted:
            return value
    return None


def held(received: Sequence[Row]) -> Table:
    """The share held for review, and why; one referral can be held for several reasons."""
    total, whole = _number(received), 0
    counted: Counter[str] = Counter()
    for row in received:
        if _is_held(row):
            whole += row["number"]
            counted.update(dict.fromkeys(_why_held(row), row["number"]))
    ranked = [("Held for review", whole), *_ranked(counted)] if whole else []
    listed: list[tuple[Value, ...]] = [(why, number, number / total) for why, number in ranked]
    columns = (Column("Why"), Column("Referrals", "count"), Column("Of all received", "share", bar=True))
    return Table("held", "Held for review, and why", columns, listed, "Nothing was held for review in these weeks.")


def _is_held(row: Row) -> bool:
    return HELD in _rules(row) or row["taken_from"] is not None


def _why_held(row: Row) -> list[str]:
    found = [label for rule, label in _WHY_HELD.items() if rule in _rules(row)]
    return found + ([_WHY_HELD["taken-in"]] if row["taken_from"] is not None else [])


def _rules(row: Row) -> list[str]:
    return [rule for rule in row["rules"].split(",") if rule]


def quality(received: Sequence[Row]) -> Table:
    """How often each sender leaves out what a coordinator wishes to find, of the referrals that could be read."""
    missing = sorted({rule for row in received if _is_read(row) for rule in _rules(row) if rule.startswith("missing-")})
    listed: list[tuple[Value, ...]] = []
    for client in sorted({row["client"] for row in received}):
        own = [row for row in received if row["client"] == client]
        read = _number(row for row in own if _is_read(row))
        without = [_number(row for row in own if _is_read(row) and rule in _rules(row)) for rule in missing]
        not_taken = _number(row for row in own if row["state"] in ("refused", "rejected"))
        shares = [number / read if read else None for number in without]
        listed.append((client, _number(own), not_taken, *shares))
    columns = (Column("Sender"), Column("Received", "count"), Column("Not taken", "count"))
    more = tuple(Column(f"No {rule.removeprefix('missing-').replace('-', ' ')}", "share") for rule in missing)
    note = "Shares are of the referrals that could be read and were taken."
    return Table("quality", "What is missing, by sender", columns + more, listed, "Nothing was received.", note)


def faults(received: Sequence[Row], names: Mapping[str, str]) -> Table:
    """What each sender's referrals were refused or rejected for."""
    counted: Counter[tuple[str, str, str]] = Counter()
    for row in received:
        state = row["taken_from"] or row["state"]
        if state in ("refused", "rejected"):
            for rule in _rules(row):
                if rule != "red-flag":
                    counted[row["client"], state, rule] += row["number"]
    listed: list[tuple[Value, ...]] = [
        (client, state, names.get(rule, rule), number) for (client, state, rule), number in _ranked(counted)
    ]
    columns = (Column("Sender"), Column("Outcome"), Column("Reason"), Column("Referrals", "count", bar=True))
    return Table("faults", "Refused or rejected, by sender", columns, listed, "Everything that came was taken.")


def corrections(rows: Sequence[Row], policy: Policy) -> Table:
    """What the machine chose against what a coordinator made of it."""

    def said(kind: str, value: str | None) -> str:
        return words.queue_name(value or "", policy) if kind == "queue" else value or "none"

    listed: list[tuple[Value, ...]] = [
        (words.sentence(row["kind"]), said(row["kind"], row["machine"]), said(row["kind"], row["human"]), row["number"])
        for row in sorted(rows, key=lambda row: (row["kind"], -row["number"], row["machine"] or "", row["human"]))
    ]
    columns = (Column("What"), Column("The machine"), Column("A coordinator"), Column("Referrals", "count", bar=True))
    empty = "Nobody has corrected a code or a queue in these weeks."
    return Table("corrections", "Corrected by hand", columns, listed, empty)


def _ranked(counted: Counter[T]) -> list[tuple[T, int]]:
    """The most frequent first, equals in the order of their names."""
    return sorted(counted.items(), key=lambda one: (-one[1], one[0]))


def _is_read(row: Row) -> bool:
    return READ in _rules(row)


def _number(rows: Iterable[Row]) -> int:
    return sum(row["number"] for row in rows)


def _hours(since: str, until: datetime) -> int:
    return max(0, int((until - datetime.fromisoformat(since)).total_seconds()) // 3600)
