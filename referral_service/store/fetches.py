"""Records that referrals wait for from their senders' EHRs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, exists, select, update

from referral_service.store import tables
from referral_service.store.engine import instant
from referral_service.store.leases import ring
from referral_service.worklist import FINAL

Row = Mapping[str, Any]

KEPT_ASKING = timedelta(hours=72)


def of_referral(connection: Connection, referral_id: str) -> list[Row]:
    """Every record of its sender's EHR that a referral waits for or has waited for, by name."""
    fetch = tables.ehr_fetch
    query = select(fetch).where(fetch.c.referral_id == referral_id).order_by(fetch.c.name)
    return [dict(row) for row in connection.execute(query).mappings()]


def ehr_of(connection: Connection, client: str) -> Row | None:
    """The columns of the client in use that say where its EHR is; None when it has none."""
    system = tables.client
    query = select(system.c.ehr_base, system.c.ehr_token_url, system.c.ehr_client_id).where(
        system.c.id == client, system.c.revoked_at.is_(None), system.c.ehr_base.is_not(None)
    )
    found = connection.execute(query).mappings().one_or_none()
    return dict(found) if found is not None else None


def is_waited_for(connection: Connection, row: Row) -> bool:
    """Whether a referral still waits for what is to be fetched, and its Task has not ended."""
    task, token = tables.task, tables.token
    awaits = exists().where(
        token.c.owner == task.c.referral_id,
        token.c.param == "_awaits",
        token.c.value.in_([row["name"], f"{row['type']}/{row['full_url'].rpartition('/')[2]}"]),
    )
    query = select(task.c.id).where(task.c.referral_id == row["referral_id"], task.c.status.not_in(FINAL), awaits)
    return connection.execute(query).first() is not None


def ask_again(connection: Connection, referral_id: str, at: datetime) -> int:
    """Makes due what a referral has not got, also what was given up; how many records that are."""
    fetch = tables.ehr_fetch
    wanting = (fetch.c.referral_id == referral_id, fetch.c.ended.is_(None) | fetch.c.ended.in_(("refused", "given-up")))
    values = {"due": instant(at), "until": instant(at + KEPT_ASKING), "ended": None}
    count = connection.execute(update(fetch).where(*wanting).values(values)).rowcount
    if count:
        ring(connection)
    return count


def let_rest(
    connection: Connection, client: str, at: datetime, until: datetime, fetch: Table = tables.ehr_fetch
) -> None:
    """Nothing of a client's EHR is due before ``until``, in one go, however much waits for it."""
    theirs = (fetch.c.client == client, fetch.c.due.is_not(None))
    over = update(fetch).where(*theirs, fetch.c.until < instant(at), fetch.c.due <= instant(at))
    connection.execute(over.values(due=None, ended="given-up"))
    connection.execute(update(fetch).where(*theirs, fetch.c.due < instant(until)).values(due=instant(until)))
