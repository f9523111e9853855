"""The forms of one referral: what is offered, what a press does, what is told when it cannot be done."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from referral_service.intake import Site
from referral_service.intake.moves import act
from referral_service.referral import Queue
from referral_service.store import tables
from referral_service.web import acting as module
from referral_service.web import bulk, frame
from referral_service.web.http import actor
from referral_service.web.present.acting import local_of, moment_of
from referral_service.worklist import Actor, Role
from tests.shapes import Caller
from tests.web.test_pages import (
    MONDAY,
    PLACER,
    WICKED,
    lines,
    named,
    names,
    page,
    patient,
    read,
    referral,
    said,
    sections,
    send,
)

OURS = {"Sec-Fetch-Site": "same-origin"}
KIM = Actor("kim", "Kim Rota", frozenset({Role.COORDINATOR}), frozenset(Queue))
MINUTE = timedelta(minutes=1)
NO_CHOICE = ("none-of-these", "G24.0")
"""Values that no list of choices holds; nobody can have chosen them."""


@pytest.fixture(autouse=True)
def monday_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "clock", lambda: MONDAY)
    monkeypatch.setattr(module, "now", lambda: MONDAY + MINUTE)
    monkeypatch.setattr(bulk, "now", lambda: MONDAY + MINUTE)


def task_of(site: Site, identity: str) -> Any:
    task = tables.task
    with site.store.reading() as connection:
        return connection.execute(select(task).where(task.c.referral_id == identity)).one()


def version_of(html: str) -> str:
    (version,) = set(re.findall(r'name="version" value="(\d+)"', html))
    return str(version)


def send_form(
    app_client: FlaskClient, identity: str, move: str, version: str | None = None, **typed: str
) -> TestResponse:
    shown = version or version_of(page(app_client, f"/referrals/{identity}"))
    fields = {name.replace("_", "-"): value for name, value in typed.items()}
    return app_client.post(f"/referrals/{identity}/do/{move}", data={"version": shown, **fields}, headers=OURS)


def do(app_client: FlaskClient, identity: str, move: str, **typed: str) -> str:
    """Makes a move and follows to the page that then comes."""
    answer = send_form(app_client, identity, move, **typed)
    assert answer.status_code == 303, said(answer.text)
    return page(app_client, answer.headers["Location"])


def by_kim(site: Site, identity: str, move: str, **fields: str) -> None:
    """Somebody else's move, two minutes after noon."""
    answer = act(site, KIM, task_of(site, identity).id, None, move, fields, MONDAY + 2 * MINUTE, "r-kim")
    assert answer.fault is None


def offered(html: str) -> list[str]:
    """The codes of the moves on a page, in order."""
    return re.findall(r'action="/referrals/[^/]+/do/([\w-]+)"', html)


def box(html: str, name: str) -> str:
    found = re.findall(rf'<div class="{name}".*?</div>', html, re.S)
    return said(found[0]) if found else ""


def values_of(html: str, move: str) -> dict[str, str | None]:
    """What stands in the fields of one form."""
    (form,) = re.findall(rf'<form class="asking"[^>]*id="do-{move}".*?</form>', html, re.S)
    reader = read(form)
    found = {str(own["name"]): own.get("value") for tag, own in reader.tags if tag == "input"}
    for name, text in re.findall(r'<textarea[^>]*name="([\w-]+)"[^>]*>\n?(.*?)</textarea>', form, re.S):
        found[name] = "".join(read(text).words)
    for name, inner in re.findall(r'<select[^>]*name="([\w-]+)"[^>]*>(.*?)</select>', form, re.S):
        chosen = re.findall(r'value="([^"]*)" selected', inner)
        found[name] = chosen[0] if chosen else ""
    return found


def wrong(html: str, move: str) -> dict[str, str]:
    """The faults told beside the fields of a form, each field described by them."""
    found = dict(re.findall(rf'id="wrong-{move}-([\w-]+)">([^<]*)<', html))
    for name in found:
        assert re.search(rf'id="{move}-{name}"[^>]*aria-describedby="[^"]*wrong-{move}-{name}[^"]*" aria-invalid', html)
    return found


