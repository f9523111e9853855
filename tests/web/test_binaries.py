"""Files posted as a Binary: up to 20 MiB, as they are or as FHIR JSON, given back so too, and seen on the page."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from referral_service.front import LARGEST_BINARY
from referral_service.intake import Site
from referral_service.referral import Queue
from referral_service.store import tables
from tests.callers import Doors, filler, placer
from tests.serving import Server
from tests.shapes import FHIR_JSON, Caller, Resource, all_rules, bundle, entry, patient, referral, rules
from tests.web.test_attachments import attachments, links

PDF = b"%PDF-1.7 invented"
MP4 = b"\0\0\0\x18ftypmp42" + b"\0" * 2000
MEGABYTE = 1024 * 1024
Accepted = dict[str, str]


def post(http: FlaskClient, data: bytes | str = PDF, kind: str = "application/pdf", **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.open("/fhir/Binary", method="POST", data=data, headers={"Content-Type": kind, **named})


def get(http: FlaskClient, identity: str, accept: str | None = None, query: str = "") -> TestResponse:
    return http.get(f"/fhir/Binary/{identity}{query}", headers={"Accept": accept} if accept else {})


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def posted(caller: Caller, data: bytes = PDF, kind: str = "application/pdf") -> str:
    answer = post(caller.http, data, kind)
    assert answer.status_code == 201, answer.text
    return str(answer.get_json(force=True)["id"])


def test_a_file_is_posted_as_it_is_and_given_back_as_it_was(caller: Caller) -> None:
    answer = post(caller.http)
    resource = answer.get_json(force=True)
    assert (answer.status_code, answer.headers["ETag"]) == (201, 'W/"1"')
    assert answer.headers["Location"] == f"http://localhost/fhir/Binary/{resource['id']}/_history/1"
    assert {name: value for name, value in resource.items() if name not in ("id", "meta")} == {
        "resourceType": "Binary",
        "contentType": "application/pdf",
    }
    file = get(caller.http, resource["id"], "application/pdf")
    named = ("Content-Type", "Content-Disposition", "Content-Security-Policy", "X-Content-Type-Options", "ETag")
    assert (file.data, [file.headers[name] for name in named]) == (
        PDF,
        ["application/pdf", "attachment", "sandbox; default-src 'none'", "nosniff", 'W/"1"'],
    )


def test_the_bytes_lie_apart_from_the_resource(caller: Caller) -> None:
    identity = posted(caller, MP4, "video/mp4")
    table = tables.binary_content
    with caller.site.store.reading() as connection:
        [row] = connection.execute(select(table).where(table.c.owner == identity)).mappings()
        [content] = connection.execute(select(tables.resource.c.content).where(tables.resource.c.id == identity))
    assert (row["size"], row["kind"], bytes(row["content"]), row["version"]) == (len(MP4), "video/mp4", MP4, 1)
    assert "data" not in json.loads(content[0])


JSON_READS = ["", "/_history/1"]


def test_it_is_posted_and_given_back_in_fhir_json_too(caller: Caller) -> None:
    sent = {"resourceType": "Binary", "contentType": "text/plain", "data": encoded(b"\xc3\xa9 words")}
    identity = caller.post("Binary", sent).get_json(force=True)["id"]
    for path in JSON_READS:
        assert caller.get(f"Binary/{identity}{path}", Accept=FHIR_JSON).get_json(force=True)["data"] == sent["data"]
    [version] = caller.read(f"Binary/{identity}/_history")["entry"]
    assert version["resource"]["data"] == sent["data"]
    file = get(caller.http, identity)
    assert (file.data, file.content_type) == (b"\xc3\xa9 words", "text/plain")


NEGOTIATED: list[tuple[str | None, str, int, str]] = [
    (None, "", 200, "application/pdf"),
    ("*/*", "", 200, "application/pdf"),
    ("application/pdf", "", 200, "application/pdf"),
    ("application/*", "", 200, "application/pdf"),
    (f"{FHIR_JSON}, */*", "", 200, f"{FHIR_JSON}; charset=utf-8"),
    ("application/json", "", 200, f"{FHIR_JSON}; charset=utf-8"),
    ("image/png", "", 406, f"{FHIR_JSON}; charset=utf-8"),
    ("application/fhir+xml", "", 406, f"{FHIR_JSON}; charset=utf-8"),
    ("application/pdf", "?_format=json", 200, f"{FHIR_JSON}; charset=utf-8"),
    (FHIR_JSON, "?_format=application/pdf", 200, "application/pdf"),
    (FHIR_JSON, "?_format=xml", 406, f"{FHIR_JSON}; charset=utf-8"),
]


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_accept_and_format_say_which_of_the_two_is_given(caller: Caller) -> None:
    identity = posted(caller)
    got = []
    for accept, query, _, _ in NEGOTIATED:
        answer = get(caller.http, identity, accept, query)
        got.append((accept, query, answer.status_code, answer.content_type))
    assert got == NEGOTIATED


def test_what_is_known_already_is_not_sent_again(caller: Caller) -> None:
    identity = posted(caller)
    headers = {"If-None-Match": 'W/"1"'}
    answers = [
        caller.http.get(f"/fhir/Binary/{identity}", headers=headers | more) for more in ({}, {"Accept": FHIR_JSON})
    ]
    assert [(one.status_code, one.data) for one in answers] == [(304, b"")] * 2


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/octet-stream", "multipart/form-data"])
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_type_that_the_policy_does_not_allow_is_refused(caller: Caller, kind: str) -> None:
    answer = post(caller.http, b"<script>", kind)
    assert (answer.status_code, all_rules(answer.get_json(force=True))) == (415, ["media-type"])


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_binary_of_such_a_type_in_json_is_kept_and_given_back_only_in_json(caller: Caller) -> None:
    sent = {"resourceType": "Binary", "contentType": "text/html", "data": encoded(b"<script>alert(1)</script>")}
    identity = caller.post("Binary", sent).get_json(force=True)["id"]
    assert get(caller.http, identity).content_type == f"{FHIR_JSON}; charset=utf-8"
    assert get(caller.http, identity, "text/html").status_code == 406


FAULTY: dict[str, tuple[Resource, list[tuple[str, str]]]] = {
    "no base64": (
        {"resourceType": "Binary", "contentType": "text/plain", "data": "*"},
        [("invalid-value", "Binary.data")],
    ),
    "no type": ({"resourceType": "Binary", "data": "QQ=="}, [("missing-element", "Binary.contentType")]),
    "another resource": (patient(), [("wrong-resource-type", "Patient")]),
}


@pytest.mark.parametrize(("sent", "expected"), FAULTY.values(), ids=FAULTY.keys())
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_what_is_no_binary_is_refused(caller: Caller, sent: Resource, expected: list[tuple[str, str]]) -> None:
    answer = caller.post("Binary", sent)
    assert (answer.status_code, rules(answer.get_json(force=True))) == (400, expected)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_an_empty_file_is_refused(caller: Caller) -> None:
    answer = post(caller.http, b"")
    assert (answer.status_code, all_rules(answer.get_json(force=True))) == (400, ["empty-body"])


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_twenty_mebibytes_of_content_are_taken_and_no_byte_more(caller: Caller) -> None:
    largest = PDF + b"\0" * (20 * MEGABYTE - len(PDF))
    assert get(caller.http, posted(caller, largest)).data == largest
    for size, status in ((20 * MEGABYTE, 201), (20 * MEGABYTE + 1, 413)):
        content = (largest + b"\0")[:size]
        sent = json.dumps({"resourceType": "Binary", "contentType": "application/pdf", "data": encoded(content)})
        assert post(caller.http, sent, FHIR_JSON).status_code == status
    assert post(caller.http, largest + b"\0").status_code == 413


def test_whoever_may_see_it_can_be_said_in_a_header(caller: Caller) -> None:
    identity = post(caller.http, X_Security_Context="Patient/7").get_json(force=True)["id"]
    resource = get(caller.http, identity, FHIR_JSON).get_json(force=True)
    assert resource["securityContext"] == {"reference": "Patient/7"}
    assert get(caller.http, identity).headers["X-Security-Context"] == "Patient/7"


def document(url: str, **more: Any) -> Resource:
    attachment = {"contentType": "application/pdf", "url": url, "title": "Letter"}
    return {"resourceType": "DocumentReference", "status": "current", "content": [{"attachment": attachment}], **more}


def referred(caller: Caller, *others: Resource, **more: Any) -> Resource:
    sent = referral("B-1", subject={"reference": "urn:uuid:11111111-1111-4111-8111-111111111111"}, **more)
    theirs = entry(patient(), "urn:uuid:11111111-1111-4111-8111-111111111111")
    answer = caller.post("", bundle(theirs, *others, entry(sent)))
    assert answer.status_code == 200, answer.text
    return caller.stored("ServiceRequest")[-1]


DOCUMENT = "urn:uuid:22222222-2222-4222-8222-222222222222"


@pytest.mark.parametrize("address", ["Binary/{}", "http://localhost/fhir/Binary/{}"])
def test_a_document_that_points_at_it_brings_it_to_the_page(caller: Caller, address: str) -> None:
    identity = posted(caller)
    url = address.format(identity)
    sent = referred(caller, entry(document(url), DOCUMENT), supportingInfo=[{"reference": DOCUMENT}])
    [kept] = caller.stored("DocumentReference")
    assert kept["content"][0]["attachment"]["url"] == f"Binary/{identity}"
    assert attachments(caller.http, sent["id"]) == "Attachments Letter application/pdf , 17 Bytes Open Letter"
    [link] = links(caller.http, sent["id"])
    assert caller.http.get(link).data == PDF


BINARY = "urn:uuid:33333333-3333-4333-8333-333333333333"


@pytest.mark.parametrize(
    "holder",
    [
        document(BINARY),
        {
            "resourceType": "DiagnosticReport",
            "status": "final",
            "code": {"text": "Film"},
            "presentedForm": [{"url": BINARY}],
        },
        {"resourceType": "Communication", "status": "completed", "payload": [{"contentAttachment": {"url": BINARY}}]},
    ],
    ids=lambda one: one["resourceType"],
)
def test_an_attachment_that_points_at_a_binary_of_the_same_bundle_points_at_ours(
    caller: Caller, holder: Resource
) -> None:
    held = {"resourceType": "Binary", "contentType": "application/pdf", "data": encoded(PDF)}
    sent = referred(caller, entry(held, BINARY), entry(holder, DOCUMENT), supportingInfo=[{"reference": DOCUMENT}])
    [binary] = caller.stored("Binary")
    [kept] = caller.stored(holder["resourceType"])
    assert (f"Binary/{binary['id']}" in json.dumps(kept), BINARY in json.dumps(kept)) == (True, False)
    assert "application/pdf , 17 Bytes" in attachments(caller.http, sent["id"])


def test_an_address_at_the_ehr_is_shown_in_words_and_not_followed(caller: Caller) -> None:
    url = "https://ehr.example/fhir/Binary/9"
    sent = referred(caller, entry(document(url), DOCUMENT), supportingInfo=[{"reference": DOCUMENT}])
    shown = attachments(caller.http, sent["id"])
    assert (url in shown, links(caller.http, sent["id"])) == (True, [])


def shown(caller: Caller, data: bytes, kind: str) -> tuple[str, TestResponse]:
    """What the page says of a file, and what comes from the address for looking at it."""
    identity = posted(caller, data, kind)
    held = document(f"Binary/{identity}")
    del held["content"][0]["attachment"]["contentType"]
    sent = referred(caller, entry(held, DOCUMENT), supportingInfo=[{"reference": DOCUMENT}])
    [link] = links(caller.http, sent["id"])
    return attachments(caller.http, sent["id"]), caller.http.get(f"{link}/shown")


SHOWN = {
    "application/pdf": PDF,
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/gif": b"GIF89a",
    "video/mp4": MP4,
}


@pytest.mark.parametrize(("kind", "data"), SHOWN.items(), ids=SHOWN.keys())
def test_a_file_whose_bytes_are_what_it_is_said_to_be_is_shown(caller: Caller, kind: str, data: bytes) -> None:
    words, answer = shown(caller, data, kind)
    assert ("Watch" if kind == "video/mp4" else "Open") in words
    assert (answer.status_code, answer.data, answer.content_type) == (200, data, kind)
    assert answer.headers["Content-Disposition"].startswith("inline")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert policy.startswith("sandbox") == (kind != "application/pdf")


HTML = b"<html><script>alert(1)</script>"


@pytest.mark.parametrize("kind", ["application/pdf", "image/png", "image/gif", "image/jpeg", "video/mp4"])
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_file_that_is_something_else_can_only_be_saved(caller: Caller, kind: str) -> None:
    words, answer = shown(caller, HTML, kind)
    assert ("not what it is said to be" in words, "Open" in words, answer.status_code) == (True, False, 404)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_words_are_read_on_the_page_and_not_opened(caller: Caller) -> None:
    words, answer = shown(caller, b"Seen on Monday <b>", "text/plain")
    assert ("Seen on Monday <b>" in words, answer.status_code) == (True, 404)


def film(caller: Caller) -> str:
    """The address at which a film is shown."""
    identity = posted(caller, MP4, "video/mp4")
    held = document(f"Binary/{identity}")
    del held["content"][0]["attachment"]["contentType"]
    sent = referred(caller, entry(held, DOCUMENT), supportingInfo=[{"reference": DOCUMENT}])
    [link] = links(caller.http, sent["id"])
    return f"{link}/shown"


def test_a_player_gets_the_part_of_a_film_that_it_asks_for(caller: Caller) -> None:
    part = caller.http.get(film(caller), headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.data, part.headers["Content-Range"]) == (206, b"ftyp", f"bytes 4-7/{len(MP4)}")


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_what_is_no_one_range_of_bytes_gets_the_whole_film(caller: Caller) -> None:
    address = film(caller)
    for wanted in ("bytes=a", "bytes=7-4", "bytes=0-0,1-1", "bytes", "seconds=1-2", f"bytes=-{len(MP4) + 1}"):
        answer = caller.http.get(address, headers={"Range": wanted})
        assert (answer.status_code, answer.data, answer.headers["Accept-Ranges"]) == (200, MP4, "bytes"), wanted
        assert "Content-Range" not in answer.headers


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_part_behind_the_end_of_a_film_is_told_with_its_length(caller: Caller) -> None:
    answer = caller.http.get(film(caller), headers={"Range": "bytes=9999-"})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{len(MP4)}")


def test_it_is_seen_by_its_sender_and_by_who_sees_the_referral_whose_document_points_at_it(site: Site) -> None:
    doors = Doors(site)
    north, clinic = doors.of(placer("north")), doors.of(filler("clinic", Queue.ADULT))
    others = [doors.of(placer("south")), doors.of(filler("childrens", Queue.PEDIATRIC))]
    identity = posted(north)
    seen = [clinic.get(f"Binary/{identity}").status_code]
    referred(north, entry(document(f"Binary/{identity}"), DOCUMENT), supportingInfo=[{"reference": DOCUMENT}])
    seen += [one.get(f"Binary/{identity}").status_code for one in (north, clinic, *others)]
    assert seen == [404, 200, 200, 404, 404]


def test_pointing_at_anothers_binary_opens_it_to_nobody(site: Site) -> None:
    doors = Doors(site)
    north, south = doors.of(placer("north")), doors.of(placer("south"))
    clinic = doors.of(filler("clinic", Queue.ADULT))
    identity = posted(north)
    referred(south, entry(document(f"Binary/{identity}"), DOCUMENT), supportingInfo=[{"reference": DOCUMENT}])
    assert [one.get(f"Binary/{identity}").status_code for one in (south, clinic)] == [404, 404]


def test_a_new_version_in_json_leaves_the_first_as_it_was(caller: Caller) -> None:
    identity = posted(caller)
    sent = {"resourceType": "Binary", "id": identity, "contentType": "text/plain", "data": encoded(b"new")}
    assert caller.put(f"Binary/{identity}", sent, If_Match='W/"1"').status_code == 200
    assert (get(caller.http, identity).data, get(caller.http, identity).content_type) == (b"new", "text/plain")
    first = caller.get(f"Binary/{identity}/_history/1", Accept=FHIR_JSON).get_json(force=True)
    assert first["data"] == encoded(PDF)


def test_a_real_server_takes_what_is_as_large_as_it_may_be_and_no_more_elsewhere(tmp_path: Path) -> None:
    server = Server(f"sqlite:///{tmp_path / 'files.db'}", tmp_path)
    server.start()
    try:
        largest = PDF + b"\0" * (20 * MEGABYTE - len(PDF))
        sent = {"resourceType": "Binary", "contentType": "application/pdf", "data": encoded(largest)}
        made = server.post("/fhir/Binary", sent)
        assert made.status_code == 201
        assert server.get(f"/fhir/Binary/{made.json()['id']}").content == largest
        assert (
            server.post("/fhir/Patient", {"resourceType": "Patient", "text": "x" * LARGEST_BINARY}).status_code == 413
        )
    finally:
        server.stop()
