"""A sender is told at its own FHIR server: the Task of its referral is put there, each version in turn."""

from __future__ import annotations

from typing import Any

from referral_service.addresses import origin
from referral_service.delivery.ground import FHIR_JSON, Ground, Letter, Never, NotNow, Row
from referral_service.fhir.bundle import literal
from referral_service.fhir.parse import dump
from referral_service.intake.applying import read_resource
from referral_service.store import deliveries, systems
from referral_service.store.engine import Connection

SECONDS = 20.0


def prepare_task(connection: Connection, row: Row, ground: Ground) -> Letter | NotNow | Never:
    """``PUT {base}/Task/{id}`` with the Task as it stood then; what it refers to is here, so its references are full.

    https://hl7.org/fhir/R4/http.html#upsert
    """
    client = systems.client_in_use(connection, row["receiver"])
    if client is None or client["tell"] != row["kind"] or client["ehr_base"] is None:
        return Never()
    text = deliveries.content_of(connection, row["type"], row["resource_id"], row["version"])[1]
    return Letter(
        method="PUT",
        address=f"{client['ehr_base']}/Task/{row['resource_id']}",
        body=dump(_with_full_references(read_resource(text), ground.base)),
        registered=frozenset({origin(client["ehr_base"])}),
        seconds=SECONDS,
        headers={"Content-Type": FHIR_JSON, "Accept": FHIR_JSON},
        client=client,
    )


def _with_full_references(value: Any, base: str) -> Any:
    if isinstance(value, list):
        return [_with_full_references(one, base) for one in value]
    if not isinstance(value, dict):
        return value
    changed = {name: _with_full_references(one, base) for name, one in value.items()}
    parts = literal(value.get("reference"))
    if parts is not None and parts.base is None:
        changed["reference"] = f"{base}/{value['reference']}"
    return changed
