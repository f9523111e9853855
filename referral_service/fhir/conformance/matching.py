"""When a value is the fixed one, fits a pattern, or stands at the path of a discriminator.

https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.pattern_x_
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from referral_service.fhir.conformance.scope import Object


def equals(value: Any, wanted: Any) -> bool:
    """JSON's ``true`` is no number here."""
    if value.__class__ is not wanted.__class__:
        return False
    if value.__class__ is dict:
        return bool(value.keys() == wanted.keys()) and all(equals(value[name], each) for name, each in wanted.items())
    if value.__class__ is list:
        return len(value) == len(wanted) and all(equals(one, other) for one, other in zip(value, wanted, strict=True))
    return bool(value == wanted)


def matches(value: Any, pattern: Any) -> bool:
    """All that the pattern has, and whatever else; of a list, each of the pattern's items is found somewhere."""
    if pattern.__class__ is dict:
        return value.__class__ is dict and all(
            name in value and matches(value[name], pattern[name]) for name in pattern
        )
    if pattern.__class__ is list:
        return value.__class__ is list and all(any(matches(each, wanted) for each in value) for wanted in pattern)
    return equals(value, pattern)


def reach(value: Any, steps: list[str]) -> Iterator[Any]:
    """The values at a simple path; ``$this`` is the value itself."""
    if not steps or steps == ["$this"]:
        yield value
        return
    owner: Object = value if value.__class__ is dict else {}
    found = owner.get(steps[0])
    for each in found if found.__class__ is list else [] if found is None else [found]:
        yield from reach(each, steps[1:])
