"""The values of search parameters, read by the type of the parameter; None for what is not such a value."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from referral_service.fhir.bundle import literal
from referral_service.fhir.search.parameters import Parameter, ParameterType
from referral_service.fhir.search.query import DateValue, Prefix, ReferenceValue, TextValue, TokenValue, Value

_ESCAPE = re.compile(r"\\([\\,|$])")
_UNSTORABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_BARE_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_DATE = re.compile(
    r"(?P<prefix>[a-z]{2})?(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)(?:T(?P<hour>\d\d):(?P<minute>\d\d)"
    r"(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?(?P<zone>Z|[+ -]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)


def split(text: str, separator: str) -> list[str]:
    """The parts between separators that are not escaped; their escapes stay for :func:`unescaped`."""
    parts, escaped = [""], False
    for character in text:
        if character == separator and not escaped:
            parts.append("")
        else:
            parts[-1] += character
        escaped = character == "\\" and not escaped
    return parts


def unescaped(text: str) -> str:
    r"""``\,`` ``\|`` ``\$`` and ``\\`` stand for themselves (https://hl7.org/fhir/R4/search.html#escaping)."""
    return _ESCAPE.sub(r"\1", text)


def read_value(parameter: Parameter, text: str, modifier: str) -> Value | None:
    if not text or _UNSTORABLE.search(text):
        return None
    if parameter.type is ParameterType.TOKEN:
        return read_token(text)
    if parameter.type is ParameterType.DATE:
        return read_date(text)
    if parameter.type is ParameterType.REFERENCE:
        return read_reference(unescaped(text), (modifier,) if modifier else parameter.targets)
    return TextValue(unescaped(text))


def read_token(text: str) -> TokenValue | None:
    """``code``, ``system|code``, ``|code`` or ``system|`` (https://hl7.org/fhir/R4/search.html#token)."""
    parts = [unescaped(part) for part in split(text, "|")]
    if len(parts) == 1:
        return TokenValue(None, parts[0])
    if len(parts) > 2 or not any(parts):
        return None
    return TokenValue(parts[0], parts[1] or None)


def read_reference(text: str, types: tuple[str, ...]) -> ReferenceValue | None:
    """An id, ``Type/id``, or an address (https://hl7.org/fhir/R4/search.html#reference)."""
    if _BARE_ID.fullmatch(text) or literal(text) is not None or ":" in text:
        return ReferenceValue(text, types)
    return None


def read_date(text: str) -> DateValue | None:
    """A date as the period it covers; without a zone it is UTC (https://hl7.org/fhir/R4/search.html#date).

    A blank in place of the zone's plus sign is what an unescaped ``+`` becomes in a URL.
    """
    match = _DATE.fullmatch(text)
    if match is None or (match["prefix"] or "eq") not in list(Prefix):
        return None
    try:
        low = _low(match)
    except (ValueError, OverflowError):
        return None
    return DateValue(Prefix(match["prefix"] or "eq"), _instant(low), _instant(_high(match, low)))


def _low(match: re.Match[str]) -> datetime:
    milliseconds = f"{match['fraction'] or '':0<3}"[:3]
    day = f"{match['year']}-{match['month'] or '01'}-{match['day'] or '01'}"
    time = f"{match['hour'] or '00'}:{match['minute'] or '00'}:{match['second'] or '00'}.{milliseconds}"
    zone = (match["zone"] or "Z").replace(" ", "+")
    return datetime.fromisoformat(f"{day}T{time}{zone}").astimezone(UTC)


def _high(match: re.Match[str], low: datetime) -> datetime:
    try:
        if not match["month"]:
            return low.replace(year=low.year + 1)
        if not match["day"]:
            return low.replace(year=low.year + low.month // 12, month=low.month % 12 + 1)
        return low + _width(match)
    except (ValueError, OverflowError):
        return datetime.max.replace(tzinfo=UTC)


def _width(match: re.Match[str]) -> timedelta:
    if not match["hour"]:
        return timedelta(days=1)
    if not match["second"]:
        return timedelta(minutes=1)
    if not match["fraction"]:
        return timedelta(seconds=1)
    return timedelta(milliseconds=10 ** max(0, 3 - len(match["fraction"])))


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
