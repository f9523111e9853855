"""What referrals wait for, and the files that records name, are fetched from their senders' EHRs."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import random
from typing import ClassVar

from referral_service import metrics
from referral_service.ehr.faults import FOR_GOOD, NOT_ASKED, NotFetched
from referral_service.ehr.known import Ehr, Wanted
from referral_service.ehr.reading import Ehrs
from referral_service.intake import Site, receive_fetched
from referral_service.intake.fetched_files import receive_file, share_file
from referral_service.intake.fetches import CALLED_OFF, ehr_of
from referral_service.intake.files import wanted_file
from referral_service.logs import where
from referral_service.store import fetches, leases, tables
from referral_service.store.engine import UNAVAILABLE, Table, instant
from referral_service.store.fetches import Row
from referral_service.worker import FIRST_SECONDS, Clock, delay

log = logging.getLogger("referral_service")


FILE_LEASE = timedelta(seconds=180)
"""Longer than a file may take."""


@dataclass(frozen=True, slots=True)
class _Asking(ABC):
    """Whoever asks for the rows of one table. ``chance`` gives the jitter of the pauses, in [0, 1)."""

    site: Site
    ehrs: Ehrs
    clock: Clock
    chance: Callable[[], float] = random
    table: ClassVar[Table]
    lease: ClassVar[timedelta] = leases.LEASE

    def step(self) -> bool:
        """Takes one row in hand, if any is due, and says whether there was one."""
        with self.site.store.writing() as connection:
            row = leases.claim(connection, self.table, self.clock(), lease=self.lease)
        if row is None:
            return False
        asked = self._still(row)
        if asked is None:
            self._end(row, CALLED_OFF)
        else:
            self._fetch(row, *asked)
        return True

    def next_due(self) -> str | None:
        with self.site.store.reading() as connection:
            return leases.next_due(connection, self.table)

    @abstractmethod
    def _still(self, row: Row) -> tuple[Ehr, Wanted] | None:
        """What is to be fetched where; None when nobody waits for it, or the client's EHR is another by now."""

    @abstractmethod
    def _bring(self, row: Row, ehr: Ehr, wanted: Wanted) -> None:
        """Fetches and stores it. Raises :class:`NotFetched`."""

    def _fetch(self, row: Row, ehr: Ehr, wanted: Wanted) -> None:
        try:
            self._bring(row, ehr, wanted)
        except NotFetched as problem:
            if problem.kind in NOT_ASKED:
                self._rest(row, ehr, problem)
            else:
                self._note(row, ehr, problem)
        except UNAVAILABLE:
            raise
        except Exception as problem:
            log.error("fetch_failed kind=%s at=%s", type(problem).__name__, where(problem))
            self._note(row, ehr, NotFetched("not-understood"))

    def _rest(self, row: Row, ehr: Ehr, problem: NotFetched) -> None:
        at = self.clock()
        until = at + timedelta(seconds=max(problem.rest or 0.0, FIRST_SECONDS))
        with self.site.store.writing() as connection:
            leases.postpone(connection, self.table, row, at)
            fetches.let_rest(connection, ehr.client, at, until, self.table)

    def _note(self, row: Row, ehr: Ehr, problem: NotFetched) -> None:
        at, tries = self.clock(), row["tries"] + 1
        metrics.ehr_request("worker", "failed")
        log.warning("ehr_asked host=%s at=worker outcome=%s tries=%s", ehr.host, problem.kind, tries)
        told = {"tries": tries, "tried_at": instant(at), "fault": problem.kind}
        again = at + timedelta(seconds=max(delay(tries, self.chance()), problem.rest or 0.0))
        if problem.kind in FOR_GOOD:
            self._end(row, "refused", **told)
        elif again > datetime.fromisoformat(row["until"]):
            self._end(row, "given-up", **told)
        else:
            with self.site.store.writing() as connection:
                leases.postpone(connection, self.table, row, again, **told)

    def _end(self, row: Row, how: str, **told: object) -> None:
        with self.site.store.writing() as connection:
            leases.finish(connection, self.table, row, ended=how, **told)


@dataclass(frozen=True, slots=True)
class Fetcher(_Asking):
    """Fetches records; the referrals that wait for them are decided again."""

    table: ClassVar[Table] = tables.ehr_fetch

    def _still(self, row: Row) -> tuple[Ehr, Wanted] | None:
        with self.site.store.reading() as connection:
            ehr = ehr_of(connection, row["client"])
            is_waited_for = fetches.is_waited_for(connection, row)
        record = ehr.record(row["full_url"]) if ehr is not None and is_waited_for else None
        if ehr is None or record is None:
            return None
        return ehr, Wanted(record.type, record.id, record.full_url, row["about"])

    def _bring(self, row: Row, ehr: Ehr, wanted: Wanted) -> None:
        text = self.ehrs.later(ehr, wanted)
        why = receive_fetched(self.site, ehr, wanted, text, "fetch", self.clock(), row)
        if why == CALLED_OFF:
            self._end(row, CALLED_OFF)
            return
        if why is not None:
            raise NotFetched(why)
        metrics.ehr_request("worker", "fetched")
        log.info("ehr_asked host=%s at=worker outcome=fetched", ehr.host)
        self._end(row, "fetched", tries=row["tries"] + 1, tried_at=instant(self.clock()), fault=None)


@dataclass(frozen=True, slots=True)
class FileFetcher(_Asking):
    """Fetches files. Work of a thread of its own, so that no record waits for a film."""

    table: ClassVar[Table] = tables.ehr_file
    lease: ClassVar[timedelta] = FILE_LEASE

    def _still(self, row: Row) -> tuple[Ehr, Wanted] | None:
        with self.site.store.reading() as connection:
            return wanted_file(connection, row)

    def _bring(self, row: Row, ehr: Ehr, wanted: Wanted) -> None:
        if share_file(self.site, row, self.clock()):
            return
        file = self.ehrs.file(ehr, wanted, row["media_type"])
        why = receive_file(self.site, row, file, self.clock())
        if why is not None:
            raise NotFetched(why)
        metrics.ehr_request("worker", "fetched")
        log.info("ehr_asked host=%s at=worker outcome=fetched", ehr.host)