# What is offered


def test_the_likely_moves_of_a_new_referral_stand_first_and_all_others_behind_more(
    site: Site, app_client: FlaskClient
) -> None:
    html = page(app_client, f"/referrals/{send(site, referral())}")
    assert offered(html) == [
        *("claim", "accept", "return-for-information", "re-route", "reject", "comment"),
        *("receive", "hold", "cancel", "assign", "set-business-status", "correct-code", "confirm-birth-date"),
        *("pause-clock", "entered-in-error"),
    ]
    more = html.index('class="move more"')
    assert html.index("/do/comment") < more < html.index("/do/receive")


@pytest.mark.parametrize(
    ("moves", "likely"),
    [
        (["claim"], ["accept", "return-for-information", "re-route", "reject", "comment"]),
        (["accept"], ["start", "book-appointment", "return-for-information", "comment"]),
        (["accept", "start"], ["book-appointment", "complete", "comment"]),
        (["reject"], ["comment", "undo"]),
        (["return-for-information"], ["resume", "reject", "comment"]),
    ],
)
def test_what_is_likely_follows_where_the_referral_stands(
    site: Site, app_client: FlaskClient, moves: list[str], likely: list[str]
) -> None:
    identity = send(site, referral())
    for move in moves:
        reason = {"reject": "duplicate", "return-for-information": "more-information-needed"}.get(move, "")
        do(app_client, identity, move, **({"reason": reason, "comment": "Why."} if reason else {}))
    html = page(app_client, f"/referrals/{identity}")
    assert offered(html.split('class="move more"')[0]) == likely


def test_every_move_that_is_offered_is_one_that_may_be_made(site: Site, app_client: FlaskClient) -> None:
    caller = Caller(app_client, site)
    identity = send(site, referral(), client="local")
    task = caller.task_of(identity)
    for move in ("accept", "start", "complete"):
        assert set(offered(page(app_client, f"/referrals/{identity}"))) == set(caller.actions(task["id"]))
        do(app_client, identity, move)


# What a press does


def test_taking_in_hand_is_one_press_and_the_page_says_that_it_is_done(site: Site, app_client: FlaskClient) -> None:
    identity = send(site, referral())
    html = do(app_client, identity, "claim")
    assert box(html, "done") == "Done: Taken in hand."
    assert ("div", {"class": "done", "role": "status", "tabindex": "-1", "autofocus": None}) in read(html).tags
    assert names(page(app_client, "/?queue=all&assignee=mine")) == ["Ada Vellum"]
    assert "claim" not in offered(html)


def test_a_question_goes_to_the_sender_with_its_words_and_the_clock_of_the_answer(
    site: Site, app_client: FlaskClient
) -> None:
    caller = Caller(app_client, site)
    identity = send(site, referral(), client="local")
    asked = "Which medicines does she take?\r\nSince when?"
    html = do(app_client, identity, "return-for-information", reason="more-information-needed", comment=asked)
    task = caller.task_of(identity)
    words = "Which medicines does she take?\nSince when?"
    assert (task["status"], task["statusReason"]["text"]) == ("on-hold", words)
    assert sections(html)["messages"] == (
        "Messages Local user to the sender, 16 Mar 2026, 12:01 Returned to the sender for information: "
        "More information needed Which medicines does she take? Since when?"
    )
    assert sections(html)["standing"] == (
        "How it stands triage by Mon 23 Mar 2026 seen by 20 Jul 2026 asked on 16 Mar 2026 "
        "remind on 25 Mar 2026 to a lead on 3 Apr 2026"
    )


def test_the_days_of_a_question_go_with_it_and_do_not_come_back_with_another_hold(
    site: Site, app_client: FlaskClient
) -> None:
    identity = send(site, referral())
    do(app_client, identity, "return-for-information", reason="more-information-needed", comment="Which medicines?")
    do(app_client, identity, "resume")
    html = do(app_client, identity, "hold", reason="patient-unavailable")
    assert sections(html)["standing"] == "How it stands triage by Mon 23 Mar 2026 seen by 20 Jul 2026"


