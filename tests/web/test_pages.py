"""The coordinators' pages, on a real store filled through the real way in."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from referral_service.intake import Incoming, Site, receive, receive_supporting
from referral_service.intake.moves import act
from referral_service.referral import Queue
from referral_service.store import tables
from referral_service.web import frame
from referral_service.web import worklist as pages_of_lists
from referral_service.web.present import evidence, words
from referral_service.web.present.acting import local_of
from referral_service.web.present.indent import indented
from referral_service.web.present.words import Now
from referral_service.worklist import Actor, Role

MONDAY = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)
WICKED = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"
PLACER = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]}
VOID = {"meta", "link", "path", "br"}

Resource = dict[str, Any]


@pytest.fixture(autouse=True)
def monday_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "clock", lambda: MONDAY)


def patient(birth_date: str | None = "1971-06-13", **more: Any) -> Resource:
    born = {"birthDate": birth_date} if birth_date else {}
    return {"resourceType": "Patient", "id": "p", "name": [{"family": "Vellum", "given": ["Ada"]}], **born, **more}


def referral(reason: str = "Cervical dystonia", subject: Resource | None = None, **more: Any) -> Resource:
    return {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "contained": [subject or patient()],
        "subject": {"reference": "#p"},
        "requester": {"display": "Dr Petra Sparrow"},
        "reasonCode": [{"text": reason}],
        **more,
    }


def send(
    site: Site, body: Resource | bytes, ago: timedelta = timedelta(), request_id: str = "r-1", client: str = "north"
) -> str:
    """Sends one referral as an EHR would have; its id, empty when it was not taken."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    received = receive(site, Incoming(client, "create", request_id, text, MONDAY - ago), "ServiceRequest")
    return next((answer.id or "" for answer in received.answers), "")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    return reader


def said(html: str) -> str:
    return " ".join(" ".join(read(html).words).split())


def page(app_client: FlaskClient, path: str) -> str:
    response = app_client.get(path)
    assert response.status_code == 200
    return response.get_data(as_text=True)


def lines(html: str) -> list[str]:
    """The words of each line of a list."""
    return [said(row) for row in re.findall(r"<tr role=\"row\"[^>]*>(.*?)</tr>", html, re.S)[1:]]


def names(html: str) -> list[str]:
    return re.findall(r'<a class="name"[^>]*><bdi>([^<]*)</bdi>', html)


def named(family: str, **more: Any) -> Resource:
    return patient(name=[{"family": family}], **more)


# The queues


def test_a_line_says_who_why_since_when_until_when_and_from_whom(site: Site, app_client: FlaskClient) -> None:
    send(site, referral("Suspected cervical dystonia", priority="urgent"), timedelta(days=3, hours=2, minutes=5))
    assert lines(page(app_client, "/")) == [
        "urgent Ada Vellum 54 years, born 13 Jun 1971 Suspected G24.3 Spasmodic torticollis "
        "3 days 13 Mar 2026, 09:55 tomorrow Tue 17 Mar 2026 Dr Petra Sparrow"
    ]


def test_red_flags_come_first_then_priority_then_the_longest_wait(site: Site, app_client: FlaskClient) -> None:
    day = timedelta(days=1)
    send(site, referral(subject=named("Newer")), 1 * day)
    send(site, referral(subject=named("Older")), 2 * day)
    send(site, referral(subject=named("Urgent"), priority="urgent"))
    send(site, referral("Acute dystonic reaction after metoclopramide", named("Flagged")))
    html = page(app_client, "/?queue=adult-movement-disorders")
    assert names(html) == ["Flagged", "Urgent", "Older", "Newer"]
    assert [line.startswith("Red flag") for line in lines(html)] == [True, False, False, False]


def test_tabs_count_what_is_open(site: Site, app_client: FlaskClient) -> None:
    send(site, referral())
    send(site, referral("Acute dystonic reaction after metoclopramide"))
    send(site, referral(subject=patient("2019-09-14")))
    (tabs,) = re.findall(r"<nav class=\"wide tabs\".*?</nav>", page(app_client, "/"), re.S)
    assert said(tabs) == (
        "Adult movement disorders 2 open 1 with a red flag Pediatric neuromotor 1 open Intake review 0 open "
        "All queues 3 open 1 with a red flag Closed 0 closed Alerts 1 open Not taken 0"
    )


