"""What is asked of contained resources: dom-2 to dom-5 and a local id of their own.

https://hl7.org/fhir/R4/references.html#contained, https://hl7.org/fhir/R4/domainresource.html#invs
"""

from __future__ import annotations

from typing import Any

from referral_service.fhir.conformance.scope import Object, Scope


def judge(value: Object, path: str, scope: Scope, seen: set[str]) -> None:
    """The rules that need the contained resource alone; ``seen`` are the ids of those before it."""
    name = value.get("id")
    if "id" not in value:
        scope.fault("contained-rule", f"{path}.id", "A contained resource needs an id to be referred to.")
    elif name.__class__ is str:
        if name in seen:
            scope.fault("contained-rule", f"{path}.id", "Two contained resources have the same id.")
        seen.add(name)
    judge_meta(value.get("meta"), f"{path}.meta", scope)


def judge_meta(meta: Any, path: str, scope: Scope) -> None:
    if meta.__class__ is not dict:
        return
    for key, names in (("dom-4", ("versionId", "lastUpdated")), ("dom-5", ("security",))):
        for name in names:
            if name in meta:
                words = f'A contained resource must not have "{name}" in its meta ({key}).'
                scope.fault("contained-rule", f"{path}.{name}", words)


def nested(path: str, scope: Scope) -> None:
    words = "A contained resource must not contain resources itself (dom-2)."
    scope.fault("contained-rule", f"{path}.contained", words)


def unreferenced(value: Object, path: str, scope: Scope) -> None:
    """dom-3: a contained resource is referred to in its container, or refers to it with ``#``."""
    contained = value.get("contained")
    for index, each in enumerate(contained if contained.__class__ is list else ()):
        name = each.get("id") if each.__class__ is dict else None
        here = f"{path}.contained[{index}]"
        if name.__class__ is not str or name in scope.fragments:
            continue
        if here not in scope.homeward:
            words = "Nothing refers to this contained resource, nor does it refer to its container (dom-3)."
            scope.fault("contained-rule", here, words)
