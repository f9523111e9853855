"""Why an indication is not a dystonia: a closed set, and words for each of it."""

from __future__ import annotations

import pytest

from referral_service.coding import Indication, Why, assess
from referral_service.decide import WHY_UNDETERMINED
from referral_service.fhir.terminology import vocabulary
from referral_service.policy import load_policy
from tests.coding.panel import facts_of


def test_every_why_has_its_words_and_no_others_stand_there() -> None:
    assert set(WHY_UNDETERMINED) == set(Why)
    assert len(set(WHY_UNDETERMINED.values())) == len(Why)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("reason=cervical dystonia", None),
        ("reason=no dystonia", Why.ONLY_NEGATED),
        ("reason=mother has dystonia", Why.ONLY_FAMILY),
        ("reason=previous dystonia, now resolved", Why.ONLY_HISTORICAL),
        ("reason=essential tremor", Why.ONLY_NEIGHBOUR),
        ("reason=head pulls to the left", Why.MOVEMENT_WITHOUT_DIAGNOSIS),
        ("reason=Verdacht auf Dystonie der linken Hand", Why.LANGUAGE_NOT_READ),
        ("reason=No fever, dystonia", Why.ASSERTION_UNCLEAR),
        ("reason=Dystonia is a common manifestation in Wilson's disease", Why.GENERAL_STATEMENT),
        ("reason=asthma || reason=flibbertigibbet", Why.OTHER_REASON_UNSURE),
        ("reason=please see and advise", Why.NO_READABLE_REASON),
        ("reason=asthma", Why.ELSEWHERE),
        ("reason=asthma || background=cervical dystonia", Why.BACKGROUND_BESIDE_OTHER_REASON),
    ],
)
def test_each_why_has_a_referral_that_it_fits(written: str, why: Why | None) -> None:
    got = assess(facts_of(written), vocabulary(), load_policy(), None)
    assert got.why is why
    assert (got.why is None) == (got.indication is Indication.DYSTONIA)
    assert (got.why is Why.ELSEWHERE) == (got.indication is Indication.ELSEWHERE)
