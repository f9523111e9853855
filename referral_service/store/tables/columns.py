"""What tables are made of."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import CheckConstraint, Column, Integer, MetaData, String
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def one_of(column: str, values: list[str]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def is_one_of(column: str, values: Iterable[str]) -> str:
    listed = ", ".join(f"'{value}'" for value in values)
    return f"CASE WHEN {column} IN ({listed}) THEN 1 ELSE 0 END"


def ordered_text(length: int) -> TypeEngine[str]:
    """Compared by code points on both engines, so that what begins with some letters is one range of an index."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def instant(name: str) -> Column[str]:
    """UTC with milliseconds, as FHIR's instant: the same on both engines, and its order is the order of time."""
    return Column(name, String(24), nullable=False)


def leased() -> tuple[Column[str], Column[int]]:
    """What makes a row one that workers take in hand: see :mod:`referral_service.store.leases`."""
    return Column("due", String(24)), Column("attempts", Integer, nullable=False)