def test_the_senders_answer_stands_among_the_messages_and_resumes(site: Site, app_client: FlaskClient) -> None:
    caller = Caller(app_client, site)
    identity = send(site, referral(identifier=[{"type": PLACER, "value": "N-1"}]), client="local")
    do(app_client, identity, "return-for-information", reason="more-information-needed", comment="Which medicines?")
    body = caller.read(f"ServiceRequest/{identity}")
    answered = body | {"note": [{"text": "None."}], "priority": "urgent"}
    assert caller.put(f"ServiceRequest/{identity}", answered, If_Match='W/"1"').status_code == 200
    html = page(app_client, f"/referrals/{identity}")
    assert task_of(site, identity).status == "requested"
    assert re.sub(r"\d+ \w+ \d{4}, \d\d:\d\d", "…", sections(html)["messages"]).endswith(
        "From the sender, local , … Update of: Note, Priority None."
    )
    assert re.sub(r"\d+ \w+ \d{4}, \d\d:\d\d", "…", sections(html)["timeline"]).startswith(
        "Timeline New … , local Returned to the sender for information"
    )


def test_an_appointment_is_booked_by_the_clock_of_the_site(site: Site, app_client: FlaskClient) -> None:
    identity = send(site, referral())
    do(app_client, identity, "accept")
    html = do(app_client, identity, "book-appointment", date="2026-07-20T14:30", comment="By letter.")
    assert task_of(site, identity).appointment == "2026-07-20T14:30:00+01:00"
    assert box(html, "done") == "Done: Appointment booked for 20 Jul 2026, 14:30."
    assert "appointment 20 Jul 2026, 14:30" in sections(html)["standing"]
    assert values_of(html, "move-appointment") == {"version": "3", "date": "2026-07-20T14:30", "comment": ""}


def test_a_report_ends_it_and_stands_under_what_came_of_it(site: Site, app_client: FlaskClient) -> None:
    identity = send(site, referral())
    for move in ("accept", "start"):
        do(app_client, identity, move)
    html = do(app_client, identity, "complete", report="Seen; injections begun.")
    assert sections(html)["standing"] == "How it stands Closing report Seen; injections begun."
    assert (task_of(site, identity).status, "Due" in said(html.split("</dl>")[0])) == ("completed", False)


def test_an_end_made_by_this_person_can_be_undone_from_the_line_that_tells_it(
    site: Site, app_client: FlaskClient
) -> None:
    identity = send(site, referral())
    html = do(app_client, identity, "reject", reason="duplicate")
    (form,) = re.findall(r'<form class="undo".*?</form>', html, re.S)
    fields = {str(own["name"]): str(own["value"]) for tag, own in read(form).tags if tag == "input"}
    assert fields == {"version": "2", "comment": "Pressed by mistake."}
    assert 'class="undo"' not in page(app_client, f"/referrals/{identity}?done=1")
    html = do(app_client, identity, "undo", comment=fields["comment"])
    assert box(html, "done") == "Done: End taken back; New."
    assert task_of(site, identity).status == "requested"


def test_nobody_is_told_that_they_did_what_somebody_else_did(site: Site, app_client: FlaskClient) -> None:
    identity = send(site, referral())
    by_kim(site, identity, "reject", reason="duplicate")
    assert box(page(app_client, f"/referrals/{identity}?done=2"), "done") == ""


def test_a_code_and_a_birth_date_decided_by_hand_stand_beside_what_the_service_proposes(
    site: Site, app_client: FlaskClient
) -> None:
    identity = send(site, referral("Generalized dystonia", patient("2009")))
    do(app_client, identity, "correct-code", code="G24.1", comment="A variant of TOR1A is known.")
    html = do(app_client, identity, "confirm-birth-date", birth_date="2009-09-14", comment="By telephone, mother.")
    shown = sections(html)
    assert re.findall(r'<section class="panel by-hand".*?</section>', html, re.S)
    (by_hand,) = (said(one) for one in re.findall(r'<section class="panel by-hand".*?</section>', html, re.S))
    assert by_hand == (
        "Decided by hand Birth date: 14 Sep 2009 instead of 2009 By telephone, mother. "
        "Local user , 16 Mar 2026, 12:01 "
        "Code: G24.1 instead of G24.8 A variant of TOR1A is known. Local user , 16 Mar 2026, 12:01"
    )
    assert "ICD-10-CM G24.8 Other dystonia" in shown["decision"]
    assert "Born 14 Sep 2009, so 16 years on 16 Mar 2026" in shown["decision"]
    assert re.findall(r'<p class="who">([^<]*)<?', html) == ["16 years, born 14 Sep 2009"]
    assert lines(page(app_client, "/?queue=pediatric-neuromotor"))[0].startswith(
        "routine Ada Vellum 16 years, born 14 Sep 2009 G24.1"
    )


