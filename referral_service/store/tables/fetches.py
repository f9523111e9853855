"""What is to be fetched from the EHRs of senders."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text, text

from referral_service.store.tables.columns import instant, leased, metadata, one_of

ENDS = ("fetched", "called-off", "refused", "given-up")

ehr_fetch = Table(
    "ehr_fetch",
    metadata,
    Column("referral_id", String(36), ForeignKey("service_request.id"), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("client", String(64), nullable=False),
    Column("type", String(32), nullable=False),
    Column("full_url", Text, nullable=False),
    Column("host", String(255), nullable=False),
    Column("about", String(64)),
    *leased(),
    instant("until"),
    Column("tries", Integer, nullable=False),
    Column("tried_at", String(24)),
    Column("fault", String(32)),
    Column("ended", String(16)),
    one_of("ended", list(ENDS)),
    Index(None, "client", "due"),
    Index(None, "due", sqlite_where=text("due IS NOT NULL"), postgresql_where=text("due IS NOT NULL")),
)
"""A record at its sender's EHR that a referral waits for. ``full_url`` is what the sender calls it, ``name`` the same
as it is looked up; ``about`` the id there of the patient it is to be of. Nobody asks by themselves after ``until``.
``tries`` counts how often the EHR was asked, ``tried_at`` is when it was last, and ``fault`` why that brought nothing.
``ended`` is None while it is waited for: ``refused`` is what asking again would not mend."""
