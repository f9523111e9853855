"""The worklist's list: its orders, filters and search, what its addresses may say, and how it refreshes itself."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, select

from referral_service.app import application, site_of
from referral_service.intake import Incoming, Site, receive_supporting
from referral_service.policy import load_policy
from referral_service.store import tables
from referral_service.store.engine import open_store
from referral_service.store.migrations import upgrade
from referral_service.web import frame, worklist
from tests.web.test_pages import MONDAY, PLACER, lines, named, names, page, patient, read, referral, said, send

DAY = timedelta(days=1)
SIOBHAN = "Siobhán O\u2019Brién"
RED = "Acute dystonic reaction after metoclopramide"


@pytest.fixture(autouse=True)
def monday_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "clock", lambda: MONDAY)


def change(site: Site, name: str, **columns: Any) -> None:
    """Puts the Task of the patient of a family name into another state, as a move would."""
    task, token = tables.task, tables.token
    owners = select(token.c.owner).where(token.c.param == "_word", token.c.value == name.lower())
    with site.store.writing() as connection:
        connection.execute(task.update().where(task.c.patient_id.in_(owners)).values(**columns))


@pytest.fixture
def week(site: Site) -> None:
    """Five who wait in three queues."""
    send(site, referral(subject=named("Adams", birth_date="1950-01-01")), 5 * DAY)
    send(site, referral("?Blepharospasm", named("Brook", birth_date="2000-06-01"), priority="urgent"), 4 * DAY)
    send(site, referral(RED, named("Child", birth_date="2019-09-14"), requester={"display": "Dr Other"}), 3 * DAY)
    send(site, referral("Tremor of both hands, no dystonia", named("Doubt", birth_date="1980-01-01")), 2 * DAY)
    send(site, referral(subject=named("Early", birth_date=None)), 10 * DAY)


@pytest.mark.usefixtures("week")
@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("urgency", "Child Brook Early Adams Doubt"),
        ("-urgency", "Doubt Adams Early Brook Child"),
        ("waiting", "Early Adams Brook Child Doubt"),
        ("-waiting", "Doubt Child Brook Adams Early"),
        ("due", "Early Brook Child Adams Doubt"),
        ("-due", "Doubt Adams Child Brook Early"),
        ("age", "Early Adams Doubt Brook Child"),
        ("-age", "Child Brook Doubt Adams Early"),
        ("changed", "Early Adams Brook Child Doubt"),
        ("-changed", "Doubt Child Brook Adams Early"),
    ],
)
def test_a_list_is_sorted_both_ways_by(app_client: FlaskClient, sort: str, order: str) -> None:
    assert " ".join(names(page(app_client, f"/?queue=all&sort={sort}"))) == order


@pytest.mark.usefixtures("week")
@pytest.mark.parametrize(
    "sort", ["urgency", "-urgency", "waiting", "-waiting", "due", "-due", "age", "-age", "-changed"]
)
@pytest.mark.parametrize("narrowed", ["", "&due=overdue"])
def test_pages_of_one_row_are_the_list_cut_up(
    app_client: FlaskClient, monkeypatch: pytest.MonkeyPatch, sort: str, narrowed: str
) -> None:
    path = f"/?queue=all&sort={sort}{narrowed}"
    whole = names(page(app_client, path))
    monkeypatch.setattr(worklist, "PAGE", 1)
    found: list[str] = []
    while path:
        html = page(app_client, path)
        found += names(html)
        following = re.findall(r'rel="next" href="([^"]*)"', html)
        path = following[0].replace("&amp;", "&") if following else ""
        assert [born for born in ("1950-01-01", "2000-06-01", "2019-09-14", "1980-01-01") if born in path] == []
    assert found == whole


@pytest.mark.usefixtures("week")
@pytest.mark.parametrize(
    ("filters", "passing"),
    [
        ("priority=urgent", "Child Brook"),
        ("flag=red-flag", "Child"),
        ("flag=indication-undetermined", "Doubt"),
        ("code=G24.3", "Early Adams"),
        ("code=none", "Doubt"),
        ("age=6-12", "Child"),
        ("age=18-29", "Brook"),
        ("age=60-", "Adams"),
        ("age=unknown", "Early"),
        ("due=overdue", "Early"),
        ("due=soon", "Child Brook"),
        ("status=requested", "Child Brook Early Adams Doubt"),
        ("status=accepted", ""),
        ("assignee=nobody", "Child Brook Early Adams Doubt"),
        ("received-from=2026-03-12&received-to=2026-03-13", "Child Brook"),
        ("age=60-&code=G24.5", ""),
        ("received-to=2026-03-06&code=G24.3", "Early"),
    ],
)
def test_a_list_is_narrowed_by(app_client: FlaskClient, filters: str, passing: str) -> None:
    html = page(app_client, f"/?queue=all&{filters}")
    assert " ".join(names(html)) == passing
    assert (f"{len(passing.split())} found" in said(html)) is bool(passing)
    assert ("Nothing passes these filters" in html) is not bool(passing)


def test_bands_of_age_follow_the_day_of_the_birthday(site: Site, app_client: FlaskClient) -> None:
    send(site, referral(subject=named("Today", birth_date="2008-03-16")))
    send(site, referral(subject=named("Tomorrow", birth_date="2008-03-17")))
    send(site, referral(subject=named("Month", birth_date="2008-03")))
    send(site, referral(subject=named("April", birth_date="2008-04")))
    send(site, referral(subject=named("Year", birth_date="2008")))
    found = {band: sorted(names(page(app_client, f"/?queue=all&age={band}"))) for band in ("13-17", "18-29")}
    assert found == {"13-17": ["April", "Month", "Tomorrow", "Year"], "18-29": ["Month", "Today", "Year"]}


@pytest.mark.usefixtures("week")
def test_a_list_is_narrowed_to_an_assignee_a_sender_a_progress(site: Site, app_client: FlaskClient) -> None:
    change(site, "Adams", assignee="Kim Rota")
    change(site, "Brook", assignee="Local user", business_status="awaiting-information")
    menus = dict(re.findall(r'<option value="(\w+)">(Kim Rota|Dr Other)<', page(app_client, "/?queue=all")))
    kim, other = (next(code for code, name in menus.items() if name == wanted) for wanted in ("Kim Rota", "Dr Other"))
    found = [
        names(page(app_client, f"/?queue=all&{filters}"))
        for filters in (f"assignee={kim}", "assignee=mine", f"sender={other}", "business-status=awaiting-information")
    ]
    assert found == [["Adams"], ["Brook"], ["Child"], ["Brook"]]
    assert names(page(app_client, "/?queue=all&assignee=0123456789ab")) == []
    assert "a sender not known here" in page(app_client, "/?queue=all&sender=0123456789ab")


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/?queue=all&status=lost", 400),
        ("/?queue=all&status=completed", 400),
        ("/?queue=all&priority=now", 400),
        ("/?queue=all&flag=blue", 400),
        ("/?queue=all&code=G99", 400),
        ("/?queue=all&age=7", 400),
        ("/?queue=all&sender=Dr%20Other", 400),
        ("/?queue=all&due=never", 400),
        ("/?queue=all&received-from=2026-02-30", 400),
        ("/?queue=all&sort=name", 400),
        ("/?queue=all&colour=red", 400),
        ("/?queue=all&sort=due&after=x", 400),
        ("/?queue=all&after=x~2026~y", 400),
        ("/refresh?queue=all&since=yesterday&red=0", 400),
        ("/?queue=everything", 404),
    ],
)
def test_an_address_that_asks_for_what_there_is_not_says_so_on_a_page(
    app_client: FlaskClient, address: str, status: int
) -> None:
    answer = app_client.get(address)
    assert (answer.status_code, "That did not work" in answer.text) == (status, True)


def test_a_closed_referral_moves_to_its_own_list_and_says_how_it_ended(site: Site, app_client: FlaskClient) -> None:
    body = referral(identifier=[{"type": PLACER, "value": "N-1"}])
    send(site, body, 2 * DAY)
    send(site, body | {"status": "revoked"})
    assert names(page(app_client, "/?queue=all")) == []
    (line,) = lines(page(app_client, "/?queue=closed"))
    assert "just now 16 Mar 2026, 12:00 Cancelled Dr Petra Sparrow" in line


# Search


def find(app_client: FlaskClient, text: str, path: str = "/?queue=all", **body: str) -> list[str]:
    answer = app_client.post(path, data={"text": text, **body})
    assert answer.status_code == 200
    return names(answer.text)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("o'bri", [SIOBHAN]),
        ("OBRIEN siob", [SIOBHAN]),
        ("brién", []),
        ("siobhan adams", []),
        ("999 000 0001", [SIOBHAN]),
        ("999-000", [SIOBHAN]),
        ("n 1", [SIOBHAN]),
        ("%", ["Ada Adams", SIOBHAN]),
        ("_", ["Ada Adams", SIOBHAN]),
    ],
)
def test_somebody_is_found_by_the_beginnings_of_a_name_or_by_an_identifier(
    site: Site, app_client: FlaskClient, typed: str, found: list[str]
) -> None:
    number = {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000001"}
    siobhan = patient(name=[{"text": SIOBHAN}], identifier=[number])
    send(site, referral(subject=siobhan, identifier=[{"type": PLACER, "value": "N-1"}]))
    send(site, referral(subject=patient(name=[{"family": "Adams", "given": ["Ada"]}])), DAY)
    assert find(app_client, typed) == found


def test_a_patient_known_only_by_what_the_sender_calls_the_subject_is_found(
    site: Site, app_client: FlaskClient
) -> None:
    body = referral() | {"subject": {"reference": "Patient/elsewhere", "display": "Zuri Makebelieve"}}
    del body["contained"]
    send(site, body)
    assert find(app_client, "makeb") == ["Zuri Makebelieve"]


def test_what_was_entered_in_error_is_found_by_nothing_of_the_patient(site: Site, app_client: FlaskClient) -> None:
    body = referral(identifier=[{"type": PLACER, "value": "N-1"}])
    send(site, body)
    send(site, body | {"status": "entered-in-error"})
    assert find(app_client, "vellum", "/?queue=closed") == []
    assert names(page(app_client, "/?queue=closed&age=30-59")) == []
    assert names(page(app_client, "/?queue=closed")) == ["Entered in error"]


def test_pages_of_a_search_are_asked_for_by_forms(
    site: Site, app_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worklist, "PAGE", 2)
    for number in range(3):
        send(site, referral(subject=named(f"Vellum{number}")), timedelta(hours=9 - number))
    html = app_client.post("/?queue=all&sort=age", data={"text": "vell"}).text
    assert "3 found, 2 on this page." in said(html)
    assert not re.search(r'(?:href|action|hx-post)="[^"]*vell', html, re.I)
    (after,) = re.findall(r'name="after" value="([^"]*)"', html)
    first, second = names(html), find(app_client, "vell", "/?queue=all&sort=age", after=after)
    assert sorted([*first, *second]) == ["Vellum0", "Vellum1", "Vellum2"]


def test_an_empty_search_is_the_list_again_and_an_endless_one_is_refused(app_client: FlaskClient) -> None:
    answer = app_client.post("/?queue=all&sort=due", data={"text": "  "})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?queue=all&sort=due")
    assert app_client.post("/?queue=all", data={"text": "x" * 101}).status_code == 400


def test_a_birth_date_that_is_corrected_later_moves_the_referral_to_its_band(
    site: Site, app_client: FlaskClient
) -> None:
    send(site, referral(subject=patient("1971-06-13", identifier=[{"system": "urn:x", "value": "7"}])))
    with site.store.reading() as connection:
        (identity,) = connection.execute(select(tables.task.c.patient_id)).scalars()
    corrected = {"resourceType": "Patient", "id": identity, "birthDate": "1951-06-13", "name": [{"family": "Vellum"}]}
    incoming = Incoming("north", "update", "r-2", json.dumps(corrected).encode(), MONDAY, put_to=f"Patient/{identity}")
    receive_supporting(site, incoming, "Patient")
    assert names(page(app_client, "/?queue=all&age=60-")) == ["Vellum"]
    assert find(app_client, "ada") == []


# Refreshing


def poll(html: str) -> tuple[str, str]:
    """Where a page looks for news, and by which ETag."""
    (attributes,) = (own for tag, own in read(html).tags if own.get("id") == "worklist")
    return str(attributes["hx-get"]), str(attributes["data-etag"])


def test_an_unchanged_list_answers_304_and_a_changed_one_with_what_is_new(site: Site, app_client: FlaskClient) -> None:
    send(site, referral(), 3 * DAY)
    address, etag = poll(page(app_client, "/?queue=all"))
    unchanged = app_client.get(address, headers={"If-None-Match": etag})
    send(site, referral(RED, named("Flagged")))
    changed = app_client.get(address, headers={"If-None-Match": etag})
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    assert (changed.status_code, names(changed.text)) == (200, ["Flagged", "Ada Vellum"])
    assert 'data-count="1" data-urgent>12:00: Red flag: 1 new referral in Adult movement disorders.<' in changed.text
    assert changed.headers["ETag"] != etag


def test_two_changes_in_the_same_millisecond_change_the_etag_twice(site: Site, app_client: FlaskClient) -> None:
    send(site, referral(), 3 * DAY)
    seen = [poll(page(app_client, "/?queue=all"))[1]]
    for version in (2, 3):
        change(site, "Vellum", version=version, last_updated="2026-03-16T12:00:00.000Z")
        seen.append(poll(page(app_client, "/?queue=all"))[1])
    assert len(set(seen)) == 3


def test_what_is_refused_meanwhile_is_counted_by_every_page_from_then_on(site: Site, app_client: FlaskClient) -> None:
    send(site, referral(), 3 * DAY)
    address, etag = poll(page(app_client, "/?queue=all"))
    send(site, b"{")
    changed = app_client.get(address, headers={"If-None-Match": etag})
    assert "Not taken 1" in said(changed.text)
    sums = "2 received = 1 routed + 0 held for review + 0 rejected + 1 refused"
    assert [sums in said(page(app_client, path)) for path in ("/?queue=all", "/not-taken")] == [True, True]


def test_what_stands_around_a_list_is_looked_up_once_until_something_changes(
    site: Site, app_client: FlaskClient
) -> None:
    send(site, referral(), 3 * DAY)
    said_to_database: list[str] = []
    event.listen(site.store.engine, "before_cursor_execute", lambda *given: said_to_database.append(given[2]))

    def looked_up() -> list[str]:
        said_to_database.clear()
        html = page(app_client, "/?queue=all")
        counted = ("FROM ledger GROUP BY", "GROUP BY task.queue", "DISTINCT task.sender", "DISTINCT task.assignee")
        asked = " ".join(" ".join(said_to_database).split())
        return [*(what for what in counted if what in asked), *re.findall("<option[^>]*>(Kim Rota|Dr Late)<", html)]

    first, second = looked_up(), looked_up()
    change(site, "Vellum", assignee="Kim Rota", version=2, last_updated="2026-03-16T12:00:00.000Z")
    third = looked_up()
    send(site, referral(requester={"display": "Dr Late"}))
    assert (len(first), second, len(third), third[4:], looked_up()[4:]) == (
        4,
        [],
        5,
        ["Kim Rota"],
        ["Kim Rota", "Dr Late"],
    )


def test_waits_that_read_otherwise_by_now_change_the_etag(
    site: Site, app_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(site, referral(), timedelta(minutes=5))

    def etag_after(time: timedelta) -> str:
        monkeypatch.setattr(frame, "clock", lambda: MONDAY + time)
        return poll(page(app_client, "/?queue=all"))[1]

    second, minute, hour = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
    times = (0 * second, 59 * second, minute, 3 * hour, 3 * hour + 59 * minute, 4 * hour, 5 * hour)
    etags = [etag_after(time) for time in times]
    assert [one == next_one for one, next_one in pairwise(etags)] == [
        *(True, False, False),
        *(True, False, False),
    ]


def test_a_list_found_by_text_is_refreshed_by_a_form_and_told_204_when_unchanged(
    site: Site, app_client: FlaskClient
) -> None:
    send(site, referral(), 3 * DAY)
    html = app_client.post("/?queue=all", data={"text": "vell"}).text
    (own,) = (attributes for _, attributes in read(html).tags if attributes.get("id") == "worklist")
    address, etag = str(own["hx-post"]), str(own["data-etag"])
    same = app_client.post(address, data={"text": "vell"}, headers={"If-None-Match": etag})
    again = app_client.post(address, data={"text": "vell"})
    assert (same.status_code, again.status_code, names(again.text)) == (204, 200, ["Ada Vellum"])


# What else a list shows


def test_rows_can_be_selected_only_where_something_can_be_done_with_them(site: Site, app_client: FlaskClient) -> None:
    send(site, referral())
    html = page(app_client, "/?queue=all")
    with site.store.reading() as connection:
        task = connection.execute(select(tables.task.c.id, tables.task.c.version)).one()
    tags = [
        (tag, own) for tag, own in read(html.split("<dialog")[0]).tags if tag in ("form", "input", "button", "table")
    ]
    form = next(place for place, (tag, own) in enumerate(tags) if own.get("id") == "bulk")
    boxes = [own for _, own in tags[form:] if own.get("type") == "checkbox"]
    assert [(box.get("name"), box.get("value"), box["aria-label"]) for box in boxes] == [
        (None, None, "Select all on this page"),
        ("task", f"{task.id}.{task.version}", "Select Ada Vellum"),
    ]
    assert tags[-2:] == [
        ("button", {"formaction": "/do/claim?queue=all"}),
        ("button", {"formaction": "/do/receive?queue=all"}),
    ]
    change(site, "Vellum", status="rejected", closed=1)
    assert "checkbox" not in page(app_client, "/?queue=closed").split("<dialog")[0]


def test_the_pages_spell_as_the_policy_asks(tmp_path: Path) -> None:
    shipped = (Path(worklist.__file__).parent.parent.parent / "policy.toml").read_text("utf-8")
    spelled = []
    for spelling in ("british", "american"):
        policy = tmp_path / f"{spelling}.toml"
        policy.write_text(shipped.replace('spelling = "british"', f'spelling = "{spelling}"'), "utf-8")
        store = open_store(f"sqlite:///{tmp_path / spelling}.db")
        upgrade(store)
        html = page(
            application(site_of(store, load_policy(policy), "http://localhost")).test_client(), "/?queue=closed"
        )
        spelled.append(re.findall(r"<option[^>]*>(Cancell?ed)<", html))
        store.close()
    assert spelled == [["Cancelled"], ["Canceled"]]


def test_a_red_flag_that_a_referral_gets_later_is_told_at_once(site: Site, app_client: FlaskClient) -> None:
    send(site, referral(subject=named("Later")), 3 * DAY)
    send(site, referral(subject=named("Other")), 3 * DAY)
    address, _ = poll(page(app_client, "/?queue=all"))
    change(site, "Later", red_flag=1, lane=3, version=2, last_updated="2026-03-16T12:00:00.000Z")
    assert "data-urgent>12:00: Red flag: 1 referral that was here before has one now.<" in app_client.get(address).text
