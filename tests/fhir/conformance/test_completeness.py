"""What is wanted and missing is named and weighed; it never refuses anything."""

from __future__ import annotations

from typing import Any

import pytest

from referral_service.fhir.conformance import package
from referral_service.fhir.conformance.completeness import WISHES, completeness
from referral_service.fhir.conformance.package import Node
from tests.fhir.conformance.r4_samples import CONDITION, PATIENT, REFERRAL, changed
from tests.fhir.conformance.test_package import nodes

P = "https://referral-service.example/fhir/StructureDefinition/"
REACHED = {**PATIENT, "telecom": [{"system": "phone", "value": "1"}]}
ONSET = {**CONDITION, "onsetString": "two years ago"}
MEDICINE = {"resourceType": "MedicationStatement", "status": "active", "subject": {"display": "x"}}
FAMILY = {"resourceType": "FamilyMemberHistory", "status": "completed", "patient": {"display": "x"}}
EVERY = [wish.rule for wish in WISHES]


@pytest.mark.parametrize(
    ("referral", "beside", "score", "missing"),
    [
        (REFERRAL, [], 0.43, ["missing-onset", "missing-medicines", "missing-family-history", "missing-contact"]),
        (REFERRAL, [REACHED, ONSET, MEDICINE, FAMILY], 1.0, []),
        (REFERRAL, [ONSET, MEDICINE], 0.71, ["missing-family-history", "missing-contact"]),
        (REFERRAL, [CONDITION, PATIENT], 0.43, EVERY[3:]),
        (REFERRAL, [{**PATIENT, "contact": [{"telecom": [{"system": "phone", "value": "1"}]}]}], 0.57, EVERY[3:6]),
        (
            REFERRAL,
            [{"resourceType": "RelatedPerson", "telecom": [{"value": "1", "system": "phone"}]}],
            0.57,
            EVERY[3:6],
        ),
        (REFERRAL, [{"resourceType": "Practitioner", "telecom": [{"value": "1", "system": "phone"}]}], 0.43, EVERY[3:]),
        (changed(REFERRAL, (("contained",), [REACHED, {**ONSET, "id": "c"}])), [], 0.71, EVERY[4:6]),
        (changed(REFERRAL, (("reasonCode",), ...)), [], 0.29, ["missing-reason", *EVERY[3:]]),
        (changed(REFERRAL, (("reasonCode",), ...), (("reasonReference",), [{"display": "x"}])), [], 0.43, EVERY[3:]),
        (changed(REFERRAL, (("requester",), ...), (("identifier",), ...)), [], 0.14, [*EVERY[1:]]),
        ({"resourceType": "ServiceRequest", "status": "active", "intent": "order"}, [], 0.0, EVERY),
    ],
)
def test_the_score_is_the_share_of_wishes_met(
    referral: dict[str, Any], beside: list[dict[str, Any]], score: float, missing: list[str]
) -> None:
    found, issues = completeness(referral, beside)
    assert (found, [issue.rule for issue in issues]) == (score, missing)
    assert {(issue.severity, issue.code) for issue in issues} <= {("warning", "incomplete")}


def must_support(node: Node, path: str) -> list[str]:
    own = [path] if node.must_support else []
    below = [must_support(child, f"{path}.{name}") for name, child in node.children.items()]
    pieces = [must_support(piece, f"{path}:{name}") for name, piece in node.slices.items()]
    return own + [each for found in below + pieces for each in found]


def test_every_wish_is_an_element_that_a_profile_says_is_read() -> None:
    marked = set()
    for name in ("dystonia-referral", "referral-patient", "referral-condition"):
        profile = package.profile(P + name)
        assert profile is not None
        marked |= set(must_support(profile.root, profile.type))
    wanted = {element for wish in WISHES for element in wish.elements}
    assert wanted - marked == set()


def test_the_intake_profile_asks_for_nothing_but_a_patient() -> None:
    """It refuses what R4 refuses, and a subject that is none."""
    for name in ("dystonia-referral", "referral-patient", "referral-condition"):
        profile = package.profile(P + name)
        assert profile is not None
        for node in nodes(profile.root):
            in_slice = node.name in ("type", "system")
            assert in_slice or (node.least, node.most, node.constraints, node.closed) == (0, None, (), False)
            assert node.strength != "required"
            assert node.targets == (
                frozenset({"Patient"}) if node.name == "subject" and name == "dystonia-referral" else frozenset()
            )
