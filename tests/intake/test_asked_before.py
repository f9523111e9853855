"""Of a text received some time ago the header is read again, and nothing of it when that is not sound."""

from __future__ import annotations

import json
from typing import Any

import pytest

from referral_service.fhir.messages import Asked
from referral_service.intake.messages import asked_before

HEADER: dict[str, Any] = {
    "resourceType": "MessageHeader",
    "id": "m-1",
    "eventUri": "urn:example:event",
    "source": {"name": "North", "endpoint": "https://north.example/messages"},
}


def text(header: Any = HEADER, **more: Any) -> bytes:
    entries = [{"fullUrl": "urn:uuid:7f7b2b52-0000-4000-8000-000000000001", "resource": header}, {"resource": None}]
    return json.dumps({"resourceType": "Bundle", "type": "message", "entry": entries} | more).encode()


def test_what_an_answer_repeats_is_found_again_whatever_else_was_wrong() -> None:
    found = asked_before(text(id="b-1"))
    assert (found.id, found.bundle, found.name) == ("m-1", "b-1", "North")
    assert found.endpoint == "https://north.example/messages"


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b'{"resourceType": "ServiceRequest"}', text(type="collection"), text(entry=7)),
        *(text(entry=[]), text(entry=[7]), text(entry=[{}]), text({"resourceType": "Patient"})),
        *(text({"resourceType": "MessageHeader", "id": "m-1"}), text(HEADER | {"source": 7})),
    ],
)
def test_nothing_is_made_out_where_there_is_no_sound_header(body: bytes) -> None:
    assert asked_before(body) == Asked()


@pytest.mark.parametrize("more", [{"id": 7}, {"id": ["b"]}, {"identifier": 7}, {"id": "b 1"}])
def test_what_is_wrong_around_the_header_does_no_harm(more: dict[str, Any]) -> None:
    found = asked_before(text(**more))
    assert (found.id, found.bundle) == ("m-1", None)
