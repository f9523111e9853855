"""Events of the audit trail as an auditor would say them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from referral_service.fhir.audit import LOGIN, LOGOUT
from referral_service.web.present.words import Moment, Now

Row = Mapping[str, Any]

ACTIONS = {"C": "Created", "R": "Read", "U": "Changed", "D": "Removed", "E": "Searched, asked, signed in or out"}
_ASKED = "Searched or asked"
_SIGNED = {LOGIN: "Signed in", LOGOUT: "Signed out"}
OUTCOMES = {"0": "Given", "4": "Not given", "8": "Failed here"}
KINDS = {"system": "a system", "person": "a person", "anyone": "nobody asked who", "machine": "this service"}


@dataclass(frozen=True, slots=True)
class Line:
    """One access. ``references`` are what was touched beside the ``patients``, ``query`` what was asked for."""

    id: str
    at: Moment
    who: str
    name: str
    kind: str
    network: str
    action: str
    outcome: str
    is_given: bool
    reason: str
    references: tuple[str, ...]
    patients: tuple[str, ...]
    query: str
    request_id: str


def line(row: Row, now: Now) -> Line:
    content = orjson.loads(row["content"])
    named = [one["what"]["reference"] for one in content["entity"] if "reference" in one.get("what", {})]
    query = next((one["query"] for one in content["entity"] if "query" in one), "")
    return Line(
        id=row["id"],
        at=now.moment(row["at"]),
        who=row["actor"],
        name=next((one["name"] for one in content["agent"] if "name" in one), ""),
        kind=KINDS[row["actor_kind"]],
        network=row["network"],
        action=_action(row["action"], content),
        outcome=OUTCOMES[row["outcome"]],
        is_given=row["outcome"] == "0",
        reason=content.get("outcomeDesc", "").replace("-", " "),
        references=tuple(one for one in named if not one.startswith("Patient/")),
        patients=tuple(one.partition("/")[2] for one in named if one.startswith("Patient/")),
        query=base64.b64decode(query).decode(),
        request_id=row["request_id"],
    )


def _action(action: str, content: Mapping[str, Any]) -> str:
    return _SIGNED.get(content["subtype"][0]["code"], _ASKED) if action == "E" else ACTIONS[action]
