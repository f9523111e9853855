"""What the sender sent besides: attachments, given out to be saved and shown as text, and the original for reading."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from referral_service.intake import Incoming, Site, receive, receive_supporting
from referral_service.store import worklist
from referral_service.web import frame
from referral_service.web.present.original import outline
from referral_service.web.present.plain import plain
from tests.web.test_pages import MONDAY, PLACER, WICKED, page, patient, read, referral, said, sections, send

Resource = dict[str, Any]
PDF = b"%PDF-1.7 invented"


@pytest.fixture(autouse=True)
def monday_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "clock", lambda: MONDAY)


def encoded(data: bytes | str) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def document(data: bytes | str = PDF, kind: str = "application/pdf", title: str = "Letter", **more: Any) -> Resource:
    attachment = {"contentType": kind, "data": encoded(data), "title": title}
    held: Resource = {"resourceType": "DocumentReference", "status": "current", "content": [{"attachment": attachment}]}
    return held | more


def bundled(site: Site, *others: Resource, **more: Any) -> str:
    """A referral in a Bundle beside others; its id."""
    body = referral() | {"subject": {"reference": "Patient/p"}} | more
    del body["contained"]
    entries = [{"fullUrl": f"urn:x:{place}", "resource": one} for place, one in enumerate((patient(), *others, body))]
    text = json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).encode()
    received = receive(site, Incoming("north", "create", "r-1", text, MONDAY), "Bundle")
    return next(answer.id or "" for answer in received.answers if answer.type == "ServiceRequest")


def attachments(app_client: FlaskClient, identity: str) -> str:
    return sections(page(app_client, f"/referrals/{identity}")).get("attachments", "")


def links(app_client: FlaskClient, identity: str) -> list[str]:
    tags = read(page(app_client, f"/referrals/{identity}")).tags
    found = [str(own["href"]) for tag, own in tags if tag == "a" and "/files/" in (own.get("href") or "")]
    return [one for one in found if not one.endswith("/shown")]


def test_what_came_in_the_same_request_is_listed_even_when_nothing_points_at_it(
    site: Site, app_client: FlaskClient
) -> None:
    identity = bundled(site, document(date="2026-03-10T10:00:00Z"), document(b"GIF", "image/gif", "Drawing"))
    assert attachments(app_client, identity) == (
        "Attachments Letter application/pdf , 17 Bytes, 2026-03-10 Open Letter Drawing image/gif , 3 Bytes"
        " Its content is not what it is said to be; it can only be saved."
    )


def test_attachments_that_are_only_named_are_all_listed(site: Site, app_client: FlaskClient) -> None:
    named = [{"attachment": {"title": title}} for title in ("Letter", "Video")]
    identity = bundled(site, document(content=named), document(content=[{"attachment": {"title": "Letter"}}]))
    assert re.findall("Letter|Video", attachments(app_client, identity)) == ["Letter", "Video", "Letter"]


def test_the_same_content_is_listed_once_by_all_its_titles(site: Site, app_client: FlaskClient) -> None:
    identity = bundled(site, document(), document(title="Scan"), document())
    assert attachments(app_client, identity) == "Attachments Letter; Scan application/pdf , 17 Bytes Open Letter; Scan"


def test_what_a_referral_holds_in_itself_is_listed(site: Site, app_client: FlaskClient) -> None:
    held = document(id="d", title="Contained letter")
    body = referral(supportingInfo=[{"reference": "#d"}])
    body["contained"].append(held)
    assert (
        attachments(app_client, send(site, body))
        == "Attachments Contained letter application/pdf , 17 Bytes Open Contained letter"
    )


def test_what_is_sent_about_the_patient_later_is_listed(site: Site, app_client: FlaskClient) -> None:
    identity = bundled(site)
    (about,) = set(re.findall(r"Patient/[0-9a-f-]{36}", served(site, identity)))
    for subject, title in ((about, "The answer"), ("Patient/another", "Of another patient")):
        later = json.dumps(document(title=title, subject={"reference": subject})).encode()
        receive_supporting(site, Incoming("north", "create", "r-2", later, MONDAY), "DocumentReference")
    foreign = json.dumps(document(title="Of another sender", subject={"reference": about})).encode()
    receive_supporting(site, Incoming("south", "create", "r-3", foreign, MONDAY), "DocumentReference")
    assert attachments(app_client, identity) == "Attachments The answer application/pdf , 17 Bytes Open The answer"


def served(site: Site, identity: str) -> str:
    with site.store.reading() as connection:
        row = worklist.one_referral(connection, identity)
    assert row is not None
    return str(row["request"])


def test_a_document_of_somebody_else_in_the_same_request_is_not_listed(site: Site, app_client: FlaskClient) -> None:
    other = {"resourceType": "Patient", "id": "q", "name": [{"family": "Other"}]}
    identity = bundled(site, other, document(subject={"reference": "Patient/q"}, title="Of another patient"))
    assert attachments(app_client, identity) == ""


def test_a_document_that_points_at_a_binary_brings_its_content(site: Site, app_client: FlaskClient) -> None:
    binary = {"resourceType": "Binary", "id": "b", "contentType": "application/pdf", "data": encoded(PDF)}
    pointing = document()
    pointing["content"] = [{"attachment": {"title": "By address", "url": "Binary/b"}}]
    identity = bundled(site, pointing, binary)
    assert attachments(app_client, identity) == "Attachments By address application/pdf , 17 Bytes Open By address"
    (link,) = links(app_client, identity)
    assert app_client.get(link).data == PDF


def test_what_was_not_sent_along_is_named_with_its_address_and_no_link(site: Site, app_client: FlaskClient) -> None:
    elsewhere = document()
    elsewhere["content"] = [{"attachment": {"title": "Film", "url": "https://ehr.example/film"}}]
    identity = bundled(site, elsewhere)
    assert attachments(app_client, identity) == (
        "Attachments Film type not given Not sent along; at the sender\u2019s address https://ehr.example/film"
    )
    assert links(app_client, identity) == []


@pytest.mark.parametrize(
    ("kind", "title", "given_as", "saved_as"),
    [
        ("application/pdf", "Letter of 10 March", "application/pdf", "Letter_of_10_March.pdf"),
        ("text/html", "letter.html", "application/octet-stream", "letter_html"),
        ("image/svg+xml", "x.svg", "application/octet-stream", "x_svg"),
        ("image/png", '../../etc/"pass\r\nwd', "image/png", "etc_pass_wd.png"),
        ("text/plain", "\u202etxt.exe", "text/plain", "txt_exe.txt"),
        ("application/x-sh", "…", "application/octet-stream", "attachment"),
    ],
)
def test_a_file_is_only_given_out_to_be_saved_in_a_sandbox(
    site: Site, app_client: FlaskClient, kind: str, title: str, given_as: str, saved_as: str
) -> None:
    data = b"<script>alert(1)</script>"
    identity = bundled(site, document(data, kind, title.replace("\r\n", " ")))
    (link,) = links(app_client, identity)
    answer = app_client.get(link)
    named = ("Content-Type", "Content-Disposition", "Content-Security-Policy", "X-Content-Type-Options")
    assert (answer.data, [answer.headers[name] for name in named]) == (
        data,
        [given_as, f"attachment; filename={saved_as}", "sandbox; default-src 'none'", "nosniff"],
    )
    assert "Letter" not in link


def test_text_is_read_on_the_page_without_its_markup(site: Site, app_client: FlaskClient) -> None:
    html = f"<html><head><title>x</title></head><body><p>Dear colleague,</p><p>thank you{WICKED}</p></body></html>"
    identity = bundled(site, document("Plain & simple", "text/plain", "A"), document(html, "text/html", "B"))
    found = page(app_client, f"/referrals/{identity}").split('aria-labelledby="attachments"')[1].split("</section>")[0]
    shown = re.findall(r"<pre[^>]*>(.*?)</pre>", found, re.S)
    assert shown == ["Plain &amp; simple", "Dear colleague,\nthank you&#34;&#39;"]


@pytest.mark.parametrize("path", ["/referrals/{}/files/0123456789abcdef", "/referrals/nobody/files/0123456789abcdef"])
def test_a_file_that_is_not_there_is_told(site: Site, app_client: FlaskClient, path: str) -> None:
    answer = app_client.get(path.format(bundled(site, document())))
    assert (answer.status_code, "There is no such attachment." in said(answer.text)) == (404, True)


def test_of_what_was_entered_in_error_no_file_is_given_out(site: Site, app_client: FlaskClient) -> None:
    placer = [{"type": PLACER, "value": "N-1"}]
    identity = bundled(site, document(), identifier=placer)
    (link,) = links(app_client, identity)
    send(site, referral(identifier=placer, status="entered-in-error"))
    assert (app_client.get(link).status_code, links(app_client, identity)) == (404, [])


def test_names_of_files_never_become_markup(site: Site, app_client: FlaskClient) -> None:
    identity = bundled(site, document(WICKED, "text/plain", WICKED), document(PDF, WICKED, WICKED))
    reader = read(page(app_client, f"/referrals/{identity}"))
    assert [tag for tag, own in reader.tags if tag == "img" or (tag == "script" and "src" not in own)] == []
    assert "".join(reader.words).count(WICKED) >= 3


# The original


def test_the_original_is_laid_out_by_element_as_it_was_sent(site: Site, app_client: FlaskClient) -> None:
    identity = bundled(site, id="theirs", occurrencePeriod={"start": "2026-04-01"}, note=[{"text": "Afternoons."}])
    html = page(app_client, f"/referrals/{identity}")
    (own,) = re.findall(r'<section class="panel" aria-labelledby="original">.*?</section>', html, re.S)
    outlined = said(own.split("<pre")[0])
    assert outlined == (
        "The sender\u2019s original By element Status active Intent order Subject Patient/p Requester Dr Petra Sparrow "
        "Reason code Cervical dystonia Occurrence period from 2026-04-01 Note Afternoons. As it came"
    )
    assert '"id": "theirs"' in said(own.split("<pre")[1])


def told(resource: Resource) -> list[tuple[str, str]]:
    """Labels and texts of an outline, all the way down."""

    def walk(nodes: Any) -> list[tuple[str, str]]:
        return [line for node in nodes for line in [(node.label, node.text), *walk(node.below)]]

    return walk(outline(resource))


@pytest.mark.parametrize(
    ("element", "lines"),
    [
        (
            {"reasonCode": [{"coding": [{"system": "http://snomed.info/sct", "code": "1", "display": "A"}]}]},
            [("Reason code", "A"), ("Coding", "SNOMED CT 1 A")],
        ),
        ({"requester": {"reference": "Practitioner/1", "display": "Dr A"}}, [("Requester", "Dr A · Practitioner/1")]),
        ({"quantityQuantity": {"value": 5, "unit": "mg"}}, [("Quantity quantity", "5 mg")]),
        ({"doNotPerform": False}, [("Do not perform", "no")]),
        ({"extension": [{"url": "http://x.org/urgency", "valueCode": "soon"}]}, [("Urgency", "soon")]),
        (
            {"contained": [{"resourceType": "Patient", "birthDate": "1971"}]},
            [("Patient", ""), ("Birth date", "1971")],
        ),
        (
            {"text": {"status": "generated", "div": "<div><b>Dear</b> you</div>"}},
            [("Text", ""), ("Status", "generated"), ("Div", "Dear you")],
        ),
        (
            {"content": [{"attachment": {"data": "QUJD"}}]},
            [("Content", ""), ("Attachment", ""), ("Data", "3 bytes, see the attachments")],
        ),
    ],
)  # fmt: skip
def test_each_kind_of_value_is_said_in_words(element: Resource, lines: list[tuple[str, str]]) -> None:
    assert told({"resourceType": "ServiceRequest", "id": "x", **element}) == lines


def test_the_words_of_html_are_told_a_line_a_block() -> None:
    html = "<style>p{}</style><p>One  two</p><ul><li>a &amp; b</li><li>c</li></ul><script>alert(1)</script>"
    assert plain(html) == "One two\na & b\nc"