def test_a_birth_date_that_somebody_made_sure_of_is_not_overruled_by_the_sender(
    site: Site, app_client: FlaskClient
) -> None:
    caller = Caller(app_client, site)
    identity = send(site, referral(subject=patient("2009")), client="local")
    do(app_client, identity, "confirm-birth-date", birth_date="2009-09-14", comment="By telephone, mother.")
    record = caller.read(f"Patient/{task_of(site, identity).patient_id}")
    put = caller.put(f"Patient/{record['id']}", record | {"birthDate": "1999-01-01"})
    assert (put.status_code, task_of(site, identity).born) == (200, "2009-09-14")
    assert "16 years, born 14 Sep 2009" in lines(page(app_client, "/?queue=pediatric-neuromotor"))[0]


def test_a_pause_and_its_reason_stand_at_the_clock(site: Site, app_client: FlaskClient) -> None:
    identity = send(site, referral())
    html = do(app_client, identity, "pause-clock", comment="Abroad until April.")
    assert "paused 16 Mar 2026" in sections(html)["standing"]
    assert "resume-clock" in offered(html)


# A human decides


@pytest.mark.parametrize(
    ("reason", "born", "queue", "why"),
    [
        (
            "Dystonic cerebral palsy",
            "2016-02-03",
            "pediatric-neuromotor",
            "Looked at by hand: “Athetoid, dyskinetic or dystonic cerebral palsy” is to be assessed by "
            "Pediatric neuromotor; 10 years when received.",
        ),
        (
            "Abnormal movements, please see",
            "1971-06-13",
            "adult-movement-disorders",
            "Looked at by hand: “Abnormal involuntary movements” is to be assessed by "
            "Adult movement disorders; 54 years when received.",
        ),
    ],
)
def test_one_press_routes_what_is_held_by_its_age_with_words_that_can_be_changed(
    site: Site, app_client: FlaskClient, reason: str, born: str, queue: str, why: str
) -> None:
    identity = send(site, referral(reason, patient(born)))
    html = page(app_client, f"/referrals/{identity}")
    assert offered(html)[0] == "re-route"
    filled = {str(name): str(value) for name, value in values_of(html, "re-route").items()}
    assert filled == {"version": "1", "queue": queue, "comment": why, "code": ""}
    assert len(re.findall(r'<details class="move" name="move" open>', html)) == 1
    answer = app_client.post(f"/referrals/{identity}/do/re-route", data=filled, headers=OURS)
    assert (answer.status_code, task_of(site, identity).queue) == (303, queue)


def test_without_an_age_its_birth_date_is_asked_for_first_and_no_queue_is_filled_in(
    site: Site, app_client: FlaskClient
) -> None:
    html = page(app_client, f"/referrals/{send(site, referral(subject=patient(None)))}")
    assert offered(html)[:2] == ["confirm-birth-date", "re-route"]
    assert values_of(html, "re-route") == {"version": "1", "queue": "", "comment": "", "code": ""}


def test_one_who_has_died_is_not_routed_by_one_press(site: Site, app_client: FlaskClient) -> None:
    html = page(app_client, f"/referrals/{send(site, referral(subject=patient(deceasedBoolean=True)))}")
    assert (offered(html)[0], values_of(html, "reject")) == (
        "reject",
        {"version": "1", "reason": "deceased", "comment": ""},
    )


