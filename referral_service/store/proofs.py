"""Whether the database takes what is written, and gives it back."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import delete, insert, select, update

from referral_service.store import tables
from referral_service.store.engine import Store, instant

KEPT = timedelta(days=1)


class NotProved(RuntimeError):
    """What was written was not there when it was read."""


def prove(store: Store, process: str, at: datetime) -> None:
    """Writes a word of this process, durably, and reads it again.

    Raises :class:`NotProved`, or one of :data:`~referral_service.store.engine.UNAVAILABLE`.
    """
    proof, word = tables.proof, str(uuid4())
    values = {"at": instant(at), "word": word}
    with store.writing() as connection:
        if connection.execute(update(proof).where(proof.c.process == process).values(values)).rowcount == 0:
            connection.execute(delete(proof).where(proof.c.at < instant(at - KEPT)))
            connection.execute(insert(proof).values(process=process, **values))
    with store.reading() as connection:
        found = connection.execute(select(proof.c.word).where(proof.c.process == process)).scalar()
    if found != word:
        raise NotProved
