"""The formats of R4's primitive types, https://hl7.org/fhir/R4/datatypes.html#primitive.

The expressions are the specification's, made linear: no input can make them backtrack. Dates also have to exist.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from referral_service.fhir.parse import Number

MAX_STRING = 1024 * 1024
MAX_INT = 2**31 - 1

Accepts = Callable[[Any], object]

_YEAR = r"(?!0000)([0-9]{4})"
_MONTH = r"(0[1-9]|1[0-2])"
_DAY = r"(0[1-9]|[12][0-9]|3[01])"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_DATE = re.compile(rf"{_YEAR}(?:-{_MONTH}(?:-{_DAY})?)?").fullmatch
_DATE_TIME = re.compile(rf"{_YEAR}(?:-{_MONTH}(?:-{_DAY}(?:T{_CLOCK}{_ZONE})?)?)?").fullmatch
_INSTANT = re.compile(rf"{_YEAR}-{_MONTH}-{_DAY}T{_CLOCK}{_ZONE}").fullmatch

_TEXT = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f]+").fullmatch
_BARE_OID = r"[0-2](?:\.(?:0|[1-9][0-9]*))+"
_BARE_UUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_URI_FORM = (
    r"(?:(?!urn:(?:oid|uuid):)[^\x00-\x20]+"
    rf"|urn:(?:oid:{_BARE_OID}|uuid:{_BARE_UUID})(?:[#?|/][^\x00-\x20]*)?)"
)
_URI = re.compile(_URI_FORM).fullmatch
"""OIDs and UUIDs have their own form (https://hl7.org/fhir/R4/datatypes.html#uri); case is forgiven."""
_CANONICAL = re.compile(rf"(?=#|[A-Za-z][A-Za-z0-9+.\-]*:){_URI_FORM}").fullmatch
"""It names a ``url`` that is absolute, or a contained resource (https://hl7.org/fhir/R4/references.html#canonical)."""
_CODE = re.compile(r"[^\x00-\x20]+(?: [^\x00-\x20]+)*").fullmatch
_BASE64 = re.compile(r"[0-9A-Za-z+/]*={0,2}").fullmatch
_BLANKS = {ord(blank): None for blank in " \t\r\n"}


def _exists(found: re.Match[str] | None) -> bool:
    if found is None:
        return False
    year, month, day = found.groups()
    return day is None or day <= "28" or int(day) <= monthrange(int(year), int(month))[1]


def is_date(text: str) -> bool:
    return _exists(_DATE(text))


def is_date_time(text: str) -> bool:
    return _exists(_DATE_TIME(text))


def is_instant(text: str) -> bool:
    return _exists(_INSTANT(text))


def is_text(text: str) -> bool:
    return len(text) <= MAX_STRING and _TEXT(text) is not None


def is_base64(text: str) -> bool:
    bare = text.translate(_BLANKS)
    return bool(bare) and len(bare) % 4 == 0 and _BASE64(bare) is not None


def _whole(least: int) -> Accepts:
    return lambda value: value.__class__ is int and least <= value <= MAX_INT


def is_integer(value: Any) -> bool:
    if value.__class__ is int:
        return -MAX_INT - 1 <= value <= MAX_INT
    return isinstance(value, Number) and value.literal == "-0"


def is_decimal(value: Any) -> bool:
    return value.__class__ is int or isinstance(value, Number)


def is_boolean(value: Any) -> bool:
    return value is True or value is False


@dataclass(frozen=True, slots=True)
class Primitive:
    """``accepts`` is given strings only when ``json`` is ``string``; otherwise it is given anything."""

    name: str
    json: str
    accepts: Accepts
    words: str


_PRIMITIVES = (
    Primitive("base64Binary", "string", is_base64, "base64 in groups of four characters"),
    Primitive("boolean", "boolean", is_boolean, "true or false"),
    Primitive("canonical", "string", _CANONICAL, "an absolute URI, or # and the id of a contained resource"),
    Primitive("code", "string", _CODE, "a code: no blanks at either end, single spaces inside"),
    Primitive("date", "string", is_date, "a date that exists: YYYY, YYYY-MM or YYYY-MM-DD"),
    Primitive(
        "dateTime",
        "string",
        is_date_time,
        "a date and time that exists: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a zone",
    ),
    Primitive("decimal", "number", is_decimal, "a number"),
    Primitive("id", "string", re.compile(r"[A-Za-z0-9\-.]{1,64}").fullmatch, "an id: 1 to 64 of A-Z a-z 0-9 - ."),
    Primitive("instant", "string", is_instant, "an instant that exists: YYYY-MM-DDThh:mm:ss with a zone"),
    Primitive("integer", "number", is_integer, "a whole number of 32 bits, without fraction or exponent"),
    Primitive("markdown", "string", is_text, "text without control characters, 1 MB at most"),
    Primitive("oid", "string", re.compile(rf"urn:oid:{_BARE_OID}").fullmatch, "an OID: urn:oid:1.2.3"),
    Primitive("positiveInt", "number", _whole(1), "a whole number from 1 to 2147483647"),
    Primitive("string", "string", is_text, "text without control characters, 1 MB at most"),
    Primitive("time", "string", re.compile(_CLOCK).fullmatch, "a time of day: hh:mm:ss"),
    Primitive("unsignedInt", "number", _whole(0), "a whole number from 0 to 2147483647"),
    Primitive("uri", "string", _URI, "a URI without blanks; urn:oid: and urn:uuid: in their own form"),
    Primitive("url", "string", _URI, "a URL without blanks"),
    Primitive(
        "uuid",
        "string",
        re.compile(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch,
        "a UUID in lower case: urn:uuid:...",
    ),
    Primitive("xhtml", "string", _TEXT, "an XHTML div"),
    Primitive("@id", "string", re.compile(r"[A-Za-z0-9\-.]{1,64}").fullmatch, "an id: 1 to 64 of A-Z a-z 0-9 - ."),
    Primitive("@string", "string", _URI, "an id without blanks"),
    Primitive("@uri", "string", _URI, "a URI without blanks"),
)
PRIMITIVES = {each.name: each for each in _PRIMITIVES}
"""By type name; those with ``@`` are bare values, which no extension can hang on (ids, ``Extension.url``)."""

LOCAL_TARGETS = frozenset({"canonical", "uri", "url"})
"""Types whose value ``#id`` counts as a reference to a contained resource (dom-3)."""
