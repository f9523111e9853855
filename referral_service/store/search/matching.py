"""Values of a search parameter as conditions on columns, one kind of column at a time.

A :class:`Matcher` says when a row has one of the values and when it has none at all; ``:not`` and ``:missing`` follow
from these two (https://hl7.org/fhir/R4/search.html#modifiers).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import (
    Column,
    CompoundSelect,
    Select,
    Table,
    and_,
    false,
    func,
    not_,
    or_,
    select,
    union_all,
)

from referral_service.fhir.bundle import literal
from referral_service.fhir.search import Criterion, ReferenceValue, TextValue, TokenValue
from referral_service.store import tables
from referral_service.store.sight import Condition, Sight, in_sight
from referral_service.store.writes import bounded

Resolve = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rows are seen, where our own addresses begin, and what a sender's own references lead to here."""

    sight: Sight
    base_url: str
    resolve: Resolve

    def references(self, criterion: Criterion) -> list[str]:
        """The references asked for, each as given and, where it is a sender's, also as ours."""
        found = [one for name in self.named(criterion) for one in (name, self.resolve(name)) if one]
        return list(dict.fromkeys(found))

    def named(self, criterion: Criterion) -> list[str]:
        """The references asked for as they are given: all there are of what no sender has names of its own for."""
        values = (value for value in criterion.values if isinstance(value, ReferenceValue))
        return [name for value in values for name in value.names(self.base_url)]


@dataclass(frozen=True, slots=True)
class Matcher:
    found: Callable[[Scope, Criterion], Condition]
    absent: Callable[[Scope], Condition]

    def condition(self, scope: Scope, criterion: Criterion) -> Condition:
        if criterion.missing is not None:
            return self.absent(scope) if criterion.missing else not_(self.absent(scope))
        if criterion.modifier == "not":
            return or_(self.absent(scope), not_(self.found(scope, criterion)))
        return self.found(scope, criterion)


def tokens(criterion: Criterion) -> list[TokenValue]:
    return [value for value in criterion.values if isinstance(value, TokenValue)]


def never(_: Scope) -> Condition:
    return false()


def is_null(column: Column[Any]) -> Callable[[Scope], Condition]:
    return (lambda _: column.is_(None)) if column.nullable else never


def codes(criterion: Criterion, *systems: str) -> list[str] | None:
    """The codes asked for of those systems; None when any code will do."""
    asked = [value.code for value in tokens(criterion) if value.system is None or value.system in systems]
    return None if None in asked else [code for code in asked if code is not None]


def code_column(column: Column[Any], *systems: str) -> Matcher:
    """A column with codes of one system; ``""`` among the systems where the element holds a code without one."""

    def found(_: Scope, criterion: Criterion) -> Condition:
        asked = codes(criterion, *systems)
        return column.is_not(None) if asked is None else column.in_(asked)

    return Matcher(found, is_null(column))


def id_column(column: Column[Any], kind: str) -> Matcher:
    """Our ids, and those by which their sender knows the resources."""

    def found(scope: Scope, criterion: Criterion) -> Condition:
        asked = [value.code for value in tokens(criterion) if value.code and not value.system]
        ours = [scope.resolve(f"{kind}/{one}") for one in asked]
        return column.in_([*asked, *(one.rpartition("/")[2] for one in ours if one)])

    return Matcher(found, never)


def reference_column(column: Column[Any]) -> Matcher:
    def found(scope: Scope, criterion: Criterion) -> Condition:
        return column.in_([bounded(name) for name in scope.references(criterion)])

    return Matcher(found, is_null(column))


def id_of_reference(column: Column[Any], kind: str) -> Matcher:
    """A column that holds the id alone of what a reference leads to."""
    return Matcher(
        lambda scope, criterion: column.in_(ids_of(scope.references(criterion), kind)),
        is_null(column),
    )


def ids_of(references: Sequence[str], kind: str) -> list[str]:
    return [one.partition("/")[2] for one in references if one.startswith(f"{kind}/")]


def text_column(column: Column[Any]) -> Matcher:
    """The database folds both sides, so that what was typed as it is written is found in any script."""

    def found(_: Scope, criterion: Criterion) -> Condition:
        texts = [value.text for value in criterion.values if isinstance(value, TextValue)]
        if criterion.modifier == "exact":
            return column.in_(texts)
        contained = criterion.modifier == "contains"
        return or_(
            *(
                column.icontains(text, autoescape=True) if contained else column.istartswith(text, autoescape=True)
                for text in texts
            )
        )

    return Matcher(found, is_null(column))


