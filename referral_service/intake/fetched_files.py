"""A file that was fetched from its sender's EHR becomes a Binary of that sender, and what waited for it is decided
again."""

from __future__ import annotations

from datetime import datetime

import orjson

from referral_service.content_types import media_type, taken_as
from referral_service.ehr.answers import File
from referral_service.fhir.bundle import literal
from referral_service.intake import finish
from referral_service.intake.course import begin
from referral_service.intake.files import wanted_file
from referral_service.intake.later import reconsider_waiting
from referral_service.intake.reading import Reading, read
from referral_service.intake.site import Content, Incoming, Site
from referral_service.intake.turns import again_when_overtaken
from referral_service.store import files
from referral_service.store.engine import instant
from referral_service.store.files import Row
from referral_service.store.writes import overtaking

_REQUEST = "fetch"


class _NoLongerOurs(Exception):
    """The lease has ended, or nobody wants the file any more; nothing is kept of what was fetched."""


def receive_file(site: Site, row: Row, file: File, at: datetime) -> str | None:
    """Stores a file for the record that names it; why it is not taken, None when it is."""
    kind = taken_as(file.data, file.media_type, row["media_type"], site.policy.attachment_types)
    if kind is None:
        return "wrong-type"
    body = orjson.dumps({"resourceType": "Binary", "contentType": kind})
    content = Content(file.data, media_type(file.data))
    incoming = Incoming(row["client"], "fetch", _REQUEST, body, at, content=content)
    reading = read(body, "Binary")
    try:
        again_when_overtaken(lambda: _store(site, incoming, reading, row))
    except _NoLongerOurs:
        return None
    reconsider_waiting(site, row["client"], _names(row), _REQUEST, at)
    return None


def share_file(site: Site, row: Row, at: datetime) -> bool:
    """Gives a record the same file that another names and that was fetched for that one; False when there is none."""
    with site.store.writing() as connection:
        binary_id = files.fetched_before(connection, row["client"], row["full_url"])
        if binary_id is not None:
            files.arrived(connection, row, binary_id)
    if binary_id is not None:
        reconsider_waiting(site, row["client"], _names(row), _REQUEST, at)
    return binary_id is not None


def _store(site: Site, incoming: Incoming, reading: Reading, row: Row) -> None:
    with site.store.writing() as connection, overtaking(connection):
        if wanted_file(connection, row) is None:
            raise _NoLongerOurs
        course = begin(connection, site, incoming, reading)
        course.assign_supporting()
        finish.store_supporting(course)
        finish.write(course)
        binary_id = course.answers[0].id or ""
        told = {"tries": row["tries"] + 1, "tried_at": instant(incoming.at)}
        if not files.arrived(connection, row, binary_id, **told):
            raise _NoLongerOurs


def _names(row: Row) -> list[str]:
    """Under which a referral may wait for it."""
    parts = literal(row["full_url"])
    return [row["full_url"], row["address"], *([parts.relative] if parts is not None else [])]