def test_a_wish_to_cancel_is_answered_first(site: Site, app_client: FlaskClient) -> None:
    body = referral(identifier=[{"type": PLACER, "value": "N-1"}])
    identity = send(site, body)
    for move in ("accept", "start"):
        do(app_client, identity, move)
    send(site, body | {"status": "revoked"})
    html = page(app_client, f"/referrals/{identity}")
    assert offered(html)[0] == "fail"
    assert values_of(html, "fail") == {"version": "4", "reason": "withdrawn-by-sender", "comment": ""}


# What cannot be done


@pytest.mark.parametrize(
    ("before", "move", "typed", "told"),
    [
        ([], "reject", {"comment": "Too far."}, {"reason": "Choose a reason."}),
        ([], "reject", {"reason": "other"}, {"comment": "Say it in words."}),
        ([], "reject", {"reason": "none-of-these", "comment": "x"}, {"reason": "Choose one of these."}),
        ([], "return-for-information", {"reason": "more-information-needed"}, {"comment": "Say it in words."}),
        ([], "re-route", {"comment": "Known there."}, {"queue": "Choose a queue."}),
        ([], "assign", {}, {"assignee": "Say who."}),
        ([], "assign", {"assignee": "k" * 129}, {"assignee": "At most 128 letters."}),
        ([], "comment", {"comment": "k" * 10_001}, {"comment": "At most 10,000 letters."}),
        ([], "comment", {"comment": "a\x07b"}, {"comment": "It holds a sign that cannot be kept."}),
        ([], "correct-code", {"code": "G24.0", "comment": "x"}, {"code": "Choose one of these."}),
        (
            [],
            "confirm-birth-date",
            {"birth-date": "14.9.2009", "comment": "x"},
            {"birth-date": "Write the birth date as 2009-09-14, of somebody who can be living."},
        ),
        (["accept"], "book-appointment", {"comment": "x"}, {"date": "Say on which day and at what time."}),
        (
            ["accept"],
            "book-appointment",
            {"date": "2026-03-29T01:30", "comment": "x"},
            {"date": "There is no such day and time. Write it as 2026-03-20 14:30."},
        ),
    ],
)
def test_a_fault_is_told_beside_its_field_and_nothing_typed_is_lost(
    site: Site, app_client: FlaskClient, before: list[str], move: str, typed: dict[str, str], told: dict[str, str]
) -> None:
    identity = send(site, referral())
    for one in before:
        do(app_client, identity, one)
    was = task_of(site, identity)
    answer = send_form(app_client, identity, move, **typed)
    assert (answer.status_code, wrong(answer.text, move)) == (422, told)
    kept = {name: value for name, value in values_of(answer.text, move).items() if value and name != "version"}
    can_stand = {name: value.replace("\x07", "\ufffd") for name, value in typed.items() if value not in NO_CHOICE}
    assert kept == can_stand
    links = re.findall(rf'<a href="#{move}-([\w-]+)">([^<]*)</a>', answer.text)
    assert dict(links) == told
    assert task_of(site, identity) == was


def test_who_was_overtaken_is_told_by_whom_and_finds_what_was_typed_on_the_new_version(
    site: Site, app_client: FlaskClient
) -> None:
    identity = send(site, referral())
    by_kim(site, identity, "claim")
    answer = send_form(app_client, identity, "reject", "1", reason="capacity", comment="Two months.")
    assert answer.status_code == 412
    assert box(answer.text, "problem") == (
        "Somebody was quicker Kim Rota , 16 Mar 2026, 12:02 : Taken in hand “ Reject ” was not done. "
        "What you typed stands in the form again, should it still be right."
    ).replace("“ Reject ”", "“Reject”")
    assert values_of(answer.text, "reject") == {"version": "2", "reason": "capacity", "comment": "Two months."}
    assert task_of(site, identity).status == "requested"
    assert send_form(app_client, identity, "reject", "2", reason="capacity").status_code == 303


def test_who_pressed_a_button_without_fields_is_not_told_of_what_they_typed(
    site: Site, app_client: FlaskClient
) -> None:
    identity = send(site, referral())
    by_kim(site, identity, "comment", comment="Looked at it.")
    answer = send_form(app_client, identity, "claim", "1")
    assert answer.status_code == 412
    assert box(answer.text, "problem").startswith("Somebody was quicker Kim Rota")
    assert box(answer.text, "problem").endswith("was not done.")