def test_the_first_queue_with_a_red_flag_opens_else_the_first_that_is_not_empty(
    site: Site, app_client: FlaskClient
) -> None:
    def opened() -> str:
        return said(re.findall(r"<h1>.*?</h1>", page(app_client, "/"))[0])

    seen = [opened()]
    send(site, referral(subject=patient(None)))
    send(site, referral(subject=patient("2019-09-14")))
    seen.append(opened())
    send(site, referral("Abnormal neck posture with torticollis after a fall", patient(None), priority="routine"))
    send(site, referral("Status dystonicus", patient(None)))
    seen.append(opened())
    assert seen == ["Intake review", "Pediatric neuromotor", "Intake review"]


def test_a_partial_birth_date_gives_both_ages(site: Site, app_client: FlaskClient) -> None:
    send(site, referral(subject=patient("2008")))
    (line,) = lines(page(app_client, "/?queue=intake-review"))
    assert "17 or 18 years, born in 2008" in line
    assert "Age unsure" in line


def test_what_is_overdue_is_said_in_words(site: Site, app_client: FlaskClient) -> None:
    send(site, referral(), timedelta(days=10))
    (line,) = lines(page(app_client, "/"))
    assert "3 days overdue Fri 13 Mar 2026" in line


def test_every_flag_is_a_word_with_its_meaning_beside_it(site: Site, app_client: FlaskClient) -> None:
    send(site, referral(subject=patient(None)))
    chips = [attributes for tag, attributes in read(page(app_client, "/")).tags if _is_chip(tag, attributes)]
    assert [chip["title"] for chip in chips] == [
        "The birth date is missing, not usable, or leaves open on which side of 18 the patient is."
    ]


def _is_chip(tag: str, attributes: dict[str, str | None]) -> bool:
    return tag == "span" and (attributes.get("class") or "").startswith("chip ")


def test_without_a_code_the_senders_words_stand_there(site: Site, app_client: FlaskClient) -> None:
    send(site, referral("Tremor of both hands, no dystonia"))
    (line,) = lines(page(app_client, "/"))
    assert "No code Tremor of both hands, no dystonia Indication unsure" in line


def test_a_referral_without_a_named_requester_shows_its_client(site: Site, app_client: FlaskClient) -> None:
    body = referral()
    del body["requester"]
    send(site, body, client="north-ehr")
    assert lines(page(app_client, "/"))[0].endswith("north-ehr")


def test_further_pages_neither_repeat_nor_hide_a_line_while_others_arrive(
    site: Site, app_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages_of_lists, "PAGE", 2)
    for number in range(5):
        send(site, referral(subject=named(f"N{number}")), timedelta(hours=9 - number))
    seen, path = [], "/?queue=adult-movement-disorders"
    while path:
        html = page(app_client, path)
        seen.append(names(html))
        send(site, referral(subject=named("Urgent"), priority="urgent"))
        following = re.findall(r'rel="next" href="([^"]*)"', html)
        path = following[0].replace("&amp;", "&") if following else ""
    assert seen == [["N0", "N1"], ["N2", "N3"], ["N4"]]


def test_an_empty_queue_says_where_to_look_instead(site: Site, app_client: FlaskClient) -> None:
    send(site, referral())
    text = said(page(app_client, "/?queue=intake-review"))
    assert "Nobody is waiting here" in text
    assert "Meanwhile: Adult movement disorders (1 open) ." in text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/?queue=nowhere", 404),
        ("/?after=1", 400),
        ("/?after=3~2026-03-16T12:00:00.000Z~%00", 400),
        ("/not-taken?after=x", 400),
        ("/referrals/unknown", 404),
        ("/referrals/a%20b", 404),
        ("/not-taken/unknown", 404),
        ("/not-taken/unknown/text", 404),
    ],
)
def test_an_address_that_is_none_of_ours_is_told_in_words(app_client: FlaskClient, path: str, status: int) -> None:
    response = app_client.get(path)
    assert response.status_code == status
    assert "That did not work" in said(response.get_data(as_text=True))


