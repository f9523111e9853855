"""The bytes of what was posted as a Binary by itself."""

from __future__ import annotations

from sqlalchemy import Column, Integer, LargeBinary, String, Table

from referral_service.store.tables.columns import metadata

binary_content = Table(
    "binary_content",
    metadata,
    Column("owner", String(36), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("client", String(64), nullable=False),
    Column("size", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("content", LargeBinary, nullable=False),
)
"""``owner`` and ``version`` are those of the Binary, whose own row then holds no ``data``; ``kind`` is the media type
that the bytes themselves show, empty when they show none that is known. A Binary that came in a Bundle holds its data
in itself."""
