"""Dates of search parameters as conditions: both what is asked for and what is stored are periods.

https://hl7.org/fhir/R4/search.html#date and, on comparing periods, https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Column, ColumnElement, String, and_, case, false, func, not_, or_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from referral_service.fhir.search import Criterion, DateValue, Prefix
from referral_service.store.search.matching import Matcher, Scope, is_null
from referral_service.store.sight import Condition

DAY_BEGINS, DAY_ENDS = "T00:00:00.000Z", "T23:59:59.999Z"


class _utc(FunctionElement[str]):  # noqa: N801
    """A FHIR dateTime with a time, in any zone, as an instant in UTC with milliseconds."""

    type = String()
    inherit_cache = True
    name = "utc"


@compiles(_utc, "sqlite")
def _utc_on_sqlite(element: _utc, compiler: Any, **options: Any) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%fZ', {compiler.process(element.clauses, **options)})"


@compiles(_utc, "postgresql")
def _utc_on_postgresql(element: _utc, compiler: Any, **options: Any) -> str:
    at = f"CAST({compiler.process(element.clauses, **options)} AS timestamptz) AT TIME ZONE 'UTC'"
    return f"""to_char({at}, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""


def first_instant(column: ColumnElement[Any]) -> ColumnElement[str]:
    """Where the period of a FHIR dateTime of any precision begins."""
    day = column + func.substr("-01-01", func.length(column) - 3, type_=String)
    return case((func.length(column) > 10, _utc(column)), else_=day + DAY_BEGINS)


def last_instant(column: ColumnElement[Any]) -> ColumnElement[str]:
    """Where it ends; a month ends on its 31st, whether it has one or not, which no other day comes after."""
    day = column + func.substr("-12-31", func.length(column) - 3, type_=String)
    return case((func.length(column) > 10, _utc(column)), else_=day + DAY_ENDS)


def instant_column(column: Column[Any]) -> Matcher:
    """A column of instants: the comparison stays on the column itself, so that its index serves."""
    return _dates(column, column, column)


def date_column(column: Column[Any]) -> Matcher:
    """A column of FHIR dates or dateTimes as written."""
    return _dates(first_instant(column), last_instant(column), column)


def _dates(first: ColumnElement[Any], last: ColumnElement[Any], column: Column[Any]) -> Matcher:
    def found(_: Scope, criterion: Criterion) -> Condition:
        dates = (value for value in criterion.values if isinstance(value, DateValue))
        return or_(false(), *(compared(value, first, last) for value in dates))

    return Matcher(found, is_null(column))


def compared(value: DateValue, first: ColumnElement[Any], last: ColumnElement[Any]) -> Condition:
    """A period of the resource, both ends within it, against one that was asked for."""
    within = and_(first >= value.low, last < value.high)
    is_point = first is last
    comparisons: Mapping[Prefix, Callable[[], Condition]] = {
        Prefix.EQ: lambda: within,
        Prefix.NE: lambda: not_(within),
        Prefix.GT: lambda: last >= value.high,
        Prefix.LT: lambda: first < value.low,
        Prefix.GE: lambda: first >= value.low if is_point else or_(last >= value.high, within),
        Prefix.LE: lambda: last < value.high if is_point else or_(first < value.low, within),
        Prefix.SA: lambda: first >= value.high,
        Prefix.EB: lambda: last < value.low,
    }
    return comparisons[value.prefix]()
