"""What a move writes on a Task, and how it is read again."""

from __future__ import annotations

from referral_service.fhir.bundle import Resource, literal
from referral_service.fhir.package import definitions
from referral_service.fhir.writer.outcome import CANONICAL, own_system
from referral_service.referral import Queue
from referral_service.worklist import MORE_INFORMATION

ASSIGNEE = f"{CANONICAL}/StructureDefinition/assignee"
APPOINTMENT = f"{CANONICAL}/StructureDefinition/appointment"
CLOCK_PAUSE = f"{CANONICAL}/StructureDefinition/clock-pause"
CLOSING_REPORT = {
    "coding": [{"system": "http://loinc.org", "code": "11488-4", "display": "Consult note"}],
    "text": "Closing report",
}


def own_concept(system: str, code: str, text: str | None = None) -> Resource:
    """A code of one of our CodeSystems with its display, and words when there are any."""
    known = definitions()["CodeSystem"][system]["concept"]
    display = next(concept["display"] for concept in known if concept["code"] == code)
    written: Resource = {"coding": [{"system": own_system(system), "code": code, "display": display}]}
    return {**written, "text": text or display}


def own_code(concept: Resource | None, system: str) -> str | None:
    """The code of one of our CodeSystems that a CodeableConcept states."""
    codings = (concept or {}).get("coding", [])
    return next((one.get("code") for one in codings if one.get("system") == own_system(system)), None)


def note(author: str, at: str, text: str) -> Resource:
    """https://hl7.org/fhir/R4/datatypes.html#Annotation"""
    return {"authorString": author, "time": at, "text": text}


def report(text: str) -> Resource:
    """The closing report as ``Task.output``."""
    return {"type": CLOSING_REPORT, "valueString": text}


def with_extension(task: Resource, url: str, value: Resource | None) -> None:
    """Sets the one extension of a Task with this url, or takes it away."""
    _with_extensions(task, url, [value] if value else [])


def with_pauses(task: Resource, periods: list[Resource]) -> None:
    """Sets the Periods in which the clock stood still."""
    _with_extensions(task, CLOCK_PAUSE, [{"valuePeriod": period} for period in periods])


def _with_extensions(task: Resource, url: str, values: list[Resource]) -> None:
    others = [one for one in task.pop("extension", []) if one.get("url") != url]
    extensions = [*others, *({"url": url, **value} for value in values)]
    if extensions:
        task["extension"] = extensions


def assignee(name: str, identity: str | None = None) -> Resource:
    """Who has taken a Task in hand; with the id when it is one of those who sign in."""
    known = {"identifier": {"value": identity}} if identity else {}
    return {"valueReference": {**known, "display": name}}


def assignee_of(task: Resource) -> str | None:
    """By the name shown, else by what is referred to."""
    found = extension_of(task, ASSIGNEE)
    reference = found.get("valueReference", {})
    value = reference.get("display") or reference.get("reference") or found.get("valueString")
    return str(value)[:128] if value else None


def appointment_of(task: Resource) -> str | None:
    """When the patient is to be seen: a FHIR dateTime."""
    value = extension_of(task, APPOINTMENT).get("valueDateTime")
    return str(value) if value else None


def pauses_of(task: Resource) -> list[Resource]:
    """The Periods in which the clock stood still; the last one has no end while it does."""
    return [one["valuePeriod"] for one in task.get("extension", []) if one.get("url") == CLOCK_PAUSE]


def is_returned(task: Resource) -> bool:
    """Whether a Task is on hold because its sender was asked for more."""
    return task["status"] == "on-hold" and own_code(task.get("statusReason"), "status-reason") == MORE_INFORMATION


def queue_of(task: Resource) -> Queue | None:
    parts = literal(task.get("owner", {}).get("reference"))
    known = {queue.value for queue in Queue}
    return Queue(parts.id) if parts and parts.type == "HealthcareService" and parts.id in known else None


def extension_of(task: Resource, url: str) -> Resource:
    """The first extension of a Task with this url, empty when there is none."""
    return next((one for one in task.get("extension", []) if one.get("url") == url), {})
