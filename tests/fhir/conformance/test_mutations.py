"""Near-valid resources judged by profiles and FHIRPath: issues come out, and nothing else."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from referral_service.fhir.conformance import check
from referral_service.issues import Issue
from tests.fhir.conformance.fhirpath_samples import FAIL, HOLD
from tests.fhir.conformance.r4_samples import CONDITION, PATIENT, REFERRAL
from tests.fhir.conformance.test_profiles import GOOD_TASK, INTAKE, PERSON, PROBLEM, TASK
from tests.fhir.conformance.test_r4_robust import ODD, mutate, places

PROFILED = [(REFERRAL, INTAKE), (GOOD_TASK, TASK), (PATIENT, PERSON), (CONDITION, PROBLEM)]
OTHERS = [*HOLD, *(payload for payload, _ in FAIL if ... not in payload.values())]


def judged(payload: Any, *profiles: str) -> list[Issue]:
    issues = check(payload, profiles)
    assert all(isinstance(issue, Issue) and issue.diagnostics for issue in issues)
    return issues


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_mutated_resource_is_judged_by_a_profile_and_never_raised_at(data: st.DataObject) -> None:
    sample, profile = data.draw(st.sampled_from(PROFILED))
    payload = copy.deepcopy(sample)
    for _ in range(data.draw(st.integers(1, 6))):
        if places(payload):
            mutate(data, payload)
    assert judged(payload, profile) == judged(payload, profile)


def test_every_single_value_of_a_profiled_resource_may_be_anything() -> None:
    for sample, profile in PROFILED:
        for index in range(len(places(sample))):
            for odd in ODD:
                payload = copy.deepcopy(sample)
                holder, key = places(payload)[index]
                holder[key] = odd
                judged(payload, profile)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_mutated_resource_of_another_type_is_judged_and_never_raised_at(data: st.DataObject) -> None:
    payload = copy.deepcopy(data.draw(st.sampled_from(OTHERS)))
    for _ in range(data.draw(st.integers(1, 4))):
        if places(payload):
            mutate(data, payload)
    judged(payload)


def test_what_cannot_be_judged_is_never_something_well_formed() -> None:
    """A constraint that the evaluator fails on is told beside the fault of shape that explains it, or not at all."""
    for sample in OTHERS:
        for index in range(len(places(sample))):
            payload = copy.deepcopy(sample)
            holder, key = places(payload)[index]
            del holder[key]
            assert "not-judged" not in {issue.rule for issue in judged(payload)}
