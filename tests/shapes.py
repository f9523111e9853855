"""Small invented resources, and a caller that sends them to the doors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from referral_service.intake import Site
from referral_service.store import ledger, tables
from tests import canaries

Resource = dict[str, Any]
FHIR_JSON = "application/fhir+json"
OWN = "https://referral-service.example/fhir"
ISSUES = f"{OWN}/CodeSystem/issue"
ADULT_BORN = "1970-05-01"
CHILD_BORN = f"{datetime.now(UTC).year - 9}-01-01"
PLACER_TYPE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]}
NOTHING = {"received": 0, "refused": 0, "rejected": 0, "review": 0, "routed": 0}


def placer(value: str) -> Resource:
    return {"type": PLACER_TYPE, "system": "urn:example:orders", "value": value}


def patient(born: str | None = ADULT_BORN, **more: Any) -> Resource:
    return {"resourceType": "Patient", **({"birthDate": born} if born else {}), **canaries.CARRIED, **more}


def referral(number: str | None = "A-1", reason: str = "Cervical dystonia", **more: Any) -> Resource:
    """A ServiceRequest for a contained adult, unless ``subject`` says otherwise."""
    written: Resource = {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "requester": {"display": "Dr Invented"},
        **({"identifier": [placer(number)]} if number else {}),
        **({"reasonCode": [{"text": reason}]} if reason else {}),
    }
    if "subject" not in more:
        written |= {"subject": {"reference": "#p"}, "contained": [patient(id="p")]}
    return written | more


def entry(resource: Resource, full_url: str | None = None, method: str = "POST", url: str | None = None) -> Resource:
    """An entry of a transaction or batch."""
    kind = resource["resourceType"]
    written: Resource = {"resource": resource, "request": {"method": method, "url": url or kind}}
    return {"fullUrl": full_url, **written} if full_url else written


def bundle(*entries: Resource, kind: str = "transaction", **more: Any) -> Resource:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries), **more}


def rules(outcome: Resource) -> list[tuple[str, str]]:
    """(rule, expression) of every issue, warnings and information left out."""
    return [
        (one["details"]["coding"][0]["code"], one.get("expression", [""])[0])
        for one in outcome["issue"]
        if one["severity"] in ("error", "fatal")
    ]


def all_rules(outcome: Resource) -> list[str]:
    return [one["details"]["coding"][0]["code"] for one in outcome["issue"]]


def flags(resource: Resource) -> list[str]:
    return [tag["code"] for tag in resource["meta"].get("tag", []) if tag["system"] == f"{OWN}/CodeSystem/flag"]


@dataclass
class Caller:
    """Whoever sends: an EHR at the doors of one site."""

    http: FlaskClient
    site: Site

    def post(self, path: str, body: Resource | bytes | str, **headers: str) -> TestResponse:
        return self._send("POST", path, body, headers)

    def put(self, path: str, body: Resource | bytes | str, **headers: str) -> TestResponse:
        return self._send("PUT", path, body, headers)

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.http.get(f"/fhir/{path}", headers=_named(headers))

    def create(self, resource: Resource, **headers: str) -> TestResponse:
        return self.post("ServiceRequest", resource, **headers)

    def read(self, path: str) -> Resource:
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.get_json(force=True)

    def task_of(self, referral_id: str) -> Resource:
        found = self.read(f"Task?focus=ServiceRequest/{referral_id}")["entry"]
        assert len(found) == 1
        return found[0]["resource"]

    def queue_of(self, referral_id: str) -> str:
        return str(self.task_of(referral_id)["owner"]["reference"]).removeprefix("HealthcareService/")

    def move(self, task: Resource, **changes: Any) -> TestResponse:
        """PUTs a Task changed; an element given as None is left out."""
        wanted = {name: value for name, value in (task | changes).items() if value is not None}
        return self.put(f"Task/{task['id']}", wanted, If_Match=f'W/"{task["meta"]["versionId"]}"')

    def patch(self, task: Resource, *operations: Resource, **headers: str) -> TestResponse:
        """PATCHes a Task as it was read, with a JSON Patch."""
        named = {"If_Match": f'W/"{task["meta"]["versionId"]}"', "Content_Type": "application/json-patch+json"}
        return self._send("PATCH", f"Task/{task['id']}", json.dumps(operations), named | headers)

    def actions(self, task_id: str) -> dict[str, dict[str, list[Any]]]:
        """The moves that may be made now, by code: each part's values by name."""
        found: dict[str, dict[str, list[Any]]] = {}
        for one in self.read(f"Task/{task_id}/$actions")["parameter"]:
            if one["name"] == "action":
                parts: dict[str, list[Any]] = {}
                for part in one["part"]:
                    parts.setdefault(part["name"], []).append(_value(part))
                found[parts["code"][0]] = parts
        return found

    def undo(self, task_id: str, reason: str | None = "Made in error.", **headers: str) -> TestResponse:
        given = [{"name": "reason", "valueString": reason}] if reason is not None else []
        return self.post(f"Task/{task_id}/$undo", {"resourceType": "Parameters", "parameter": given}, **headers)

    def reroute(self, task: Resource, queue: str, why: str = "Known there.") -> TestResponse:
        """PUTs a Task into another queue, with the note that says why."""
        notes = [*task.get("note", []), {"text": why}]
        return self.move(task, owner={"reference": f"HealthcareService/{queue}"}, note=notes)

    def sums(self) -> dict[str, int]:
        with self.site.store.reading() as connection:
            return ledger.sums(connection)

    def stored(self, kind: str) -> list[Resource]:
        """Every current resource of a type, whoever wrote it."""
        table = {"ServiceRequest": tables.service_request, "Task": tables.task}.get(kind, tables.resource)
        query = select(table.c.content).order_by(table.c.last_updated, table.c.id)
        if table is tables.resource:
            query = query.where(table.c.type == kind)
        with self.site.store.reading() as connection:
            return [json.loads(text) for text in connection.execute(query).scalars()]

    def count(self, kind: str) -> int:
        return len(self.stored(kind))

    def receipts(self, query: str) -> list[Resource]:
        """The parts of each receipt by name."""
        found = self.read(f"ServiceRequest/$receipt?{query}")["parameter"]
        return [{part["name"]: _value(part) for part in one["part"]} for one in found]

    def _send(self, method: str, path: str, body: Resource | bytes | str, headers: dict[str, str]) -> TestResponse:
        data = json.dumps(body) if isinstance(body, dict) else body
        named = {"Content-Type": FHIR_JSON, **_named(headers)}
        return self.http.open(f"/fhir/{path}".rstrip("/"), method=method, data=data, headers=named)


def ledger_of(**counted: int) -> dict[str, int]:
    """The sums as they are to be: what was received is what stands in all states."""
    return NOTHING | counted | {"received": sum(counted.values())}


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _value(part: Resource) -> Any:
    return next(value for name, value in part.items() if name != "name")
