"""What is received is kept byte for byte and answered alike on both engines, also what a database's own JSON would not
take or would change: jsonb keeps the last of two keys, refuses NUL and forgets how a number was written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from referral_service.intake import Site
from referral_service.store import tables
from tests.shapes import referral

GOOD = json.dumps(referral())


def written(before: str, after: str) -> bytes:
    assert before in GOOD
    return GOOD.replace(before, after, 1).encode()


def post(client: FlaskClient, site: Site, body: bytes) -> tuple[int, set[str], bytes | None]:
    headers = {"X-Request-Id": "here-and-now"}
    answer = client.post("/fhir/ServiceRequest", data=body, content_type="application/fhir+json", headers=headers)
    received = tables.received
    with site.store.reading() as connection:
        kept = connection.execute(select(received.c.body).where(received.c.request_id == "here-and-now")).scalar()
    issues: list[dict[str, Any]] = (answer.get_json() or {}).get("issue", [])
    return answer.status_code, {issue["details"]["coding"][0]["code"] for issue in issues}, kept and bytes(kept)


@pytest.mark.parametrize(
    ("body", "status", "codes"),
    [
        (written('dystonia"', 'dysto\\u0000nia"'), 400, {"invalid-string", "invalid-value"}),
        (written('"status"', '"status": "draft", "status"'), 400, {"duplicate-key"}),
        (written('dystonia"', 'dysto\\ud800nia"'), 400, {"invalid-string"}),
        (written('dystonia"', 'dysto\x00nia"'), 400, {"not-json"}),
        (GOOD.encode().replace(b"dystonia", b"dysto\xffnia"), 400, {"not-utf8"}),
    ],
)
def test_what_is_refused_is_kept_as_it_came_and_refused_alike(
    app_client: FlaskClient, site: Site, body: bytes, status: int, codes: set[str]
) -> None:
    assert post(app_client, site, body) == (status, codes, body)


def test_what_is_taken_is_given_back_as_it_came(app_client: FlaskClient) -> None:
    number = '"quantityQuantity": {"value": 1.500}, "reasonCode"'
    body = written('"reasonCode"', number).replace(b"dystonia", b"d\\u0079stonia").replace(b", ", b" ,\r\n\t")
    answer = app_client.post("/fhir/ServiceRequest", data=body, content_type="application/fhir+json")
    assert answer.status_code == 201
    original = app_client.get(f"/fhir/ServiceRequest/{answer.get_json()['id']}/$original")
    served = app_client.get(f"/fhir/ServiceRequest/{answer.get_json()['id']}")
    assert (original.data, b"1.500" in served.data) == (body, True)


@pytest.mark.parametrize(
    "address",
    ["/fhir/Task?identifier=a%00b", "/fhir/ServiceRequest/$receipt?request-id=%00", "/fhir/Patient?family=%00"],
)
def test_a_search_for_what_no_database_holds_is_refused_alike(app_client: FlaskClient, address: str) -> None:
    assert app_client.get(address).status_code == 400
