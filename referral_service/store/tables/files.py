"""What is to be fetched from the EHRs of senders as a file."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text, text

from referral_service.store.tables.columns import instant, leased, metadata, one_of
from referral_service.store.tables.fetches import ENDS

ehr_file = Table(
    "ehr_file",
    metadata,
    Column("owner", String(36), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("client", String(64), nullable=False),
    Column("type", String(32), nullable=False),
    Column("address", Text, nullable=False),
    Column("full_url", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("host", String(255), nullable=False),
    *leased(),
    instant("until"),
    Column("tries", Integer, nullable=False),
    Column("tried_at", String(24)),
    Column("fault", String(32)),
    Column("ended", String(16)),
    Column("binary_id", String(36)),
    one_of("ended", list(ENDS)),
    Index(None, "client", "due"),
    Index(None, "due", sqlite_where=text("due IS NOT NULL"), postgresql_where=text("due IS NOT NULL")),
)
"""An attachment at its sender's EHR. ``owner`` is the record that names it, of ``type``: a referral when one that is
contained in it does. ``address`` is as it stands in that record, ``name`` the same as it is looked up, ``full_url``
where it lies, made anew from the registered base, and ``media_type`` what it is said to be. ``binary_id`` is the
Binary that it became here. The other columns are those of ``ehr_fetch``."""