# One referral


def sections(html: str) -> dict[str, str]:
    found = re.findall(r'<section class="panel" aria-labelledby="(\w+)">(.*?)</section>', html, re.S)
    return {name: said(body) for name, body in found}


def test_the_page_of_a_referral_explains_the_decision(site: Site, app_client: FlaskClient) -> None:
    identity = send(site, referral("Suspected cervical dystonia"), timedelta(days=1))
    shown = sections(page(app_client, f"/referrals/{identity}"))
    assert shown["decision"] == (
        "What the service proposes Routed to Adult movement disorders "
        "ICD-10-CM G24.3 Spasmodic torticollis suspected ICD-10 G24.3 Spasmodic torticollis "
        "certainty suspected, not confirmed "
        "age Born 13 Jun 1971, so 54 years on 15 Mar 2026, the day of first receipt; 18 or over, Adult movement "
        "disorders. priority routine, as requested policy default, version 2026.1 "
        "The service proposes; a clinician decides."
    )


def test_a_contestable_code_is_shown_with_what_it_could_also_be(site: Site, app_client: FlaskClient) -> None:
    identity = send(site, referral("Writer's cramp"))
    decision = sections(page(app_client, f"/referrals/{identity}"))["decision"]
    assert "could also be ICD-10-CM" in decision
    assert "Code in doubt Classifications differ here, or another code could be defended." in decision


def test_findings_are_marked_in_the_senders_own_words(site: Site, app_client: FlaskClient) -> None:
    identity = send(site, referral("Tremor of both hands, no dystonia"))
    html = page(app_client, f"/referrals/{identity}")
    (quote,) = re.findall(r'<blockquote dir="auto">(.*?)</blockquote>', html, re.S)
    assert quote == '<mark>Tremor</mark> of both hands, no <mark class="aside">dystonia</mark>'
    assert sections(html)["evidence"] == (
        "What it rests on Reason for referral ServiceRequest.reasonCode[0] Tremor of both hands, no dystonia "
        "Stated Tremor said plainly, nothing speaks against it "
        "Ruled out Dystonia, unspecified ICD-10-CM G24.9 “dystonia”: because of “no”"
    )


def test_findings_beside_the_referral_are_quoted_from_the_request_it_came_in(
    site: Site, app_client: FlaskClient
) -> None:
    condition = {
        "resourceType": "Condition",
        "code": {"text": "Generalized dystonia since infancy"},
        "subject": {"reference": "Patient/p"},
    }
    body = referral() | {"subject": {"reference": "Patient/p"}}
    del body["reasonCode"], body["contained"]
    entries = [{"resource": one} for one in (patient(), condition, body)]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    text = json.dumps(bundle).encode()
    received = receive(site, Incoming("north", "create", "r", text, MONDAY), "Bundle")
    identity = next(answer.id for answer in received.answers if answer.type == "ServiceRequest")
    html = page(app_client, f"/referrals/{identity}")
    assert "<mark>Generalized dystonia</mark> since infancy</blockquote>" in html
    assert "Diagnosis on record Bundle.entry[1].resource.code" in sections(html)["evidence"]


