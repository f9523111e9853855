"""Where the attachments of a record stand."""

from __future__ import annotations

from referral_service.fhir.bundle import Resource


def attachments_of(record: Resource) -> list[Resource]:
    """Those that people are shown: of a document, a report or a message; a Binary is one itself."""
    kind = record.get("resourceType")
    if kind == "Binary":
        return [record]
    if kind == "DiagnosticReport":
        return list(record.get("presentedForm", []))
    if kind == "Communication":
        return [one["contentAttachment"] for one in record.get("payload", []) if "contentAttachment" in one]
    return [one.get("attachment", {}) for one in record.get("content", [])] if kind == "DocumentReference" else []


def addresses_of(record: Resource) -> dict[str, str]:
    """Where the content of its attachments lies that do not hold it, each with the media type that it is said to be."""
    if record.get("resourceType") == "Binary" or record.get("status") == "entered-in-error":
        return {}
    listed = [one for one in attachments_of(record) if "url" in one and "data" not in one]
    return {one["url"]: str(one.get("contentType", "")) for one in listed}
