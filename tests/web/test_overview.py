"""The overview for leads, and every list as a file."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from referral_service.intake import Site
from referral_service.store import tables
from referral_service.web import exporting, frame, http, overview
from referral_service.web.exporting import csv_lines, harmless
from referral_service.web.present import charts
from referral_service.web.present.overview import percentile, weeks
from referral_service.web.present.words import Now
from referral_service.worklist import FINAL
from tests.web.test_pages import WICKED, named, page, patient, read, referral, said, send

MONDAY = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
CHILD = "2019-09-14"


@pytest.fixture(autouse=True)
def monday_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "clock", lambda: MONDAY)
    monkeypatch.setattr(http, "now", lambda: MONDAY)


def rows(app_client: FlaskClient, path: str) -> list[list[str]]:
    with app_client.get(path) as response:
        assert (response.status_code, response.mimetype) == (200, "text/csv")
        return list(csv.reader(io.StringIO(response.text.removeprefix("\ufeff"))))


def table(app_client: FlaskClient, key: str, query: str = "") -> list[list[str]]:
    return rows(app_client, f"/overview/{key}.csv{query}")[1:]


def decide(site: Site, at: datetime, *, status: str = "accepted") -> None:
    """What a person's decision on every Task leaves behind."""
    with site.store.writing() as connection:
        for task in connection.execute(tables.task.select()).mappings().all():
            change = {"task_id": task["id"], "client": task["client"], "actor": "kim", "queue": task["queue"]}
            change |= {"actor_name": "Kim Rota", "action": status}
            instant = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            written = {"version": task["version"] + 1, "step": 1, "at": instant, "status": status}
            connection.execute(tables.status_change.insert().values(**change, **written))
        where = {"status": status, "closed": int(status in FINAL)}
        connection.execute(tables.task.update().values(version=tables.task.c.version + 1, **where))


def test_who_is_waiting_by_queue_and_code(site: Site, app_client: FlaskClient) -> None:
    send(site, referral(), 10 * DAY)
    send(site, referral(), 1 * DAY)
    send(site, referral("Writer's cramp"), 1 * DAY)
    send(site, referral("Acute dystonic reaction after metoclopramide", patient(CHILD)))
    send(site, referral("Tremor of both hands, no dystonia"))
    assert table(app_client, "waiting") == [
        ["Adult movement disorders", "G24.3", "Spasmodic torticollis", "2", "1", "0", "240"],
        ["Adult movement disorders", "G24.8", "Other dystonia", "1", "0", "0", "24"],
        ["Pediatric neuromotor", "G24.02", "Drug induced acute dystonia", "1", "0", "1", "0"],
        ["Intake review", "none yet", "", "1", "0", "0", "0"],
    ]


def test_those_whose_task_is_final_wait_no_longer(site: Site, app_client: FlaskClient) -> None:
    send(site, referral(), DAY)
    decide(site, MONDAY, status="rejected")
    assert table(app_client, "waiting") == []
    assert "Nobody is waiting." in said(page(app_client, "/overview"))


def test_arrivals_and_decisions_fall_into_weeks_that_begin_on_the_sites_monday(
    site: Site, app_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at(moment: datetime) -> timedelta:
        return MONDAY - moment

    monkeypatch.setattr(frame, "clock", lambda: datetime(2026, 4, 6, 12, tzinfo=UTC))
    send(site, referral(), at(datetime(2026, 4, 5, 22, 59, tzinfo=UTC)))
    send(site, referral("Tremor, no dystonia"), at(datetime(2026, 4, 5, 23, 0, tzinfo=UTC)))
    send(site, referral("Right knee pain"), at(datetime(2026, 3, 30, 0, 0, tzinfo=UTC)))
    send(site, b"{", at(datetime(2026, 3, 8, 12, tzinfo=UTC)))
    decide(site, datetime(2026, 4, 5, 22, 59, tzinfo=UTC))
    assert table(app_client, "weeks", "?weeks=4") == [
        ["2026-03-16", "0", "0", "0", "0"],
        ["2026-03-23", "0", "0", "0", "0"],
        ["2026-03-30", "2", "0", "1", "2"],
        ["2026-04-06", "1", "1", "0", "0"],
    ]


def test_a_decision_is_counted_once_however_often_the_task_moves_on(site: Site, app_client: FlaskClient) -> None:
    send(site, referral(), 9 * DAY)
    decide(site, MONDAY - 8 * DAY)
    decide(site, MONDAY, status="in-progress")
    assert [row[4] for row in table(app_client, "weeks", "?weeks=4")] == ["0", "1", "0", "0"]
    assert [row[4:] for row in table(app_client, "waits")] == [["1", "24", "24"], ["0", "", ""], ["0", "", ""]]


def test_how_long_they_wait_is_told_by_median_and_nine_of_ten(site: Site, app_client: FlaskClient) -> None:
    for days in range(1, 11):
        send(site, referral(subject=named(f"N{days}")), days * DAY)
    (adult, *_) = table(app_client, "waits")
    assert adult == ["Adult movement disorders", "10", str(5 * 24), str(9 * 24), "0", "", ""]
    assert "Adult movement disorders 10 5 days 9 days 0 - -" in said(page(app_client, "/overview"))


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [([], 0.5, None), ([7], 0.9, 7), ([1, 2, 3, 4], 0.5, 2), ([1, 2, 3], 0.5, 2), (list(range(1, 12)), 0.9, 10)],
)
def test_a_percentile_is_the_nearest_rank(values: list[int], share: float, found: int | None) -> None:
    assert percentile(Counter(values), share) == found