def test_the_patient_panel_says_how_to_reach_the_family(site: Site, app_client: FlaskClient) -> None:
    child = patient(
        "2019-09-14",
        identifier=[{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000001"}],
        telecom=[{"system": "phone", "use": "home", "value": "01632 960001"}],
        address=[{"use": "home", "line": ["12 Makebelieve Court"], "city": "Tidewater"}],
        communication=[{"language": {"text": "Turkish"}, "preferred": True}],
        extension=[
            {"url": "http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired", "valueBoolean": True}
        ],
        generalPractitioner=[{"display": "Dr Marisol Paperwright"}],
    )
    identity = send(site, referral(subject=child))
    guardian = {
        "resourceType": "RelatedPerson",
        "patient": {"reference": f"Patient/{_patient_id(site)}"},
        "relationship": [{"text": "mother"}],
        "name": [{"given": ["Selin"], "family": "Uydurma"}],
        "telecom": [{"system": "phone", "use": "mobile", "value": "01632 960002"}],
    }
    for client in ("north", "another"):
        sent = guardian | {"name": [{"text": f"Selin of {client}"}]}
        incoming = Incoming(client, "create", "r-2", json.dumps(sent).encode(), MONDAY)
        receive_supporting(site, incoming, "RelatedPerson")
    assert sections(page(app_client, f"/referrals/{identity}"))["patient"] == (
        "Patient born 14 Sep 2019 NHS number 9990000001 home phone 01632 960001 "
        "home 12 Makebelieve Court, Tidewater speaks Turkish (preferred) interpreter Interpreter needed "
        "general practitioner Dr Marisol Paperwright Selin of north mother mobile phone 01632 960002"
    )


def _patient_id(site: Site) -> str:
    with site.store.reading() as connection:
        query = select(tables.task.c.patient_id).where(tables.task.c.queue == "pediatric-neuromotor")
        return str(connection.execute(query).scalar_one())


def test_a_patient_who_is_not_known_yet_is_asked_for(site: Site, app_client: FlaskClient) -> None:
    body = referral() | {"subject": {"reference": "Patient/elsewhere"}}
    del body["contained"]
    identity = send(site, body)
    shown = sections(page(app_client, f"/referrals/{identity}"))
    assert "The sender has not sent" in shown["patient"]
    assert "age Not worked out: birth date not given." in shown["decision"]


def test_the_emergency_notice_stands_on_red_flags_only(site: Site, app_client: FlaskClient) -> None:
    red = send(site, referral("Acute dystonic reaction after metoclopramide"))
    plain = send(site, referral())
    notice = site.policy.notice
    shown = [notice in said(page(app_client, f"/referrals/{identity}")) for identity in (red, plain)]
    assert shown == [True, False]
    assert "urgent, raised from routine by a red flag" in said(page(app_client, f"/referrals/{red}"))


def test_the_timeline_tells_every_change_newest_first(site: Site, app_client: FlaskClient) -> None:
    body = referral(identifier=[{"type": PLACER, "value": "N-1"}])
    identity = send(site, body, timedelta(days=1))
    send(site, body | {"status": "revoked"})
    assert sections(page(app_client, f"/referrals/{identity}"))["timeline"] == (
        "Timeline Cancelled Withdrawn by the sender 16 Mar 2026, 12:00 , north "
        "Received and placed in Adult movement disorders 15 Mar 2026, 12:00 , This service"
    )


def test_what_was_entered_in_error_is_no_longer_shown(site: Site, app_client: FlaskClient) -> None:
    body = referral("Secret dystonia", identifier=[{"type": PLACER, "value": "N-1"}])
    identity = send(site, body)
    send(site, body | {"status": "entered-in-error"})
    text = said(page(app_client, f"/referrals/{identity}"))
    assert [word in text for word in ("Entered in error", "Timeline", "Vellum", "1971", "Secret")] == [
        *(True, True),
        *(False, False, False),
    ]


def test_a_line_of_what_was_entered_in_error_while_in_progress_names_nobody(
    site: Site, app_client: FlaskClient
) -> None:
    body = referral("Secret dystonia", identifier=[{"type": PLACER, "value": "N-1"}])
    identity = send(site, body)
    with site.store.reading() as connection:
        task_id = connection.execute(select(tables.task.c.id)).scalar_one()
    kim = Actor("kim", "Kim Rota", frozenset({Role.COORDINATOR}), frozenset(Queue))
    for code in ("accept", "start", "claim"):
        assert act(site, kim, task_id, None, code, {}, MONDAY, "r-2").fault is None
    send(site, body | {"status": "entered-in-error"})
    assert identity
    assert lines(page(app_client, "/")) == [
        "routine Entered in error In progress Cancellation requested with Kim Rota No code "
        "just now 16 Mar 2026, 12:00 in 7 days Mon 23 Mar 2026 north"
    ]


def test_a_referral_leads_to_its_raw_records(site: Site, app_client: FlaskClient) -> None:
    identity = send(site, referral(), client="local")
    tags = read(page(app_client, f"/referrals/{identity}")).tags
    links = [
        str(attributes["href"]) for tag, attributes in tags if tag == "a" and "/fhir/" in (attributes["href"] or "")
    ]
    assert len(links) == 4
    assert [app_client.get(link).status_code for link in links] == [200, 200, 200, 200]


# What was not taken


def test_what_was_not_taken_is_listed_red_flags_first_then_newest(site: Site, app_client: FlaskClient) -> None:
    send(site, b"{", timedelta(hours=3), "r-old")
    send(site, b"status dystonicus, please help", timedelta(hours=2), "r-red")
    send(site, referral("Right knee pain"), timedelta(hours=1), "r-knee")
    shown = lines(page(app_client, "/not-taken"))
    assert [line.rpartition(" ")[2] for line in shown] == ["r-red", "r-knee", "r-old"]
    assert shown[0].startswith("Red flag Refused")
    assert shown[1] == (
        "Rejected Every reason given is something other than dystonia or its neighbours. ServiceRequest "
        "1 hour ago 16 Mar 2026, 11:00 north r-knee"
    )


def test_the_sums_of_the_ledger_stand_on_every_page(site: Site, app_client: FlaskClient) -> None:
    identity = send(site, referral())
    send(site, referral(subject=patient(None)))
    send(site, referral("Right knee pain"))
    send(site, b"{")
    sums = "4 received = 1 routed + 1 held for review + 1 rejected + 1 refused"
    assert [sums in said(page(app_client, path)) for path in ("/", "/not-taken", f"/referrals/{identity}")] == [
        True
    ] * 3


def _only_not_taken(app_client: FlaskClient) -> str:
    (path,) = set(re.findall(r'href="(/not-taken/[^"]*)"', page(app_client, "/not-taken")))
    return str(path)


def test_refused_json_is_laid_out_with_the_fault_still_in_it(site: Site, app_client: FlaskClient) -> None:
    send(site, b'{"resourceType":"ServiceRequest","status":"active","status":"draft","n":1.0}')
    html = page(app_client, _only_not_taken(app_client))
    (shown,) = re.findall(r"<pre[^>]*>(.*?)</pre>", html, re.S)
    assert read(shown).words[0] == (
        '{\n  "resourceType": "ServiceRequest",\n  "status": "active",\n  "status": "draft",\n  "n": 1.0\n}'
    )
    assert "duplicate-key" in said(html)


def test_a_text_that_is_no_json_is_shown_as_text(site: Site, app_client: FlaskClient) -> None:
    body = b"<html><script>alert(1)</script></html>"
    send(site, body)
    path = _only_not_taken(app_client)
    html = page(app_client, path)
    assert "&lt;html&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;/html&gt;</pre>" in html
    raw = app_client.get(f"{path}/text")
    assert (raw.get_data(), raw.mimetype, raw.headers["X-Content-Type-Options"]) == (body, "text/plain", "nosniff")


def test_an_empty_list_of_what_was_not_taken_says_so(app_client: FlaskClient) -> None:
    assert "Everything that came was taken" in said(page(app_client, "/not-taken"))


# Harmless


def wicked() -> Resource:
    subject = patient(
        name=[{"family": WICKED, "given": [WICKED]}],
        identifier=[{"type": {"text": WICKED}, "value": WICKED}],
        telecom=[{"system": "phone", "value": WICKED}],
        address=[{"line": [WICKED]}],
        contact=[{"name": {"text": WICKED}, "relationship": [{"text": WICKED}]}],
        communication=[{"language": {"text": WICKED}}],
        generalPractitioner=[{"display": WICKED}],
    )
    return referral(
        f"Cervical dystonia {WICKED}",
        subject,
        note=[{"text": f"Dystonia {WICKED}"}],
        code={"text": WICKED},
        requester={"display": WICKED},
        identifier=[{"type": {"text": WICKED}, "value": WICKED}],
    )


def test_nothing_that_a_sender_writes_becomes_markup(site: Site, app_client: FlaskClient) -> None:
    identity = send(site, wicked(), request_id=WICKED, client=WICKED)
    send(site, {WICKED: 1, **wicked(), "status": WICKED}, request_id=WICKED, client=WICKED)
    for path in ("/", f"/referrals/{identity}", "/not-taken", _only_not_taken(app_client)):
        html = page(app_client, path)
        reader = read(html)
        foreign = {tag for tag, attributes in reader.tags if not _is_our_script(tag, attributes)}
        assert foreign & {"script", "img", "style", "iframe", "object"} == set()
        assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
        assert WICKED in "".join(reader.words)


def _is_our_script(tag: str, attributes: dict[str, str | None]) -> bool:
    return tag == "script" and (attributes.get("src") or "").startswith("/static/")


def test_pages_hold_no_inline_script_or_style_and_nothing_from_elsewhere(site: Site, app_client: FlaskClient) -> None:
    identity = send(site, referral("Acute dystonic reaction after metoclopramide"))
    send(site, b"{")
    for path in ("/", f"/referrals/{identity}", "/not-taken", _only_not_taken(app_client), "/nowhere"):
        tags = read(app_client.get(path).get_data(as_text=True)).tags
        assert not any("style" in attributes or tag == "style" for tag, attributes in tags)
        assert [tag for tag, attributes in tags if tag == "script" and not _is_our_script(tag, attributes)] == []
        addresses = [attributes.get("href") or attributes.get("src") for _, attributes in tags]
        assert [one for one in addresses if one and not one.startswith(("/", "#"))] == []


def test_no_address_holds_anything_of_a_patient(site: Site, app_client: FlaskClient) -> None:
    subject = patient(
        identifier=[{"system": "urn:x", "value": "MRN-77"}], telecom=[{"system": "phone", "value": "01632960001"}]
    )
    identity = send(site, referral(subject=subject))
    for path in ("/", f"/referrals/{identity}"):
        links = " ".join(str(attributes.get("href")) for _, attributes in read(page(app_client, path)).tags)
        assert [word for word in ("Vellum", "1971", "MRN-77", "01632") if word in links] == []


def test_the_stylesheets_and_the_icon_are_served(app_client: FlaskClient) -> None:
    tags = read(page(app_client, "/")).tags
    links = [str(attributes["href"]) for tag, attributes in tags if tag == "link"]
    kinds = []
    for link in links:
        with app_client.get(link) as response:
            kinds.append(response.mimetype)
    assert kinds == ["image/svg+xml", "text/css", "text/css", "text/css"]


@pytest.mark.parametrize("path", ["/", "/not-taken"])
def test_every_page_has_its_language_landmarks_and_a_way_past_the_header(app_client: FlaskClient, path: str) -> None:
    tags = read(page(app_client, path)).tags
    assert ("html", {"lang": "en"}) in tags
    assert [tag for tag, _ in tags if tag in ("header", "nav", "main", "footer")] == ["header", "nav", "main", "footer"]
    assert next(attributes["href"] for tag, attributes in tags if tag == "a") == "#main"


# Words


@pytest.fixture
def now() -> Now:
    return Now(MONDAY, ZoneInfo("Europe/London"))


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "just now"),
        (60, "1 minute"),
        (59 * 60, "59 minutes"),
        (3600, "1 hour"),
        (86399, "23 hours"),
        (86400, "1 day"),
        (99 * 86400, "99 days"),
        (100 * 86400, "14 weeks"),
    ],
)
def test_a_wait_is_told_in_its_largest_unit(now: Now, seconds: int, told: str) -> None:
    assert now.waited((MONDAY - timedelta(seconds=seconds)).isoformat()) == told


