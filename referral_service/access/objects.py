"""JSON of which nothing is trusted yet: small objects, no name twice, no number that JSON does not have."""

from __future__ import annotations

import json
from typing import Any

Object = dict[str, Any]


def read_object(text: str | bytes) -> Object:
    """Raises ``ValueError`` for what is no JSON object, holds a name twice or is nested too deep."""
    try:
        found = json.loads(text, object_pairs_hook=_each_once, parse_constant=_refuse)
    except RecursionError as problem:
        raise ValueError("nested too deep") from problem
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _each_once(pairs: list[tuple[str, Any]]) -> Object:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _refuse(_: str) -> None:
    raise ValueError("no JSON number")