def test_what_was_held_is_told_with_every_reason_also_once_it_was_routed_by_hand(
    site: Site, app_client: FlaskClient
) -> None:
    send(site, referral("Tremor, no dystonia", patient(None)))
    send(site, referral(subject=patient(deceasedBoolean=True)))
    send(site, referral())
    send(site, referral("Right knee pain"))
    with site.store.writing() as connection:
        connection.execute(tables.ledger.update().where(tables.ledger.c.state == "review").values(state="routed"))
    assert table(app_client, "held") == [
        ["Held for review", "2", "0.5"],
        ["Age unsure", "1", "0.25"],
        ["Indication unsure", "1", "0.25"],
        ["Patient deceased", "1", "0.25"],
    ]


def test_what_was_taken_in_by_hand_counts_as_held(site: Site, app_client: FlaskClient) -> None:
    send(site, referral("Right knee pain"))
    with site.store.reading() as connection:
        received_id = connection.execute(tables.ledger.select()).mappings().one()["received_id"]
    path = f"/not-taken/{received_id}/0/take-in"
    app_client.post(path, data={"reason": "Phoned"}, headers={"Sec-Fetch-Site": "same-origin"})
    assert table(app_client, "held") == [["Held for review", "1", "1.0"], ["Taken in by hand", "1", "1.0"]]
    assert table(app_client, "faults") == [["north", "rejected", "Not dystonia", "1"]]


def test_senders_are_told_apart_by_what_they_leave_out(site: Site, app_client: FlaskClient) -> None:
    nameless = referral()
    del nameless["requester"]
    send(site, nameless, client="north")
    send(site, referral(), client="north")
    send(site, b"{", client="north")
    send(site, referral(identifier=[{"value": "S-1"}]), client="south")
    headings, north, south = rows(app_client, "/overview/quality.csv")
    assert dict(zip(headings, north, strict=True)) == {
        "Sender": "north",
        "Received": "3",
        "Not taken": "1",
        "No contact (share)": "1.0",
        "No family history (share)": "1.0",
        "No medicines (share)": "1.0",
        "No onset (share)": "1.0",
        "No placer identifier (share)": "1.0",
        "No requester (share)": "0.5",
    }
    assert south[0:3] + south[-2:] == ["south", "1", "0", "0.0", "0.0"]
    assert table(app_client, "faults") == [["north", "refused", "Not JSON", "1"]]


def test_what_lies_before_the_weeks_asked_for_is_not_counted(site: Site, app_client: FlaskClient) -> None:
    send(site, referral(), 30 * DAY)
    counted = [table(app_client, "quality", f"?weeks={span}") for span in (4, 13)]
    assert [len(one) for one in counted] == [0, 1]


@pytest.mark.parametrize("path", ["/overview?weeks=5", "/overview?weeks=x", "/overview/waiting.csv?weeks=-1"])
def test_a_span_that_is_none_is_told_in_words(app_client: FlaskClient, path: str) -> None:
    assert app_client.get(path).status_code == 400


@pytest.mark.parametrize("path", ["/overview/patients.csv", "/worklist.csv?queue=nowhere"])
def test_a_file_that_is_none_is_told_in_words(app_client: FlaskClient, path: str) -> None:
    assert app_client.get(path).status_code == 404