def test_times_are_told_in_the_zone_of_the_site(now: Now) -> None:
    summer = now.moment("2026-07-01T23:30:00.000Z")
    assert (summer.iso, summer.words) == ("2026-07-02T00:30:00+01:00", "2 Jul 2026, 00:30")


@pytest.mark.parametrize(
    ("birth_date", "told"),
    [
        ("1971-06-13", "54 years, born 13 Jun 1971"),
        ("2008", "17 or 18 years, born in 2008"),
        ("2008-03", "17 or 18 years, born in Mar 2008"),
        ("2024-03-17", "23 months, born 17 Mar 2024"),
        ("2026-03-01", "under 1 month, born 1 Mar 2026"),
        ("2026", "under 1 year, born in 2026"),
        ("2030-01-01", "birth date not usable, born 1 Jan 2030"),
        (None, "birth date not given"),
    ],
)
def test_an_age_is_told_with_the_birth_date(birth_date: str | None, told: str) -> None:
    assert words.age_and_birth(birth_date, date(2026, 3, 16)) == told


@pytest.mark.parametrize(
    ("on", "told"),
    [
        ("2026-03-14", ("2 days overdue", "overdue")),
        ("2026-03-15", ("1 day overdue", "overdue")),
        ("2026-03-16", ("today", "today")),
        ("2026-03-17", ("tomorrow", "soon")),
        ("2026-03-18", ("in 2 days", "later")),
    ],
)
def test_a_due_date_is_told_by_how_near_it_is(on: str, told: tuple[str, str]) -> None:
    due = words.due(on, date(2026, 3, 16))
    assert (due.words, due.state) == told


