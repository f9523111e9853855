"""Messages: which events are taken, and what one asks for. The tables are MessageDefinitions and a ConceptMap of ours.

https://hl7.org/fhir/R4/messaging.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from referral_service.fhir import package
from referral_service.fhir.bundle import Entry, Envelope, Resource

Code = tuple[str | None, str | None]
_ACTS = "message-act"
_TASK_STATUS = "http://hl7.org/fhir/task-status"
_REQUEST_STATUS = "http://hl7.org/fhir/request-status"
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


class Act(StrEnum):
    """What is to be done with a referral in focus (``CodeSystem/message-act``), the weightiest last."""

    CREATE = "create"
    UPDATE = "update"
    REVOKED = "revoked"
    ENTERED_IN_ERROR = "entered-in-error"

    @property
    def is_cancel(self) -> bool:
        """Its value is then the status that the ServiceRequest is to have."""
        return self in (Act.REVOKED, Act.ENTERED_IN_ERROR)


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer repeats of the message that it answers; all None when none could be read.

    ``id`` is by what the answer names the message, ``key`` by what the same message is recognised when it comes again,
    ``bundle`` the id of the whole, by which BaRS names it.
    """

    event: Resource | None = None
    id: str | None = None
    key: str | None = None
    endpoint: str | None = None
    name: str | None = None
    bundle: str | None = None


def requests() -> list[Resource]:
    """The MessageDefinitions of what is taken."""
    return _of_category("consequence")


def notifications() -> list[Resource]:
    """The MessageDefinitions of what is sent to those who are told by message."""
    return _of_category("notification")


def _of_category(category: str) -> list[Resource]:
    return [one for one in package.definitions()["MessageDefinition"].values() if one["category"] == category]


def events() -> list[str]:
    """The events that are taken, each as ``system#code``."""
    return [f"{one['eventCoding']['system']}#{one['eventCoding']['code']}" for one in requests()]


def is_taken(header: Resource) -> bool:
    return _code(header.get("eventCoding")) in {_code(one["eventCoding"]) for one in requests()}


def unknown_reasons(header: Resource) -> list[int]:
    """The places of those codings of the reason whose system the map knows, but not the code."""
    codings = header.get("reason", {}).get("coding", [])
    systems = {system for system, _ in _acts()}
    unknown = (coding.get("system") in systems and _code(coding) not in _acts() for coding in codings)
    return [place for place, is_unknown in enumerate(unknown) if is_unknown]


def act_of(header: Resource, tasks: Iterable[Entry], referral: Entry) -> Act:
    """What a message asks for: the weightiest of all that its header, its Tasks and the ServiceRequest say."""
    said = (_acts()[code] for code in _codes(header, tasks, referral) if code in _acts())
    return max(said, key=list(Act).index, default=Act.CREATE)


def _codes(header: Resource, tasks: Iterable[Entry], referral: Entry) -> Iterator[Code]:
    yield _code(header.get("eventCoding"))
    yield from map(_code, header.get("reason", {}).get("coding", []))
    for task in tasks:
        yield _TASK_STATUS, task.resource.get("status")
        yield from map(_code, task.resource.get("businessStatus", {}).get("coding", []))
    yield _REQUEST_STATUS, referral.resource.get("status")


def _code(coding: Any) -> Code:
    return (coding.get("system"), coding.get("code")) if coding else (None, None)


@cache
def _acts() -> dict[Code, Act]:
    groups = package.definitions()["ConceptMap"][_ACTS]["group"]
    return {
        (group["source"], element["code"]): Act(element["target"][0]["code"])
        for group in groups
        for element in group["element"]
    }


def asked_by(envelope: Envelope) -> Asked:
    """What is to be repeated of a message whose header is sound."""
    bundle, first = envelope.payload, envelope.entries[0]
    header, identifier = first.resource, bundle.get("identifier", {})
    names = (header.get("id"), bundle.get("id"), first.full_url, identifier.get("value"))
    bare = (str(name).removeprefix("urn:uuid:") for name in names if name)
    return Asked(
        event=_event(header),
        id=next((name for name in bare if _ID.fullmatch(name)), None),
        key=_key(header, identifier),
        endpoint=header["source"].get("endpoint"),
        name=header["source"].get("name"),
        bundle=bundle["id"] if _ID.fullmatch(bundle.get("id", "")) else None,
    )


def response_code(answer: Any) -> str | None:
    """What an answer says became of a message (``ok``, ``transient-error``, ``fatal-error``); None when it is none."""
    try:
        code = answer["entry"][0]["resource"]["response"]["code"]
    except (KeyError, IndexError, TypeError):
        return None
    return code if isinstance(code, str) and answer.get("type") == "message" else None


def _event(header: Resource) -> Resource | None:
    """The event without what a sender has hung on it."""
    coding = header.get("eventCoding", {})
    plain = {name: coding[name] for name in ("system", "version", "code", "display") if name in coding}
    if plain:
        return {"eventCoding": plain}
    return {"eventUri": header["eventUri"]} if "eventUri" in header else None


def _key(header: Resource, identifier: Resource) -> str | None:
    if "id" in header:
        return f"MessageHeader/{header['id']}"
    return f"{identifier.get('system', '')}|{identifier['value']}" if "value" in identifier else None
