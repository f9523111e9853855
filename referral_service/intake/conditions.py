"""What an entry or a header makes an interaction depend on: its method, If-None-Exist, If-Match, conditional URLs.

https://hl7.org/fhir/R4/http.html#ccreate, #cond-update and #concurrency. The only condition taken is
``identifier=system|value``.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from referral_service.fhir.bundle import Entry
from referral_service.intake.course import Course
from referral_service.intake.site import Answer, Became, failed, type_and_id
from referral_service.issues import FaultKind, error
from referral_service.store import lookups

_TAKEN = ("POST", "PUT")


def apply_conditions(course: Course) -> None:
    """Answers the entries that a condition decides alone, and assigns those that a conditional URL finds."""
    referrals = {entry.position for entry in course.envelope.referrals()}
    course.answers |= _of_other_methods(course)
    course.answers |= {place: one for place, one in course.forbidden.items() if place not in referrals}
    for entry in course.sound_entries():
        place = entry.position or 0
        if place in course.forbidden:
            continue
        answer = (
            _mismatch(entry) or _none_exist(course, entry) or _conditional_url(course, entry) or _stale(course, entry)
        )
        if answer is not None:
            course.answers[place] = answer


def _of_other_methods(course: Course) -> dict[int, Answer]:
    if not course.envelope.is_bundle:
        return {}
    methods = {place: _method(entry) for place, entry in enumerate(course.envelope.payload.get("entry", []))}
    kind = FaultKind.INVALID if course.envelope.bundle_type == "transaction" else FaultKind.METHOD
    return {
        place: failed(
            kind,
            error(
                "not-supported",
                "method-not-supported",
                "Entries of a Bundle may POST and PUT; nothing else is taken.",
                f"Bundle.entry[{place}].request.method",
            ),
        )
        for place, method in methods.items()
        if method is not None and method not in _TAKEN
    }


def _method(entry: dict[str, Any]) -> str | None:
    method = entry.get("request", {}).get("method")
    return method if isinstance(method, str) else None


def _mismatch(entry: Entry) -> Answer | None:
    """https://hl7.org/fhir/R4/bundle.html#bundle-response: the url is relative, and says the same as the resource."""
    url = entry.request.get("url")
    if not isinstance(url, str) or entry.position is None:
        return None
    path, _, query = url.partition("?")
    kind, _, identity = path.removeprefix("/").partition("/")
    if kind != entry.type:
        words = "The request's url names another type than the resource has."
        return failed(FaultKind.INVALID, error("invalid", "url-mismatch", words, _request_path(entry, "url")))
    if entry.method == "PUT" and not query and identity != entry.resource.get("id", identity or None):
        words = "A PUT names the id of its resource."
        return failed(FaultKind.INVALID, error("invalid", "id-mismatch", words, _request_path(entry, "url")))
    return None


def _none_exist(course: Course, entry: Entry) -> Answer | None:
    header = course.incoming.if_none_exist if entry.position is None else entry.request.get("ifNoneExist")
    return _found(course, entry, str(header), "ifNoneExist") if header else None


def _conditional_url(course: Course, entry: Entry) -> Answer | None:
    _, mark, query = str(entry.request.get("url", "")).partition("?")
    if not mark or entry.method != "PUT":
        return None
    answer = _found(course, entry, query, "url")
    if answer is not None and answer.became is not Became.FAILED:
        # A conditional update goes on with what was found.
        course.conditional[entry.position or 0] = f"{answer.type}/{answer.id}"
        return None
    return answer


def _found(course: Course, entry: Entry, query: str, element: str) -> Answer | None:
    identifier = _identifier(query)
    if identifier is None:
        words = "The only condition taken is identifier=system|value."
        place = _request_path(entry, element)
        return failed(FaultKind.INVALID, error("not-supported", "condition-not-supported", words, place))
    lookups.take_turns(course.connection, f"{course.incoming.client} {entry.type}?identifier={'|'.join(identifier)}")
    ids = lookups.with_identifier(course.connection, course.incoming.client, entry.type, *identifier)
    if len(ids) > 1:
        words = "Several resources match the condition."
        place = _request_path(entry, element)
        return failed(FaultKind.PRECONDITION, error("multiple-matches", "several-matches", words, place))
    if not ids:
        return None
    reference = f"{entry.type}/{ids[0]}"
    course.draft.assign(entry, reference)
    row = lookups.current(course.connection, course.incoming.client, entry.type, ids[0])
    assert row is not None
    return Answer(
        Became.UNCHANGED,
        type=entry.type,
        id=ids[0],
        version=row["version"],
        last_updated=row["last_updated"],
        content=row["content"],
    )


def _identifier(query: str) -> tuple[str, str] | None:
    parameters = parse_qsl(query.lstrip("?"), keep_blank_values=True)
    if len(parameters) != 1 or parameters[0][0] != "identifier":
        return None
    system, bar, value = parameters[0][1].partition("|")
    is_sound = bar and value and "\0" not in parameters[0][1]
    return (system, value) if is_sound else None


def _stale(course: Course, entry: Entry) -> Answer | None:
    wanted = course.incoming.if_match if entry.position is None else entry.request.get("ifMatch")
    if not isinstance(wanted, str) or entry.method != "PUT":
        return None
    reference = course.known.reference(entry.addresses())
    row = None
    if reference is not None:
        row = lookups.current(course.connection, course.incoming.client, *type_and_id(reference), held=True)
    if row is not None and version_of(wanted) == row["version"]:
        return None
    words = "The resource is not at the version that ifMatch names."
    place = _request_path(entry, "ifMatch")
    return failed(FaultKind.PRECONDITION, error("conflict", "stale-version", words, place))


def version_of(etag: str) -> int | None:
    """The version in an ETag such as ``W/"3"``; None when it is not of that form."""
    text = etag.strip().removeprefix("W/").strip('"')
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _request_path(entry: Entry, element: str) -> str:
    return f"Bundle.entry[{entry.position}].request.{element}" if entry.position is not None else ""
