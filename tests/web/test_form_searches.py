"""A search by form: no name and no number of a patient stands in an address that the answer gives."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from referral_service.intake import Site
from tests.callers import Doors, placer
from tests.shapes import Caller, Resource, patient, referral, rules

FORM = "application/x-www-form-urlencoded"
NUMBER = {"system": "urn:example:mrn", "value": "HIDDEN-7"}


@pytest.fixture
def doors(site: Site) -> Doors:
    return Doors(site)


@pytest.fixture
def north(doors: Doors) -> Caller:
    """A sender with three Patients of one family, each referred."""
    caller = doors.of(placer("north"))
    for number in range(3):
        person = patient(id="p", name=[{"family": "Hiddenname"}], identifier=[NUMBER, {"value": f"{number}"}])
        assert (
            caller.create(referral(f"R-{number}", contained=[person], subject={"reference": "#p"})).status_code == 201
        )
        caller.post("Patient", patient(name=[{"family": "Hiddenname"}]))
    return caller


def searched(caller: Caller, kind: str, form: str) -> Resource:
    answer = caller.post(f"{kind}/_search", form, Content_Type=FORM)
    assert answer.status_code == 200, answer.text
    found: Resource = answer.get_json(force=True)
    return found


def links(found: Resource) -> dict[str, str]:
    return {one["relation"]: one["url"] for one in found["link"]}


def followed(caller: Caller, url: str) -> Resource:
    parts = urlsplit(url)
    return caller.read(f"{parts.path.removeprefix('/fhir/')}?{parts.query}")


def ids(found: Resource) -> list[str]:
    """What was found, without what came along."""
    return [one["resource"]["id"] for one in found["entry"] if one["search"]["mode"] == "match"]


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("Patient", "family=Hiddenname"),
        ("Patient", "family:contains=hidden"),
        ("Task", "patient.identifier=urn:example:mrn%7CHIDDEN-7&status=requested"),
        ("ServiceRequest", "patient.identifier=urn:example:mrn%7CHIDDEN-7&_include=ServiceRequest:patient"),
    ],
)
def test_the_pages_that_follow_are_found_by_addresses_that_name_nobody(north: Caller, kind: str, form: str) -> None:
    whole = ids(searched(north, kind, form))
    met = [searched(north, kind, f"{form}&_count=1")]
    while "next" in links(met[-1]):
        met.append(followed(north, links(met[-1])["next"]))
    assert [ids(one) for one in met] == [[one] for one in whole]
    assert len(whole) == (4 if kind == "Patient" else 3)
    addresses = "".join(url for one in met for url in links(one).values()).lower()
    assert [word for word in ("hidden", "identifier=", "family") if word in addresses] == []


def test_self_is_the_same_search_and_shows_its_codes(north: Caller) -> None:
    found = searched(north, "Task", "patient.identifier=urn:example:mrn%7CHIDDEN-7&status=requested&_count=2")
    own = links(found)["self"]
    assert [ids(followed(north, own)), followed(north, own)["link"][1]["relation"]] == [ids(found), "next"]
    assert [part.partition("=")[0] for part in urlsplit(own).query.split("&")] == ["_sealed", "status", "_count"]


def test_a_form_of_codes_alone_has_plain_links(north: Caller) -> None:
    assert links(searched(north, "Task", "status=requested"))["self"].endswith("/fhir/Task?status=requested")


def test_a_search_by_address_is_repeated_as_it_was_asked(north: Caller) -> None:
    assert links(north.read("Patient?family=Hiddenname"))["self"].endswith("/fhir/Patient?family=Hiddenname")


def sealed(found: Resource) -> str:
    return urlsplit(links(found)["self"]).query.partition("_sealed=")[2].partition("&")[0]


@pytest.mark.parametrize("changed", ["another's", "another type", "cut", "made up", "empty"])
def test_what_was_not_sealed_for_this_caller_and_type_is_refused(doors: Doors, north: Caller, changed: str) -> None:
    text = sealed(searched(north, "Patient", "family=Hiddenname"))
    caller = doors.of(placer("south")) if changed == "another's" else north
    kind = "Task" if changed == "another type" else "Patient"
    given: dict[str, Any] = {"cut": text[:-2], "made up": "a.b.c.d.e", "empty": ""}
    answer = caller.get(f"{kind}?_sealed={given.get(changed, text)}")
    assert (answer.status_code, rules(answer.get_json(force=True))) == (400, [("search-value", "")])


def test_what_no_address_can_hold_is_asked_in_several_searches(north: Caller) -> None:
    answer = north.post("Patient/_search", "family=" + "x" * 41_000, Content_Type=FORM)
    assert (answer.status_code, rules(answer.get_json(force=True))) == (400, [("search-value", "")])