def test_what_was_typed_is_shown_also_when_its_form_is_gone(site: Site, app_client: FlaskClient) -> None:
    identity = send(site, referral())
    by_kim(site, identity, "reject", reason="out-of-scope", comment="Not ours.")
    answer = send_form(app_client, identity, "return-for-information", "1", comment="Which medicines?")
    assert box(answer.text, "problem") == (
        "Somebody was quicker Kim Rota , 16 Mar 2026, 12:02 : Rejected (Out of scope) Not ours. "
        "“Ask the sender” was not done. What you typed: What is missing Which medicines?"
    )


def test_a_move_that_is_not_open_to_this_state_is_told_in_words(site: Site, app_client: FlaskClient) -> None:
    identity = send(site, referral())
    answer = send_form(app_client, identity, "complete")
    assert answer.status_code == 422
    assert "“Complete with a report” was not done A Task that is requested takes no such move" in said(answer.text)


@pytest.mark.parametrize(
    ("path", "headers", "data", "status"),
    [
        ("/referrals/{}/do/claim", {}, {"version": "1"}, 403),
        ("/referrals/{}/do/claim", {"Sec-Fetch-Site": "cross-site"}, {"version": "1"}, 403),
        ("/referrals/{}/do/claim", OURS, {}, 404),
        ("/referrals/{}/do/claim", OURS, {"version": "one"}, 404),
        ("/referrals/{}/do/dance", OURS, {"version": "1"}, 404),
        ("/referrals/nobody/do/claim", OURS, {"version": "1"}, 404),
        ("/referrals/{}/do/claim", OURS, {"version": "1", "comment": "k" * 300_000}, 413),
        ("/do/claim?queue=all", {}, {"task": "x.1"}, 403),
        ("/do/reject?queue=all", OURS, {"task": "x.1"}, 404),
        ("/do/claim?queue=all", OURS, {"task": "x"}, 404),
    ],
)
def test_a_form_that_is_none_of_ours_changes_nothing(
    site: Site, app_client: FlaskClient, path: str, headers: dict[str, str], data: dict[str, str], status: int
) -> None:
    identity = send(site, referral())
    answer = app_client.post(path.format(identity), data=data, headers=headers)
    assert (answer.status_code, "That did not work" in said(answer.text)) == (status, True)
    assert task_of(site, identity).version == 1


def test_no_address_of_a_form_holds_anything_of_a_patient(site: Site, app_client: FlaskClient) -> None:
    identity = send(site, referral(subject=patient(identifier=[{"system": "urn:x", "value": "MRN-77"}])))
    answer = send_form(app_client, identity, "comment", comment="Ada Vellum telephoned.")
    forms = [own.get("action") for tag, own in read(page(app_client, f"/referrals/{identity}")).tags if tag == "form"]
    addresses = " ".join(map(str, [*forms, answer.headers["Location"]]))
    assert [word for word in ("Vellum", "1971", "MRN-77", "telephoned") if word in addresses] == []


def test_what_coordinators_write_never_becomes_markup(site: Site, app_client: FlaskClient) -> None:
    identity = send(site, referral())
    do(app_client, identity, "assign", assignee=WICKED, comment=WICKED)
    html = do(app_client, identity, "reject", reason="other", comment=WICKED)
    wicked = send_form(app_client, identity, "comment", comment=WICKED * 200).text
    for shown in (html, wicked, page(app_client, "/?queue=closed")):
        reader = read(shown)
        assert {tag for tag, own in reader.tags if not own.get("src", "/").startswith("/static/")} & {"script"} == set()
        assert [tag for tag, _ in reader.tags if tag == "img"] == []
        assert WICKED in "".join(reader.words)