def _item(text: str, said: str, assertion: str = "affirmed") -> Resource:
    start = text.index(said)
    finding = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "G24.9", "display": "Dystonia"}
    place = {"expression": "ServiceRequest.note[0].text", "start": start, "end": start + len(said), "text": said}
    return {**place, "finding": finding, "assertion": assertion, "rule": "affirmed:plain"}


def _quotes(text: str, *items: Resource) -> list[list[tuple[str, str]]]:
    roots = {"ServiceRequest": {"resourceType": "ServiceRequest", "note": [{"text": text}]}}
    (group,) = evidence.groups(items, roots)
    return [[(piece.kind, piece.text) for piece in quote] for quote in group.quotes]


def test_spans_count_code_points() -> None:
    text = "🧠🧠 dystonia"
    assert _quotes(text, _item(text, "dystonia")) == [[("plain", "🧠🧠 "), ("mark", "dystonia")]]


def test_spans_that_overlap_become_one_mark() -> None:
    text = "cervical dystonia of adults"
    items = [_item(text, "cervical dystonia"), _item(text, "dystonia of", "negated")]
    assert _quotes(text, *items) == [[("mark", "cervical dystonia of"), ("plain", " adults")]]


def test_of_a_long_text_the_sentence_with_the_finding_is_quoted() -> None:
    text = f"{'Unrelated history. ' * 40}She has dystonia. {'More of it. ' * 40}"
    assert _quotes(text, _item(text, "dystonia")) == [
        [("gap", "… "), ("plain", "She has "), ("mark", "dystonia"), ("plain", ". "), ("gap", " …")]
    ]


