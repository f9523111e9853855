"""The reasons as the rules know them are the reasons as they are published."""

from __future__ import annotations

from referral_service.fhir.package import definitions, translate
from referral_service.worklist import BUSINESS_STATUSES, NEEDS_REASON, REASONS
from referral_service.worklist.reasons import reasons_for

OWN = "https://referral-service.example/fhir/CodeSystem"


def test_the_code_system_says_which_reason_goes_with_which_status() -> None:
    published = [
        (
            concept["code"],
            concept["display"],
            {one["valueCode"] for one in concept["property"] if one["code"] == "status"},
            any(one.get("valueBoolean") for one in concept["property"] if one["code"] == "needs-comment"),
        )
        for concept in definitions()["CodeSystem"]["status-reason"]["concept"]
    ]
    assert published == [(one.code, one.display, one.statuses, one.needs_comment) for one in REASONS]


def test_every_status_that_needs_a_reason_has_some_and_no_other_status_has() -> None:
    assert {status for reason in REASONS for status in reason.statuses} == NEEDS_REASON
    assert all(reasons_for(status)[-1] == "other" for status in NEEDS_REASON)


def test_the_business_statuses_are_those_published_and_each_is_mapped_to_bser() -> None:
    published = [concept["code"] for concept in definitions()["CodeSystem"]["business-status"]["concept"]]
    assert list(BUSINESS_STATUSES) == published
    found = {code: _bser(code) for code in BUSINESS_STATUSES}
    assert found == {
        "cancellation-requested": ("equivalent", "5.2"),
        "awaiting-information": ("unmatched", None),
        "awaiting-appointment": ("wider", "3.0"),
        "appointment-booked": ("equivalent", "5.1.1"),
        "appointment-moved": ("wider", "5.1.1"),
        "did-not-attend": ("equivalent", "5.1.2"),
        "seen": ("equivalent", "5.1.4"),
    }


def _bser(code: str) -> tuple[str, str | None]:
    (match,) = translate(f"{OWN}/business-status", code)
    concept = next((part["valueCoding"]["code"] for part in match["part"] if part["name"] == "concept"), None)
    return match["part"][0]["valueCode"], concept
