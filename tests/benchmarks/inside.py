"""One create inside one process: what each stage of it needs of the processor, and the rows that it writes.

The stages are taken apart where they are called, each with what it calls itself left out, by the time of the thread on
the processor: waiting for the database is no part of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from time import sleep, thread_time
from typing import Any
from unittest.mock import patch

from referral_service.app import site_of
from referral_service.intake import Became, Incoming, Site, receive
from referral_service.policy import load_policy
from referral_service.store import leases
from referral_service.store.engine import Store, Table, open_store
from referral_service.store.migrations import upgrade
from tests.benchmarks.bodies import numbered, referral

STAGES = {
    "parse and hash": ("fhir.parse.parse", "intake.judge.canonical_hash", "intake.deciding.canonical_hash"),
    "conformance": ("fhir.conformance.check",),
    "coding and routing": ("intake.deciding.decide",),
    "what we author": ("intake.judge.write_new", "intake.finish.store_supporting", "intake.finish.write"),
    "database client": (
        *("intake.draft.insert_all", "intake.draft.ring", "intake.draft.forget_tokens", "intake.draft.files.of_owners"),
        *("store.lookups.known", "intake.deciding.has_open_referral"),
    ),
}
"""Where each stage is called; all else of a create in the process is the rest of intake."""
REST = "rest of intake"
WARM, TIMES = 50, 400
Filled = Mapping[Table, Sequence[Mapping[str, Any]]]


@dataclass
class Stopwatch:
    """Seconds by stage. The one that was entered last runs, those around it stand still."""

    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _running: list[str] = field(default_factory=lambda: [REST])
    _since: float = field(default_factory=thread_time)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.turn()
        self._running.append(name)
        try:
            yield
        finally:
            self.turn()
            self._running.pop()

    def turn(self) -> None:
        now = thread_time()
        self.spent[self._running[-1]] += now - self._since
        self._since = now

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            with self.stage(name):
                return work(*given, **named)

        return call


def microseconds_by_stage(url: str) -> dict[str, float]:
    """Of one create, on an empty database of PostgreSQL."""
    with _site(url) as site:
        creates = _creates(site)
        for _ in range(WARM):
            next(creates)
        with _timed() as watch:
            for _ in range(TIMES):
                next(creates)
            watch.turn()
    return {name: watch.spent[name] / TIMES * 1e6 for name in (*STAGES, REST)}


def rows_of_two_creates(url: str) -> tuple[Filled, Filled]:
    """All that is inserted for a referral, and for another that differs from it in nothing but its numbers."""
    seen: list[Filled] = []
    with _site(url) as site, patch("referral_service.store.writes._insert_at_once") as insert:
        insert.side_effect = lambda _, filled, is_all: seen.append(filled)  # noqa: ARG005
        creates = _creates(site)
        next(creates)
        next(creates)
    first, second = seen
    return first, second


@contextmanager
def _timed() -> Iterator[Stopwatch]:
    with ExitStack() as patches:
        watch = Stopwatch()
        for name, places in STAGES.items():
            for place in places:
                patched = patch(f"referral_service.{place}")
                work = patched.get_original()[0]
                patches.enter_context(patch(f"referral_service.{place}", watch.timed(name, work)))
        patches.enter_context(patch.object(Store, "writing", _writing(watch)))
        yield watch


def _writing(watch: Stopwatch) -> Callable[..., Any]:
    """To begin a transaction and to commit it is the database client's work, what is done within is not."""
    own = Store.writing

    @contextmanager
    def writing(store: Store, **how: Any) -> Iterator[Any]:
        with ExitStack() as ends:
            with watch.stage("database client"):
                transaction = own(store, **how)
                connection = transaction.__enter__()
            ends.push(watch.timed("database client", transaction.__exit__))
            yield connection

    return writing


@contextmanager
def _site(url: str) -> Iterator[Site]:
    store = open_store(url)
    upgrade(store)
    yield site_of(store, load_policy(), "http://localhost")
    sleep(2 * leases._QUIET_SECONDS)  # the last of the workers' bells rings a little later
    store.close()


def _creates(site: Site) -> Iterator[None]:
    """Each step is a create of a referral of its own."""
    template = referral()
    for number in count():
        at = datetime.now(UTC)
        incoming = Incoming("bench", "create", f"bench-{number}", numbered(template, f"{at.timestamp()}-{number}"), at)
        received = receive(site, incoming, "ServiceRequest")
        assert [one.became for one in received.answers] == [Became.CREATED]
        yield