def test_a_span_that_no_longer_fits_falls_back_to_the_findings_own_words() -> None:
    item = _item("She has dystonia", "dystonia")
    assert _quotes("Something else altogether", item) == [[("mark", "dystonia")]]


@pytest.mark.parametrize(
    ("text", "laid_out"),
    [
        ("{}", "{}"),
        ("[]", "[]"),
        ('{"a":[1.50,{"b":"x, {y}: \\"z\\""}],"a":null}',
         '{\n  "a": [\n    1.50,\n    {\n      "b": "x, {y}: \\"z\\""\n    }\n  ],\n  "a": null\n}'),
        ("{", None),
        ("<xml/>", None),
        ("[" * 100_000, None),
    ],
)  # fmt: skip
def test_json_is_laid_out_sign_by_sign(text: str, laid_out: str | None) -> None:
    assert indented(text) == laid_out


@pytest.mark.parametrize("stored", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30T09:00:00Z"])
def test_a_moment_that_no_calendar_holds_is_shown_as_stored(stored: str) -> None:
    now = Now(MONDAY, ZoneInfo("America/New_York" if stored.startswith("0") else "Asia/Tokyo"))
    assert now.moment(stored) == words.Moment(stored, f"“{stored}”")
    assert local_of(stored, now.zone) == ""
