"""The fields of the form for a referral that came by telephone or fax: read, bounded and checked."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import asdict, fields

from flask import request
from werkzeug.datastructures import FileStorage

from referral_service.content_types import media_type
from referral_service.fhir.writer import Attachment, Entered
from referral_service.referral import Priority
from referral_service.web.forms import field
from referral_service.web.http import site
from referral_service.web.present.people import PATIENT_SYSTEMS

MEGABYTE = 1024 * 1024
_LINE = 200
_LONGER = {"address": 500, "medicines": 5_000, "reason": 20_000}
_BIRTH_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?", re.ASCII)

Faults = dict[str, str]
"""What is wrong, by field; the empty one is the form as a whole."""


def entered_fields() -> Entered:
    return Entered(**{one.name: field(one.name) for one in fields(Entered)})


def attached() -> tuple[Attachment | None, Faults]:
    """The file sent now, else the one kept from before; and what is wrong with it."""
    sent: FileStorage | None = request.files.get("attachment")
    if sent is None or not sent.filename:
        return _kept(), {}
    name, data = sent.filename[:_LINE], sent.read()
    kind, most = media_type(data), site().policy.attachment_megabytes
    if len(data) > most * MEGABYTE:
        return None, {"attachment": f"The file is larger than {most} MB."}
    if kind not in site().policy.attachment_types:
        words = f"The file is none of these: {', '.join(sorted(site().policy.attachment_types))}."
        return None, {"attachment": words}
    return Attachment(name, kind, data), {}


def _kept() -> Attachment | None:
    if not field("kept_data") or field("drop"):
        return None
    try:
        data = base64.b64decode(field("kept_data"), validate=True)
    except binascii.Error:
        return None
    kind = media_type(data)
    return Attachment(field("kept_name")[:_LINE], kind, data) if kind in site().policy.attachment_types else None


def faults_of(entered: Entered) -> Faults:
    """What a browser would have said as well, and what only this form asks for."""
    values = asdict(entered)
    found = {name: f"No longer than {limit(name)} characters." for name in values if len(values[name]) > limit(name)}
    if not entered.family:
        found["family"] = "Say the patient's family name."
    if entered.birth_date and not _BIRTH_DATE.fullmatch(entered.birth_date):
        found["birth_date"] = "Write the birth date as 2019-09-14, or 2019-09 or 2019 when no more is known."
    if entered.priority not in set(Priority):
        found["priority"] = "Choose one of these priorities."
    if entered.identifier_system and entered.identifier_system not in PATIENT_SYSTEMS:
        found["identifier"] = "Choose one of these kinds of number."
    if (entered.guardian_role or entered.guardian_telephone) and not entered.guardian:
        found["guardian"] = "Say who answers for the patient."
    if entered.requester_telephone and not entered.requester:
        found["requester"] = "Say who refers."
    return found


def limit(name: str) -> int:
    return _LONGER.get(name, _LINE)


def within_limits(entered: Entered) -> Entered:
    return Entered(**{name: value[: limit(name)] for name, value in asdict(entered).items()})