def test_an_empty_service_has_an_overview(app_client: FlaskClient) -> None:
    text = said(page(app_client, "/overview"))
    assert "Waiting 0 Overdue 0 With a red flag 0 Received 0 in 13 weeks Held for review none" in text


# Drawn


def test_every_number_of_the_chart_stands_in_the_table_below_it(site: Site, app_client: FlaskClient) -> None:
    for days in (0, 0, 7, 21):
        send(site, referral(subject=named(f"N{days}")), days * DAY)
    html = page(app_client, "/overview")
    bars = [one for tag, one in read(html).tags if tag == "rect" and one["class"] == "series-0"]
    assert [round(float(str(one["height"])) / 90) for one in bars] == [1, 1, 2]
    section = re.findall(r'aria-labelledby="weeks">(.*?)</section>', html, re.S)[0]
    assert "23 Feb 2026 1 0 0 0 2 Mar 2026 0 0 0 0 9 Mar 2026 1 0 0 0 16 Mar 2026 2 0 0 0" in said(section)


def test_bars_are_as_long_as_their_share_of_the_longest(site: Site, app_client: FlaskClient) -> None:
    for number in range(4):
        send(site, referral(subject=named(f"N{number}")))
    send(site, referral("Writer's cramp"))
    section = re.findall(r'aria-labelledby="waiting">(.*?)</section>', page(app_client, "/overview"), re.S)[0]
    assert re.findall(r'class="measure-fill" width="([^"]*)"', section) == ["100.0", "25.0"]


def test_charts_need_no_script_and_no_inline_style(site: Site, app_client: FlaskClient) -> None:
    send(site, referral("Right knee pain"), client=WICKED)
    send(site, referral(), client=WICKED)
    reader = read(page(app_client, "/overview"))
    assert {tag for tag, _ in reader.tags} & {"script", "style", "img", "foreignobject"} == set()
    assert not any(name == "style" or name.startswith("on") for _, one in reader.tags for name in one)
    assert WICKED in "".join(reader.words)


@pytest.mark.parametrize(
    ("most", "top"), [(0, 2), (2, 2), (3, 4), (7, 10), (10, 10), (11, 20), (60, 60), (61, 100), (101, 200)]
)
def test_a_scale_ends_at_a_number_whose_half_is_whole(most: int, top: int) -> None:
    assert charts.ceiling(most) == top


@pytest.mark.parametrize("number", [4, 13, 26, 52])
def test_weeks_are_labelled_from_the_last_and_never_crowd(number: int, site: Site) -> None:
    mondays = [monday.isoformat() for monday in weeks(Now(MONDAY, site.policy.zone), number)]
    drawn = charts.columns(mondays, [1] * number, [2] * number)
    assert len(drawn.bars) == 2 * number
    assert (len(drawn.weeks) <= 13, drawn.weeks[-1].label) == (True, "16 Mar")
    assert max(bar.x + bar.width for bar in drawn.bars) <= drawn.width


# Files


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+44 1632 960001", "'+44 1632 960001"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("  =1", "'  =1"),
        ("G24.3", "G24.3"),
        ("a=b", "a=b"),
        ("", ""),
        (-1, -1),
        (None, None),
    ],
)
def test_no_cell_begins_a_formula(cell: Any, written: Any) -> None:
    assert harmless(cell) == written


def test_cells_keep_commas_quotes_and_lines() -> None:
    given = [["a,b", 'say "x"', "two\nlines", 7, None]]
    text = "".join(csv_lines(given))
    assert text.startswith("\ufeff")
    assert list(csv.reader(io.StringIO(text[1:]))) == [["a,b", 'say "x"', "two\nlines", "7", ""]]


def test_a_file_of_a_queue_has_everyone_in_the_order_of_the_page(
    site: Site, app_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "_BATCH", 2)
    for number in range(5):
        send(site, referral(subject=named(f"N{number}")), timedelta(hours=9 - number))
    send(site, referral("Acute dystonic reaction after metoclopramide", named("=cmd|' /C calc'!A0")))
    headings, *lines = rows(app_client, "/worklist.csv?queue=adult-movement-disorders")
    listed = [dict(zip(headings, line, strict=True)) for line in lines]
    assert [one["patient"] for one in listed] == ["'=cmd|' /C calc'!A0", "N0", "N1", "N2", "N3", "N4"]
    assert {name: listed[0][name] for name in headings if name != "referral"} == {
        "priority": "urgent",
        "red flag": "yes",
        "status": "New",
        "patient": "'=cmd|' /C calc'!A0",
        "age": "54 years, born 13 Jun 1971",
        "code": "G24.02",
        "indication": "Drug induced acute dystonia",
        "suspected": "no",
        "flags": "Red flag",
        "received": "2026-03-16T12:00:00+00:00",
        "waited": "just now",
        "due": "2026-03-18",
        "overdue": "no",
        "assignee": "",
        "requester": "Dr Petra Sparrow",
        "sender": "north",
    }


