"""What referrals wait for is fetched from their senders' EHRs, and they are decided again with it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import random

from referral_service.ehr.faults import FOR_GOOD, NOT_ASKED, NotFetched
from referral_service.ehr.known import Ehr, Wanted
from referral_service.ehr.reading import Ehrs
from referral_service.intake import Site, receive_fetched
from referral_service.intake.fetches import ehr_of
from referral_service.store import fetches, leases, tables
from referral_service.store.engine import instant
from referral_service.store.fetches import Row
from referral_service.worker import FIRST_SECONDS, Clock, delay

log = logging.getLogger("referral_service")


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Whoever fetches for one site. ``chance`` gives the jitter of the pauses, in [0, 1)."""

    site: Site
    ehrs: Ehrs
    clock: Clock
    chance: Callable[[], float] = random

    def step(self) -> bool:
        """Takes one record in hand, if any is due, and says whether there was one."""
        with self.site.store.writing() as connection:
            row = leases.claim(connection, tables.ehr_fetch, self.clock())
        if row is None:
            return False
        asked = self._still(row)
        if asked is None:
            self._end(row, "called-off")
        else:
            self._fetch(row, *asked)
        return True

    def next_due(self) -> str | None:
        with self.site.store.reading() as connection:
            return leases.next_due(connection, tables.ehr_fetch)

    def _still(self, row: Row) -> tuple[Ehr, Wanted] | None:
        """What is to be fetched where; None when nobody waits for it, or the client's EHR is another by now."""
        with self.site.store.reading() as connection:
            ehr = ehr_of(connection, row["client"])
            is_waited_for = fetches.is_waited_for(connection, row)
        record = ehr.record(row["full_url"]) if ehr is not None and is_waited_for else None
        if ehr is None or record is None:
            return None
        return ehr, Wanted(record.type, record.id, record.full_url, row["about"])

    def _fetch(self, row: Row, ehr: Ehr, wanted: Wanted) -> None:
        try:
            text = self.ehrs.later(ehr, wanted)
            why = receive_fetched(self.site, ehr.client, wanted, text, "fetch", self.clock())
            if why is not None:
                raise NotFetched(why)
        except NotFetched as problem:
            if problem.kind in NOT_ASKED:
                self._rest(row, ehr, problem)
            else:
                self._note(row, ehr, problem)
        else:
            log.info("ehr_asked host=%s at=worker outcome=fetched", ehr.host)
            self._end(row, "fetched", tries=row["tries"] + 1, tried_at=instant(self.clock()), fault=None)

    def _rest(self, row: Row, ehr: Ehr, problem: NotFetched) -> None:
        at = self.clock()
        until = at + timedelta(seconds=max(problem.rest or 0.0, FIRST_SECONDS))
        with self.site.store.writing() as connection:
            leases.postpone(connection, tables.ehr_fetch, row, at)
            fetches.let_rest(connection, ehr.client, at, until)

    def _note(self, row: Row, ehr: Ehr, problem: NotFetched) -> None:
        at, tries = self.clock(), row["tries"] + 1
        log.warning("ehr_asked host=%s at=worker outcome=%s tries=%s", ehr.host, problem.kind, tries)
        told = {"tries": tries, "tried_at": instant(at), "fault": problem.kind}
        again = at + timedelta(seconds=max(delay(tries, self.chance()), problem.rest or 0.0))
        if problem.kind in FOR_GOOD:
            self._end(row, "refused", **told)
        elif again > datetime.fromisoformat(row["until"]):
            self._end(row, "given-up", **told)
        else:
            with self.site.store.writing() as connection:
                leases.postpone(connection, tables.ehr_fetch, row, again, **told)

    def _end(self, row: Row, how: str, **told: object) -> None:
        with self.site.store.writing() as connection:
            leases.finish(connection, tables.ehr_fetch, row, ended=how, **told)