def owners(scope: Scope, kind: str, param: str, *conditions: Condition) -> Select[str]:
    """Ids of the resources that have a token row like this; only the client's own, where it sees no others."""
    token = tables.token
    own = [token.c.client == scope.sight.client] if scope.sight.is_own_alone else []
    return select(token.c.owner).where(*own, token.c.type == kind, token.c.param == param, *conditions)


def token_rows(column: Column[Any], kind: str, param: str) -> Matcher:
    """``column`` holds the id of the resource whose tokens are asked for, which a chain leads to."""
    return Matcher(
        lambda scope, criterion: column.in_(owners(scope, kind, param, any_token(criterion))),
        lambda scope: column.not_in(owners(scope, kind, param)),
    )


def referral_patient_rows(param: str) -> Matcher:
    """Referrals by a token of their Patient: its index on the client and the Patient serves only within."""
    request = tables.service_request

    def through(scope: Scope, *conditions: Condition) -> Select[str]:
        patients = owners(scope, "Patient", param, *conditions)
        own = [request.c.client == scope.sight.client] if scope.sight.is_own_alone else []
        return select(request.c.id).where(*own, request.c.patient_id.in_(patients))

    return Matcher(
        lambda scope, criterion: request.c.id.in_(through(scope, any_token(criterion))),
        lambda scope: request.c.id.not_in(through(scope)),
    )


def any_token(criterion: Criterion) -> Condition:
    return or_(false(), *(_one_token(value) for value in tokens(criterion)))


def _one_token(value: TokenValue) -> Condition:
    token, wanted = tables.token, []
    if value.code is not None:
        wanted.append(token.c.value == bounded(value.code))
    if value.system is not None:
        wanted.append(token.c.system == bounded(value.system))
    return and_(*wanted)


def name_rows(table: Table, param: str) -> Matcher:
    """Names stand in token rows in lower case; whether the case is the same, only the resource itself can tell.

    https://hl7.org/fhir/R4/search.html#string
    """
    value = tables.token.c.value

    def found(scope: Scope, criterion: Criterion) -> Condition:
        texts = [one.text for one in criterion.values if isinstance(one, TextValue)]
        if criterion.modifier == "exact":
            return or_(false(), *(exactly(scope, text) for text in texts))
        contained = criterion.modifier == "contains"
        like = (
            value.contains(text.lower(), autoescape=True)
            if contained
            else value.startswith(text.lower(), autoescape=True)
            for text in texts
        )
        return table.c.id.in_(owners(scope, "Patient", param, or_(false(), *like)))

    def exactly(scope: Scope, text: str) -> Condition:
        written = orjson.dumps(text).decode()
        same_letters = table.c.id.in_(owners(scope, "Patient", param, value == bounded(text.lower())))
        return and_(same_letters, func.replace(table.c.content, written, "") != table.c.content)

    return Matcher(found, lambda scope: table.c.id.not_in(owners(scope, "Patient", param)))


def patient_column(table: Table, referral_id: Column[Any]) -> Matcher:
    """By the Patient that was found, or by the sender's name of one that has not come yet."""

    def found(scope: Scope, criterion: Criterion) -> Condition:
        return table.c.id.in_(of_patients(scope, table, referral_id, scope.references(criterion)))

    return Matcher(found, is_null(table.c.patient_id))


def of_patients(scope: Scope, table: Table, referral_id: Column[Any], references: Sequence[str]) -> CompoundSelect[str]:
    """Two ways to the same rows, each by its own index; an OR of both would have none."""
    names = [bounded(name) for name in references]
    awaited = owners(scope, "ServiceRequest", "_awaits", tables.token.c.value.in_(names))
    return union_all(
        select(table.c.id).where(
            in_sight(table, scope.sight, by_index=table is tables.service_request),
            table.c.patient_id.in_(ids_of(references, "Patient")),
        ),
        select(table.c.id).where(referral_id.in_(awaited)),
    )


def subject_column(table: Table) -> Matcher:
    """A subject is a Patient, or else only what the sender wrote."""
    by_patient = patient_column(table, table.c.id)

    def found(scope: Scope, criterion: Criterion) -> Condition:
        others = [name for name in scope.references(criterion) if not _is_patient(name)]
        condition = by_patient.found(scope, criterion)
        return or_(condition, table.c.subject.in_([bounded(name) for name in others])) if others else condition

    return Matcher(found, never)


def _is_patient(reference: str) -> bool:
    parts = literal(reference)
    return parts is not None and parts.type == "Patient"