def test_a_file_of_what_was_not_taken_is_narrowed_like_the_page(
    site: Site, app_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("referral_service.web.not_taken._BATCH", 2)
    for number in range(5):
        send(site, referral("Right knee pain"), timedelta(hours=number), f"=knee-{number}")
    send(site, b"{", request_id="r-broken")
    headings, *lines = rows(app_client, "/not-taken?as=csv&state=rejected")
    assert headings == list(exporting.NOT_TAKEN)
    assert [line[5] for line in lines] == [f"'=knee-{number}" for number in range(5)]
    why = "Every reason given is something other than dystonia or its neighbours."
    assert lines[0] == [
        *("Rejected", "no", "2026-03-16T12:00:00+00:00", "north", "", "'=knee-0", "not-dystonia", why, "")
    ]


def test_a_file_of_a_search_has_what_the_search_found(site: Site, app_client: FlaskClient) -> None:
    send(site, referral("Right knee pain"), request_id="r-knee")
    send(site, referral("Sore throat"), request_id="r-throat")
    form = {"words": "knee", "as": "csv"}
    with app_client.post("/not-taken", data=form, headers={"Sec-Fetch-Site": "same-origin"}) as response:
        found = list(csv.reader(io.StringIO(response.text)))
        assert (response.mimetype, [line[5] for line in found[1:]]) == ("text/csv", ["r-knee"])


def test_a_file_is_sent_while_it_is_read(site: Site, app_client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "_BATCH", 1)
    read_pages: list[str] = []
    real: Callable[..., Any] = overview.listing.page

    def counting(*arguments: Any) -> Any:
        read_pages.append(str(arguments[1]))
        return real(*arguments)

    monkeypatch.setattr(overview.listing, "page", counting)
    for number in range(4):
        send(site, referral(subject=named(f"N{number}")), timedelta(hours=9 - number))
    with app_client.get("/worklist.csv?queue=adult-movement-disorders", buffered=False) as response:
        parts = iter(response.response)
        first = [next(parts), next(parts), next(parts)]
        assert (len(read_pages), "N0" in "".join(map(str, first))) == (1, True)


def test_a_decision_before_the_weeks_asked_for_is_not_counted(site: Site, app_client: FlaskClient) -> None:
    send(site, referral(), 70 * DAY)
    decide(site, MONDAY - 60 * DAY)
    counted = [table(app_client, "waits", f"?weeks={span}")[0][4] for span in (4, 13)]
    assert counted == ["0", "1"]


def test_the_machines_choice_stands_against_what_a_coordinator_made_of_it(site: Site, app_client: FlaskClient) -> None:
    for number in range(2):
        send(site, referral(subject=named(f"N{number}")), DAY, client="local")
    for task in app_client.get("/fhir/Task?_sort=authored-on").get_json(force=True)["entry"]:
        _correct(site, task["resource"]["id"], [("code", "G24.3", "G24.8"), ("code", "G24.8", "G24.4")])
    _correct(site, task["resource"]["id"], [("queue", "adult-movement-disorders", "pediatric-neuromotor")])
    _correct(site, task["resource"]["id"], [("birth-date", "1971-06-13", "2019-09-14")])
    assert table(app_client, "corrections") == [
        ["Code", "G24.3", "G24.4", "2"],
        ["Queue", "Adult movement disorders", "Pediatric neuromotor", "1"],
    ]
    assert table(app_client, "corrections", "?weeks=4") == table(app_client, "corrections")


def _correct(site: Site, task_id: str, steps: list[tuple[str, str, str]]) -> None:
    with site.store.writing() as connection:
        referral_id = connection.execute(tables.task.select().where(tables.task.c.id == task_id)).one().referral_id
        for version, (kind, before, value) in enumerate(steps, 2):
            who = {"client": "local", "actor": "kim", "actor_name": "Kim Rota", "reason": "Seen by telephone"}
            row = {"task_id": task_id, "version": version, "kind": kind, "referral_id": referral_id, **who}
            connection.execute(
                tables.correction.insert().values(at="2026-03-16T09:00:00.000Z", before=before, value=value, **row)
            )