def test_of_what_was_entered_in_error_no_words_are_told_any_more(site: Site, app_client: FlaskClient) -> None:
    body = referral(identifier=[{"type": PLACER, "value": "N-1"}])
    identity = send(site, body)
    do(app_client, identity, "confirm-birth-date", birth_date="1971-06-14", comment="Vellum said so.")
    do(app_client, identity, "assign", assignee="Ada Vellum's niece")
    send(site, body | {"status": "entered-in-error"})
    text = said(page(app_client, f"/referrals/{identity}").split("<main")[1])
    assert [word for word in ("Vellum", "1971", "said so") if word in text.replace("with Ada Vellum's niece", "")] == []
    assert "Birth date confirmed 16 Mar 2026, 12:01" in text


# Many at once


def picks(site: Site) -> list[str]:
    with site.store.reading() as connection:
        rows = connection.execute(select(tables.task.c.id, tables.task.c.version).order_by(tables.task.c.authored_on))
        return [f"{row.id}.{row.version}" for row in rows]


def test_many_are_taken_in_hand_at_once_and_each_that_was_not_is_told_with_who_has_it(
    site: Site, app_client: FlaskClient
) -> None:
    for number, family in enumerate(("Adams", "Brook", "Child")):
        identity = send(site, referral(subject=named(family)), timedelta(hours=3 - number))
    by_kim(site, identity, "claim")
    answer = app_client.post("/do/claim?queue=all&priority=routine", data={"task": picks(site)}, headers=OURS)
    assert box(answer.text, "told") == (
        "2 of 3 taken in hand. Show mine Not these: Child : with Kim Rota since 16 Mar 2026, 12:02"
    )
    assert names(answer.text) == ["Adams", "Brook", "Child"]
    assert names(page(app_client, "/?queue=all&assignee=mine")) == ["Adams", "Brook"]


def test_of_many_each_is_taken_only_as_it_stood_on_the_page(site: Site, app_client: FlaskClient) -> None:
    identity = send(site, referral(subject=named("Adams")))
    seen = picks(site)
    by_kim(site, identity, "comment", comment="Known to us.")
    answer = app_client.post("/do/claim?queue=all", data={"task": seen}, headers=OURS)
    assert box(answer.text, "told") == (
        "0 of 1 taken in hand. Not these: Adams : Kim Rota , 16 Mar 2026, 12:02 : Comment"
    )
    assert task_of(site, identity).assignee is None


def test_many_that_were_found_by_name_stay_the_list_that_is_shown(site: Site, app_client: FlaskClient) -> None:
    for family in ("Adams", "Brook"):
        send(site, referral(subject=named(family)))
    answer = app_client.post("/do/receive?queue=all", data={"task": picks(site), "text": "brook"}, headers=OURS)
    assert (names(answer.text), box(answer.text, "told")) == (["Brook"], "2 of 2 marked as received. Show mine")


def test_nothing_selected_is_told_too(site: Site, app_client: FlaskClient) -> None:
    send(site, referral())
    answer = app_client.post("/do/claim?queue=all", data={}, headers=OURS)
    assert box(answer.text, "told") == "Nothing was selected. Tick a referral, or press x on it."


# Days and times


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-20T14:30", "2026-03-20T14:30:00+00:00"),
        ("2026-07-20 14:30", "2026-07-20T14:30:00+01:00"),
        ("2026-10-25T01:30", "2026-10-25T01:30:00+01:00"),
        ("2026-03-20", "2026-03-20"),
        ("2026-03-29T01:30", None),
        ("2026-02-30T10:00", None),
        ("tomorrow", None),
        ("2026-03-20T14:30Z", None),
    ],
)
def test_a_day_and_time_is_read_as_clocks_of_the_site_show_it(site: Site, text: str, moment: str | None) -> None:
    assert moment_of(text, site.policy.zone) == moment


def test_a_moment_is_shown_again_as_it_was_typed(site: Site) -> None:
    zone = site.policy.zone
    found = [local_of(moment, zone) for moment in ("2026-07-20T13:30:00Z", "2026-07-20", None)]
    assert found == ["2026-07-20T14:30", "", ""]


def test_who_works_on_the_pages_goes_by_the_name_on_what_they_take(app_client: FlaskClient) -> None:
    with app_client:
        app_client.get("/")
        assert actor().name == "Local user"
