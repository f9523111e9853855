"""Whether JSON is valid FHIR R4 (4.0.1), by HL7's own definitions and the profiles of the package.

Every fault, in one walk. https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from referral_service.fhir.conformance.compiler import walk_resource
from referral_service.fhir.conformance.scope import EnoughError, Findings
from referral_service.fhir.conformance.table import resource_types
from referral_service.fhir.parse import Json
from referral_service.issues import Issue, error

__all__ = ["check"]


def check(payload: Json, profiles: Iterable[str] = ()) -> list[Issue]:
    """The faults of a resource with all that is nested in it, in document order; what an object as a whole lacks
    follows what stands in it. Whatever JSON comes in, it is judged, never raised at.

    ``profiles`` are canonicals that the resource is judged by beside those it claims in ``meta.profile``. What breaks
    a profile but not R4 has the rule ``profile``. An unknown one is an error where asked for, a warning where claimed.
    """
    given: Any = payload
    named = given.get("resourceType") if isinstance(given, dict) else None
    root = named if isinstance(named, str) and named in resource_types() else ""
    findings = Findings()
    try:
        walk_resource(payload, root, findings, {}, tuple(profiles))
    except EnoughError:
        pass
    except RecursionError:
        findings.issues.append(error("too-costly", "too-deep", "Objects and arrays are nested too deep.", root))
    return findings.issues
