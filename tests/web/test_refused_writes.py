"""What is refused leaves nothing behind: no name stands for what was not stored, and nobody waits for it in vain."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from referral_service.store import tables
from tests.shapes import ADULT_BORN, Caller, Resource, bundle, entry, ledger_of, patient, referral, rules

CHILD = {"subject": {"reference": "Patient/p1"}}


def names(caller: Caller) -> list[str]:
    """Every name of the sender's own that leads to something here."""
    with caller.site.store.reading() as connection:
        return sorted(connection.execute(select(tables.address.c.name)).scalars())


def _put_stale(caller: Caller) -> int:
    return caller.put("Patient/p1", patient(id="p1"), If_Match='W/"1"').status_code


def _put_broken(caller: Caller) -> int:
    return caller.put("Patient/p1", patient("yesterday", id="p1")).status_code


def _put_stale_entry(caller: Caller) -> int:
    answer = caller.post("", bundle(_stale_entry(), kind="batch"))
    return int(answer.get_json(force=True)["entry"][0]["response"]["status"][:3])


def _put_stale_transaction(caller: Caller) -> int:
    return caller.post("", bundle(_stale_entry())).status_code


def _patch_entry(caller: Caller) -> int:
    answer = caller.post("", bundle(entry(patient(id="p1"), method="PATCH", url="Patient/p1"), kind="batch"))
    return int(answer.get_json(force=True)["entry"][0]["response"]["status"][:3])


def _stale_entry() -> Resource:
    one = entry(patient(id="p1"), "http://ehr.example/Patient/p1", "PUT", "Patient/p1")
    one["request"]["ifMatch"] = 'W/"1"'
    return one


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        (_put_stale, 412),
        (_put_broken, 400),
        (_put_stale_entry, 412),
        (_put_stale_transaction, 412),
        (_patch_entry, 405),
    ],
)
def test_a_refused_patient_leaves_no_name_and_the_referral_is_decided_when_the_patient_comes(
    caller: Caller, refused: Callable[[Caller], int], status: int
) -> None:
    waiting = caller.create(referral("W-1", **CHILD)).get_json(force=True)["id"]
    assert (refused(caller), names(caller)) == (status, [])
    later = caller.create(referral("W-2", **CHILD)).get_json(force=True)["id"]
    assert [caller.queue_of(one) for one in (waiting, later)] == ["intake-review"] * 2
    assert caller.put("Patient/p1", patient(ADULT_BORN, id="p1")).status_code == 201
    assert [caller.queue_of(one) for one in (waiting, later)] == ["adult-movement-disorders"] * 2


def test_a_referral_that_leads_to_a_refused_entry_of_its_batch_is_refused_with_it(caller: Caller) -> None:
    about = {"subject": {"reference": "http://ehr.example/Patient/p1"}}
    other = entry(referral("N-2"))
    answer = caller.post("", bundle(_stale_entry(), entry(referral("N-1", **about)), other, kind="batch"))
    told = [one["response"] for one in answer.get_json(force=True)["entry"]]
    assert [one["status"] for one in told] == ["412 Precondition Failed", "400 Bad Request", "201 Created"]
    assert rules(told[1]["outcome"]) == [("stale-version", "Bundle.entry[0].request.ifMatch")]
    assert (caller.sums(), names(caller)) == (ledger_of(refused=1, routed=1), [])


def test_a_refused_change_of_a_referral_gives_it_no_further_name(caller: Caller) -> None:
    caller.post("", bundle(entry(referral(id="s1"), method="PUT", url="ServiceRequest/s1")))
    assert names(caller) == ["ServiceRequest/s1"]
    refused = entry(referral(doNotPerform=True), "http://ehr.example/ServiceRequest/9", "PUT", "ServiceRequest/s1")
    answer = caller.post("", bundle(refused, kind="batch")).get_json(force=True)
    assert [one["response"]["status"] for one in answer["entry"]] == ["422 Unprocessable Entity"]
    assert names(caller) == ["ServiceRequest/s1"]
