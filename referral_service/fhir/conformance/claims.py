"""The profiles that a resource says it keeps (``meta.profile``), and those that a caller asks about.

https://hl7.org/fhir/R4/profiling.html#resources. A claim that nobody here can check does no harm and is remarked
upon once; a caller who names a profile to be judged by has to be told that it was not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from referral_service.fhir.conformance import package, profiles, table
from referral_service.fhir.conformance.scope import Object, Scope
from referral_service.issues import Severity

EVERY = frozenset({"Resource", "DomainResource"})
"""Abstract types that every resource is taken to be."""


def judge_claimed(value: Object, path: str, scope: Scope) -> None:
    meta: Any = value.get("meta")
    claimed: Any = meta.get("profile") if meta.__class__ is dict else None
    seen: set[str] = set()
    for index, url in enumerate(claimed if claimed.__class__ is list else ()):
        if url.__class__ is str and url not in seen:
            seen.add(url)
            if not judge(url, value, path, f"{path}.meta.profile[{index}]", scope):
                remark(f"{path}.meta.profile[{index}]", scope)


def judge_asked(urls: Iterable[str], value: Object, path: str, scope: Scope) -> None:
    meta: Any = value.get("meta")
    claimed: Any = meta.get("profile") if meta.__class__ is dict else None
    for url in urls:
        if claimed.__class__ is list and url in claimed:
            continue
        if not judge(url, value, path, path, scope):
            words = "The profile that the resource was to be judged by is not known here."
            scope.findings.add("profile-unknown", path, words)


def remark(place: str, scope: Scope) -> None:
    if "profile-unknown" not in scope.findings.told:
        scope.findings.told.add("profile-unknown")
        words = "A profile that is not known here is claimed; by such profiles, here and elsewhere, nothing was judged."
        scope.findings.add("profile-unknown", place, words, Severity.WARNING)


def judge(url: str, value: Object, path: str, place: str, scope: Scope) -> bool:
    """Whether the profile is known; ``place`` is where a profile for another type is told."""
    if is_of_r4(url):
        judge_type(url.rpartition("/")[2].partition("|")[0], value, place, scope)
        return True
    found = package.profile(url)
    if found is None:
        return False
    if judge_type(found.type, value, place, scope):
        profiles.judge_for(found.url)(value, path, scope)
    return True


def is_of_r4(url: str) -> bool:
    """The definition of a type itself, by which the resource was judged already."""
    bare = url.partition("|")[0]
    name = bare.removeprefix(package.BASE)
    return name != bare and (name in table.resource_types() or name in EVERY)


def judge_type(wanted: str, value: Object, place: str, scope: Scope) -> bool:
    if wanted == value.get("resourceType") or wanted in EVERY:
        return True
    scope.findings.add("profile", place, f"This profile is for {wanted}.", code="value")
    return False
