"""A decision is made again from what is stored, byte for byte; another policy shows what it would change."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from referral_service.cli import main
from referral_service.intake import Site
from referral_service.replay import Replayed, lines, replay
from tests.shapes import Caller, patient, referral
from tests.web.conftest import caller

__all__ = ["caller"]

SEVENTEEN = "2009-03-01"


@pytest.fixture
def stored(caller: Caller) -> dict[str, str]:
    """Number -> our id of one referral of each kind."""
    sent = {
        "letter": referral("1", "FH: father has dystonia\nImp: ?cervical dystonia, not a tic. Now: blepharospasm too"),
        "young": referral("2", "Dystonia", contained=[patient(SEVENTEEN, id="p")], subject={"reference": "#p"}),
        "cramp": referral("3", "Writer's cramp"),
        "red": referral("4", "Status dystonicus", priority="urgent"),
        "unknown": referral("5", "Essential tremor", subject={"reference": "Patient/nobody"}),
        "coded": referral("6", "", reasonCode=[{"coding": [{"system": "http://snomed.info/sct", "code": "15802004"}]}]),
    }
    return {name: caller.create(one).json["id"] for name, one in sent.items()}


def test_the_same_policy_and_version_decide_the_same_byte_for_byte(site: Site, stored: dict[str, str]) -> None:
    found = list(replay(site.store, site.policy))
    assert sorted(one.referral_id for one in found) == sorted(stored.values())
    assert all(one == Replayed(one.referral_id, {}, is_same=True, by_hand=False) for one in found)
    assert list(lines(found)) == ["6 referrals: 0 would be decided otherwise, 6 come out byte for byte."]


def test_another_policy_shows_what_it_would_move_and_recode(site: Site, stored: dict[str, str], caller: Caller) -> None:
    task = caller.task_of(stored["young"])
    adult = {"reference": "HealthcareService/adult-movement-disorders"}
    caller.move(task, owner=adult, note=[*task.get("note", []), {"text": "nearly grown up"}])
    contestable = {**site.policy.contestable, "writers-cramp": "F48.8"}
    other = replace(site.policy, version="next", adult_from=16, contestable=contestable)
    changed = {one.referral_id: one for one in replay(site.store, other) if one.changes}
    young, cramp = changed[stored["young"]], changed[stored["cramp"]]
    assert set(changed) == {stored["young"], stored["cramp"]}
    assert young.changes["queue"] == ("pediatric-neuromotor", "adult-movement-disorders")
    assert (young.by_hand, young.is_same, cramp.by_hand) == (True, False, False)
    assert cramp.changes == {
        "disposition": ("routed", "review"),
        "queue": ("adult-movement-disorders", "intake-review"),
        "icd10cm": ("G24.8", None),
        "certainty": ("confirmed", None),
        "flags": (["code-contestable"], ["indication-undetermined"]),
    }
    told = next(lines([young]))
    assert told.startswith(f"{stored['young']}  queue pediatric-neuromotor -> adult-movement-disorders")
    assert told.endswith("  (decided by hand: stays)")


def test_the_command_replays_a_policy_file(site: Site, stored: dict[str, str], tmp_path: Path) -> None:
    shipped = (Path(__file__).parent.parent / "referral_service" / "policy.toml").read_text("utf-8")
    file = tmp_path / "next.toml"
    file.write_text(shipped.replace("adult_from = 18", "adult_from = 16"), "utf-8")
    url = site.store.engine.url.render_as_string(hide_password=False)
    answer = CliRunner().invoke(main, ["replay", "--policy", str(file), "--json"], env={"REFERRAL_DATABASE_URL": url})
    assert answer.exit_code == 0, answer.output
    assert [json.loads(line)["referral"] for line in answer.output.splitlines()] == [stored["young"]]
