"""A sender is told at its own FHIR server: each version of the Task in turn, put there or by message."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from referral_service.addresses import origin
from referral_service.delivery.ground import FHIR_JSON, Ground, Letter, Login, Never, NotNow, Row
from referral_service.ehr.known import Ehr
from referral_service.ehr.tokens import Scopes, scopes
from referral_service.fhir.bundle import literal
from referral_service.fhir.parse import dump
from referral_service.fhir.writer import Programme, Told, message_of_change
from referral_service.intake.applying import read_resource
from referral_service.intake.messages import asked_before
from referral_service.store import deliveries, systems
from referral_service.store.engine import Connection

SECONDS = 20.0
TO_PUT = scopes({"Task": "u"})
TO_PROCESS = scopes({"MessageHeader": "c", "ServiceRequest": "u", "Task": "u"})
"""What a message asks for at another's door: to be taken, and to bring what it tells of up to date."""

_HEADERS = {"Content-Type": FHIR_JSON, "Accept": FHIR_JSON}


def prepare_task(connection: Connection, row: Row, ground: Ground) -> Letter | NotNow | Never:
    """``PUT {base}/Task/{id}`` with the Task as it stood then; what it refers to is here, so its references are full.

    https://hl7.org/fhir/R4/http.html#upsert
    """
    client = _told(connection, row)
    if client is None:
        return Never()
    return Letter(
        method="PUT",
        address=f"{client['ehr_base']}/Task/{row['resource_id']}",
        body=dump(_with_full_references(_task(connection, row), ground.base)),
        registered=frozenset({origin(client["ehr_base"])}),
        seconds=SECONDS,
        headers=_HEADERS,
        login=_login(client, TO_PUT),
    )


def prepare_bser(connection: Connection, row: Row, ground: Ground) -> Letter | NotNow | Never:
    """``POST {base}/$process-message`` with BSeR's message of the Task as it stood then."""
    return _prepare_message(connection, row, ground, Programme.BSER)


def prepare_bars(connection: Connection, row: Row, ground: Ground) -> Letter | NotNow | Never:
    """The same with BaRS's, whose receivers answer 409 to a message that they have already."""
    return _prepare_message(connection, row, ground, Programme.BARS)


def _prepare_message(connection: Connection, row: Row, ground: Ground, programme: Programme) -> Letter | Never:
    client = _told(connection, row)
    if client is None:
        return Never()
    referral = read_resource(deliveries.referral_at(connection, row["referral_id"], row["at"]))
    told = _of_change(connection, row, client, ground.base, programme)
    is_bars = programme is Programme.BARS
    may_have_it = row["attempts"] > 1 and row["fault"] != "http-409"
    return Letter(
        method="POST",
        address=_door(client),
        body=dump(message_of_change(programme, told, _task(connection, row), referral)),
        registered=frozenset({origin(client["ehr_base"])}),
        seconds=SECONDS,
        headers={**_HEADERS, "X-Request-Id": told.id, "X-Correlation-Id": row["referral_id"]} if is_bars else _HEADERS,
        login=_login(client, TO_PROCESS),
        is_message=True,
        taken_too=frozenset({409}) if is_bars and may_have_it else frozenset(),
    )


def _of_change(connection: Connection, row: Row, client: Row, base: str, programme: Programme) -> Told:
    """The same however often it is sent: its id is made from whom it tells of what."""
    asked = asked_before(deliveries.first_request(connection, row["referral_id"]))
    event = f"{base}/Task/{row['resource_id']}/_history/{row['version']}#{row['kind']}/{row['receiver']}"
    return Told(
        id=str(uuid5(NAMESPACE_URL, event)),
        at=row["at"],
        base=base,
        answers=(asked.bundle if programme is Programme.BARS else None) or asked.id,
        endpoint=asked.endpoint or _door(client),
        name=asked.name or client["name"],
    )


def _told(connection: Connection, row: Row) -> Row | None:
    """The client, if it is still to be told in this way."""
    client = systems.client_in_use(connection, row["receiver"])
    return client if client is not None and client["tell"] == row["kind"] and client["ehr_base"] else None


def _task(connection: Connection, row: Row) -> dict[str, Any]:
    return read_resource(deliveries.content_of(connection, row["type"], row["resource_id"], row["version"])[1])


def _door(client: Row) -> str:
    return f"{client['ehr_base']}/$process-message"


def _login(client: Row, wanted: Scopes) -> Login:
    return Login(Ehr(client["id"], client["ehr_base"], client["ehr_token_url"], client["ehr_client_id"]), wanted)


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
