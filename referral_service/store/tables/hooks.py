"""What referrers made of the cards that CDS Hooks showed them."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table

from referral_service.store.tables.columns import instant, metadata, one_of

OUTCOMES = ["accepted", "overridden"]

card_feedback = Table(
    "card_feedback",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("client", String(64), nullable=False),
    instant("at"),
    Column("card", String(36), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("suggestions", String(256), nullable=False),
    Column("reason", String(64)),
    one_of("outcome", OUTCOMES),
    Index(None, "at"),
)
"""Nothing of a patient or of the referrer: which kind of card, whether it was accepted, the kinds of the suggestions
that were (with spaces between), and our own code of the reason when it was overridden."""
