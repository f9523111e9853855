"""Whom a resource or a reference names, and the words and numbers that a human would look for it by."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Resource = Mapping[str, Any]
Find = Callable[[Resource], Resource | None]
"""Gives the resource that a Reference leads to, None when it is not here."""
_APOSTROPHE = re.compile("['`\u2018\u2019\u02bc]")


def name_of(resource: Resource) -> str:
    """The name somebody goes by: the official or usual one, never one given up; empty when there is none."""
    names = resource.get("name", [])
    if isinstance(names, str):
        return names
    listed = [names] if isinstance(names, Mapping) else list(names)
    current = [name for name in listed if name.get("use") not in ("old", "maiden")] or listed
    current.sort(key=lambda name: {"official": 0, "usual": 1}.get(name.get("use", ""), 2))
    return _one_name(current[0]) if current else ""


def _one_name(name: Resource) -> str:
    """The name as its sender wants it shown, else its parts (https://hl7.org/fhir/R4/datatypes.html#HumanName)."""
    parts = [*name.get("prefix", []), *name.get("given", []), name.get("family"), *name.get("suffix", [])]
    return str(name.get("text") or " ".join(part for part in parts if part))


def referenced_name(reference: Resource | None, find: Find) -> str:
    """Whom a Reference names: what it displays, else the resource it leads to, else its address; empty if none."""
    if not reference:
        return ""
    target = find(reference)
    named = _name_of_target(target, find) if target else ""
    identifier = reference.get("identifier", {}).get("value", "")
    return str(reference.get("display") or named or identifier or reference.get("reference", ""))


def _name_of_target(resource: Resource, find: Find) -> str:
    """A PractitionerRole is named by whom it leads to."""
    if resource.get("resourceType") != "PractitionerRole":
        return name_of(resource)
    ends = (resource.get("practitioner"), resource.get("organization"))
    return ", ".join(filter(None, (referenced_name(end, find) for end in ends)))


def words(*texts: str) -> list[str]:
    """The words of names as they are looked for: without accents, case and punctuation (``O'Brién`` -> ``obrien``)."""
    found = (re.findall(r"\w+", _APOSTROPHE.sub("", _folded(text))) for text in texts)
    return list(dict.fromkeys(word for listed in found for word in listed))


def number(text: str) -> str:
    """An identifier as it is looked for: its letters and digits alone (``999 000 0001`` -> ``9990000001``)."""
    return re.sub(r"[\W_]+", "", _folded(text))


def _folded(text: str) -> str:
    if text.isascii():
        return text.casefold()
    apart = unicodedata.normalize("NFKD", text)
    return "".join(sign for sign in apart if not unicodedata.combining(sign)).casefold()


def all_names(resource: Resource) -> Iterable[str]:
    """Every name that a Patient has or had, each of its parts by itself."""
    for name in resource.get("name", []):
        yield from (*name.get("given", []), name.get("family") or "", name.get("text") or "")
