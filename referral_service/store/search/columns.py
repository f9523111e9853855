"""Which column or token row each search parameter of each type is answered from, and what can be sorted by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, String, Table, case, cast, false, func, or_, select, true

from referral_service.fhir.search import Criterion
from referral_service.fhir.writer import own_system
from referral_service.referral import Flag, Priority, Queue
from referral_service.store import tables
from referral_service.store.search.dates import date_column, first_instant, instant_column
from referral_service.store.search.matching import (
    Matcher,
    Scope,
    any_token,
    code_column,
    codes,
    id_column,
    id_of_reference,
    ids_of,
    name_rows,
    never,
    owners,
    patient_column,
    reference_column,
    referral_patient_rows,
    subject_column,
    text_column,
    token_rows,
)
from referral_service.store.sight import Condition
from referral_service.worklist import MOVES

_TASK, _REQUEST, _RESOURCE = tables.task, tables.service_request, tables.resource
_STATUS_SYSTEM = "http://hl7.org/fhir/task-status"
_PRIORITY_SYSTEM = "http://hl7.org/fhir/request-priority"
_CODE_SYSTEM = "http://hl7.org/fhir/CodeSystem/task-code"
_URI_SYSTEM = "urn:ietf:rfc:3986"
_UUID = "urn:uuid:"

TABLES: Mapping[str, Table] = {"Task": _TASK, "ServiceRequest": _REQUEST, "Patient": _RESOURCE}


def statuses(criterion: Criterion) -> set[str]:
    """Which of the statuses of a Task, all of which are known, a criterion on ``status`` lets pass."""
    asked = codes(criterion, "", _STATUS_SYSTEM)
    return _chosen(criterion, set(MOVES) if asked is None else set(asked) & set(MOVES), set(MOVES))


def queues(scope: Scope, criterion: Criterion) -> set[str]:
    """The same of the queues, for ``owner``."""
    every = {queue.value for queue in Queue}
    return _chosen(criterion, set(ids_of(scope.named(criterion), "HealthcareService")) & every, every)


def _chosen(criterion: Criterion, asked: set[str], every: set[str]) -> set[str]:
    if criterion.missing is not None:
        return set() if criterion.missing else every
    return every - asked if criterion.modifier == "not" else asked


def _task_code(_: Scope, criterion: Criterion) -> Condition:
    """A Task of ours is always there to be fulfilled."""
    asked = codes(criterion, _CODE_SYSTEM)
    return true() if asked is None or "fulfill" in asked else false()


def _task_priority(_: Scope, criterion: Criterion) -> Condition:
    asked = codes(criterion, "", _PRIORITY_SYSTEM)
    return true() if asked is None else _TASK.c.priority_rank.in_([one.rank for one in Priority if one in asked])


def _task_flag(_: Scope, criterion: Criterion) -> Condition:
    """The tags of a Task are its flags and nothing else."""
    asked = codes(criterion, own_system("flag"))
    if asked is None:
        return _TASK.c.flags != ",,"
    return or_(false(), *(_TASK.c.flags.contains(f",{flag},", autoescape=True) for flag in Flag if flag in asked))


def _task_identifier(scope: Scope, criterion: Criterion) -> Condition:
    """The filler's identifier is the Task's own id; the placer's is the referral's."""
    asked = codes(criterion, _URI_SYSTEM)
    if asked is None:
        return true()
    ids = [code.removeprefix(_UUID) for code in asked if code.startswith(_UUID)]
    placer = _TASK.c.referral_id.in_(owners(scope, "ServiceRequest", "identifier", any_token(criterion)))
    return or_(_TASK.c.id.in_(ids), placer) if ids else placer


MATCHERS: Mapping[str, Mapping[str, Matcher]] = {
    "Task": {
        "_id": id_column(_TASK.c.id, "Task"),
        "_lastUpdated": instant_column(_TASK.c.last_updated),
        "_tag": Matcher(_task_flag, lambda _: _TASK.c.flags == ",,"),
        "status": code_column(_TASK.c.status, "", _STATUS_SYSTEM),
        "business-status": code_column(_TASK.c.business_status, own_system("business-status")),
        "priority": Matcher(_task_priority, never),
        "owner": id_of_reference(_TASK.c.queue, "HealthcareService"),
        "patient": patient_column(_TASK, _TASK.c.referral_id),
        "requester": reference_column(_TASK.c.requester),
        "focus": id_of_reference(_TASK.c.referral_id, "ServiceRequest"),
        "identifier": Matcher(_task_identifier, never),
        "code": Matcher(_task_code, never),
        "authored-on": instant_column(_TASK.c.authored_on),
        "modified": instant_column(_TASK.c.last_updated),
        "due": date_column(_TASK.c.due),
        "assignee": text_column(_TASK.c.assignee),
        "patient.identifier": token_rows(_TASK.c.patient_id, "Patient", "identifier"),
        "focus:ServiceRequest.identifier": token_rows(_TASK.c.referral_id, "ServiceRequest", "identifier"),
    },
    "ServiceRequest": {
        "_id": id_column(_REQUEST.c.id, "ServiceRequest"),
        "_lastUpdated": instant_column(_REQUEST.c.last_updated),
        "_tag": token_rows(_REQUEST.c.id, "ServiceRequest", "_tag"),
        "identifier": token_rows(_REQUEST.c.id, "ServiceRequest", "identifier"),
        "status": code_column(_REQUEST.c.status, "", "http://hl7.org/fhir/request-status"),
        "intent": code_column(_REQUEST.c.intent, "", "http://hl7.org/fhir/request-intent"),
        "priority": code_column(_REQUEST.c.priority, "", _PRIORITY_SYSTEM),
        "subject": subject_column(_REQUEST),
        "patient": patient_column(_REQUEST, _REQUEST.c.id),
        "requester": reference_column(_REQUEST.c.requester),
        "authored": date_column(_REQUEST.c.authored_on),
        "code": token_rows(_REQUEST.c.id, "ServiceRequest", "code"),
        "patient.identifier": referral_patient_rows("identifier"),
    },
    "Patient": {
        "_id": id_column(_RESOURCE.c.id, "Patient"),
        "identifier": token_rows(_RESOURCE.c.id, "Patient", "identifier"),
        "birthdate": date_column(_RESOURCE.c.birth_date),
        "family": name_rows(_RESOURCE, "family"),
        "given": name_rows(_RESOURCE, "given"),
    },
}


def _first_name(param: str) -> ColumnElement[str]:
    """The name that comes first by the alphabet, of those a Patient has."""
    token = tables.token
    own = (token.c.owner == _RESOURCE.c.id, token.c.param == param)
    return func.coalesce(select(func.min(token.c.value)).where(*own).correlate(_RESOURCE).scalar_subquery(), "")


def _rank(column: ColumnElement[Any]) -> ColumnElement[str]:
    return case({priority.value: str(priority.rank) for priority in Priority}, value=column, else_="0")


SORTS: Mapping[str, Mapping[str, ColumnElement[str]]] = {
    "Task": {
        "_id": _TASK.c.id,
        "_lastUpdated": _TASK.c.last_updated,
        "status": _TASK.c.status,
        "business-status": func.coalesce(_TASK.c.business_status, ""),
        "priority": cast(_TASK.c.priority_rank, String),
        "owner": _TASK.c.queue,
        "authored-on": _TASK.c.authored_on,
        "modified": _TASK.c.last_updated,
        "due": _TASK.c.due,
    },
    "ServiceRequest": {
        "_id": _REQUEST.c.id,
        "_lastUpdated": _REQUEST.c.last_updated,
        "status": _REQUEST.c.status,
        "intent": _REQUEST.c.intent,
        "priority": _rank(_REQUEST.c.priority),
        "authored": func.coalesce(first_instant(_REQUEST.c.authored_on), ""),
    },
    "Patient": {
        "_id": _RESOURCE.c.id,
        "_lastUpdated": _RESOURCE.c.last_updated,
        "birthdate": func.coalesce(_RESOURCE.c.birth_date, ""),
        "family": _first_name("family"),
        "given": _first_name("given"),
    },
}
"""All of them strings that are never null, so that a place in any order can be told by a tuple of strings."""
