"""An attachment that lies at its sender's EHR is fetched later by the worker, and its words are read as evidence."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from sqlalchemy import select, update

from referral_service.content_types import taken_as
from referral_service.ehr import reading
from referral_service.fetching import FileFetcher
from referral_service.intake import Site
from referral_service.outbound import Limits
from referral_service.referral import Queue
from referral_service.store import files, leases, tables, worklist
from referral_service.web import attachments
from tests.callers import filler
from tests.ehrs import FHIR, Ehr, reset, resource
from tests.receivers import Handler, status
from tests.shapes import ADULT_BORN, Caller, Resource, bundle, entry, flags, patient, referral
from tests.test_fetching import NEVER, World

PDF = b"%PDF-1.7 invented"
WORDS = b"She has had cervical dystonia for two years."
GET = "GET /r4/fhir/Binary/f1"


@dataclass
class FileWorld(World):
    """A site whose client's EHR holds files too."""

    files: FileFetcher = field(init=False)

    def __post_init__(self) -> None:
        World.__post_init__(self)
        self.files = FileFetcher(self.site, self.fetcher.ehrs, lambda: self.at, lambda: 0.0)

    def fetches(self) -> int:
        """The worker until no file is due at this hour; how many it took in hand."""
        self.later(seconds=0)
        count = 0
        while self.files.step():
            count += 1
        return count

    def files_standing(self) -> list[tuple[Any, ...]]:
        file = tables.ehr_file
        with self.site.store.reading() as connection:
            rows = connection.execute(select(file.c.tries, file.c.fault, file.c.ended).order_by(file.c.full_url))
            return [tuple(row) for row in rows]

    def shown(self, identity: str) -> list[attachments.File]:
        with self.site.store.reading() as connection:
            row = worklist.one_referral(connection, identity)
            assert row is not None
            return attachments.files_of(connection, row)


@pytest.fixture
def world(site: Site) -> Iterator[FileWorld]:
    with Ehr().open() as ehr, Ehr().open() as elsewhere:
        yield FileWorld(site, ehr, elsewhere)


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """So much time at the door that a slow machine changes nothing."""
    monkeypatch.setattr(reading, "DOOR_SECONDS", 60.0)


def given(data: bytes, kind: str) -> Handler:
    return status(200, data, **{"Content-Type": kind})


def document(url: str = "Binary/f1", kind: str | None = "application/pdf", **more: Any) -> Resource:
    attachment = {"title": "Letter", "url": url, **({"contentType": kind} if kind else {})}
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": {"reference": "urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f0001"},
        "content": [{"attachment": attachment}],
    } | more


def send(caller: Caller, *documents: Resource, number: str = "A-1", reason: str = "Cervical dystonia") -> str:
    """A referral with documents beside it; its id."""
    named = "urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f0001"
    sent = referral(number, reason, subject={"reference": named})
    answer = caller.post("", bundle(entry(patient(ADULT_BORN), named), *map(entry, documents), entry(sent)))
    assert answer.status_code == 200, answer.text
    return str(answer.json["entry"][-1]["response"]["location"].split("/")[-3])


@pytest.mark.parametrize("absolute", [True, False])
def test_a_letter_at_the_senders_ehr_is_fetched_by_the_worker_and_never_at_the_door(
    world: FileWorld, absolute: bool
) -> None:
    accepted: list[str | None] = []

    def letter(request: BaseHTTPRequestHandler) -> None:
        accepted.append(request.headers["Accept"])
        given(PDF, "application/pdf")(request)

    world.ehr.records["Binary/f1"] = letter
    caller, url = world.register(), f"{world.ehr.base}/Binary/f1" if absolute else "Binary/f1"
    identity = send(caller, document(url))
    assert world.ehr.calls == 0
    [waiting] = world.shown(identity)
    assert (waiting.is_here, waiting.is_awaited, waiting.fetch and waiting.fetch["host"]) == (
        False,
        True,
        f"127.0.0.1:{world.ehr.port}",
    )
    assert world.fetches() == 1
    assert (world.ehr.paths, world.ehr.refusals) == (["POST /oauth/token", GET], [])
    assert accepted == ["application/pdf, application/fhir+json;q=0.9"]
    assert "system/Binary.r" in world.ehr.scopes[0].split()
    assert (world.files_standing(), world.elsewhere.calls) == ([(1, None, "fetched")], 0)
    [file] = world.shown(identity)
    assert (file.title, file.size, file.can_be_shown, file.is_awaited) == ("Letter", 17, True, False)
    [kept] = caller.stored("DocumentReference")
    assert kept["content"][0]["attachment"]["url"] == url


def test_a_binary_in_fhir_is_taken_apart(world: FileWorld) -> None:
    binary = {"resourceType": "Binary", "id": "f1", "contentType": "application/pdf"}
    world.ehr.holds(binary | {"data": base64.b64encode(PDF).decode()})
    caller = world.register()
    identity = send(caller, document(kind=None))
    world.fetches()
    [file] = world.shown(identity)
    assert file.held is not None
    answer = caller.get(f"Binary/{file.held[0]}", Accept="application/pdf")
    assert (answer.status_code, answer.content_type, answer.data) == (200, "application/pdf", PDF)


def test_a_file_is_seen_by_whoever_sees_the_document_also_when_that_is_sent_anew(world: FileWorld) -> None:
    world.ehr.records["Binary/f1"] = given(PDF, "application/pdf")
    caller = world.register()
    sent = bundle(
        entry(patient(ADULT_BORN, id="77"), f"{world.ehr.base}/Patient/77"),
        entry(referral(subject={"reference": "Patient/77"}, supportingInfo=[{"reference": "DocumentReference/d1"}])),
        entry(document(subject={"reference": "Patient/77"}), method="PUT", url="DocumentReference/d1")
        | {"resource": document(subject={"reference": "Patient/77"}, id="d1")},
    )
    assert caller.post("", sent).status_code == 200
    world.fetches()
    binary = caller.stored("Binary")[0]["id"]
    adult = world.doors.of(filler("clinic", Queue.ADULT))
    child = world.doors.of(filler("other", Queue.PEDIATRIC))

    def seen() -> list[int]:
        return [one.get(f"Binary/{binary}").status_code for one in (caller, adult, child, world.caller("ehr-b"))]

    assert seen() == [200, 200, 404, 404]
    again = document(subject={"reference": "Patient/77"}, id="d1", description="Said better")
    assert caller.put("DocumentReference/d1", again).status_code == 200
    assert (seen(), world.fetches(), world.files_standing()) == ([200, 200, 404, 404], 0, [(1, None, "fetched")])


def test_the_same_file_named_by_two_documents_is_fetched_once(world: FileWorld) -> None:
    world.ehr.records["Binary/f1"] = given(PDF, "application/pdf")
    caller = world.register()
    identity = send(caller, document(), document(f"{world.ehr.base}/Binary/f1"))
    assert (world.fetches(), world.ehr.paths.count(GET), len(caller.stored("Binary"))) == (2, 1, 1)
    assert [file.is_here for file in world.shown(identity)] == [True]


def hostile(world: FileWorld, how: str) -> Handler:
    binary = {"resourceType": "Binary", "id": "f1", "contentType": "application/pdf"}
    large = PDF + bytes(25 * 1024 * 1024)
    handlers: dict[str, Handler] = {
        "redirect points elsewhere": status(301, Location=f"{world.elsewhere.base}/Binary/f1"),
        "file-too-large sends 25 MiB": given(large, "application/pdf"),
        "file-too-large sends 25 MiB as FHIR": resource(binary | {"data": base64.b64encode(large).decode()}),
        "wrong-type sends a page": given(b"<!doctype html><html>Log in</html>", "text/html"),
        "wrong-type sends a page that calls itself a PDF": given(b"<html>Log in</html>", "application/pdf"),
        "wrong-type sends a program": given(b"MZ\x90\0", "application/octet-stream"),
        "wrong-type sends a picture that runs": given(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
        "wrong-type sends XML": given(b"<Binary/>", "application/fhir+xml"),
        "no-file sends nothing": given(b"", "application/pdf"),
        "no-file sends an empty Binary": resource(binary),
        "not-valid sends what is no base64": resource(binary | {"data": "%%%"}),
        "wrong-resource sends an outcome": resource({"resourceType": "OperationOutcome", "issue": []}),
        "wrong-resource sends another": resource(binary | {"id": "f2", "data": "QUJD"}),
        "not-fhir sends a list": given(b"[]", FHIR),
        "timeout hangs": world.ehr.hang,
        "timeout trickles": world.ehr.trickle,
        "connection resets": reset,
        "not-found knows nothing": status(404),
        "gone has removed it": status(410),
        "not-let-in takes no token": status(401),
        "not-let-in forbids": status(403),
        "server-error fails": status(500),
        "throttled sends away": status(429, **{"Retry-After": "120"}),
    }
    return handlers[how]


HOW = [
    "redirect points elsewhere",
    "file-too-large sends 25 MiB",
    "file-too-large sends 25 MiB as FHIR",
    "wrong-type sends a page",
    "wrong-type sends a page that calls itself a PDF",
    "wrong-type sends a program",
    "wrong-type sends a picture that runs",
    "wrong-type sends XML",
    "no-file sends nothing",
    "no-file sends an empty Binary",
    "not-valid sends what is no base64",
    "wrong-resource sends an outcome",
    "wrong-resource sends another",
    "not-fhir sends a list",
    "timeout hangs",
    "timeout trickles",
    "connection resets",
    "not-found knows nothing",
    "gone has removed it",
    "not-let-in takes no token",
    "not-let-in forbids",
    "server-error fails",
    "throttled sends away",
]
FOR_GOOD = {"file-too-large", "wrong-type", "no-file", "not-valid", "wrong-resource", "gone"}


@pytest.mark.parametrize("how", HOW)
def test_a_hostile_ehr_neither_loses_a_referral_nor_leads_anywhere_else(
    world: FileWorld, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = how.partition(" ")[0]
    if kind == "timeout":
        monkeypatch.setattr(reading, "FILES", Limits(connect=0.5, read=0.5, whole=0.5))
    world.ehr.records["Binary/f1"] = hostile(world, how)
    caller = world.register()
    identity = send(caller, document())
    assert world.fetches() == 1
    ended = "refused" if kind in FOR_GOOD else None
    assert world.files_standing() == [(1, kind, ended)]
    world.later(days=1)
    assert (world.fetches(), world.elsewhere.calls, caller.stored("Binary")) == (0 if ended else 1, 0, [])
    assert caller.sums() == {"received": 1, "routed": 1, "review": 0, "rejected": 0, "refused": 0}
    [file] = world.shown(identity)
    assert (file.is_here, file.is_awaited) == (False, True)
    monkeypatch.undo()
    world.later(minutes=5)
    world.ehr.records["Binary/f1"] = given(PDF, "application/pdf")
    with world.site.store.writing() as connection:
        files.ask_again(connection, [file.fetch] if file.fetch else [], world.at)
    assert world.fetches() == 1
    assert [file.is_here for file in world.shown(identity)] == [True]


def test_files_that_fail_keep_no_record_from_being_read(world: FileWorld) -> None:
    world.ehr.records |= {f"Binary/{number}": status(500) for number in range(4)}
    world.ehr.holds(patient(ADULT_BORN, id="77"))
    caller = world.register()
    send(caller, *(document(f"Binary/{number}") for number in range(4)))
    assert world.fetches() == 4
    assert [tries for tries, *_ in world.files_standing()].count(0) == 1
    assert flags(caller.create(referral("A-2", subject={"reference": "Patient/77"})).json) == []


@pytest.mark.parametrize("reference", [one.replace("Patient", "Binary") for one in NEVER] + ["{base}/Patient/77"])
def test_what_is_no_binary_below_the_registered_base_is_never_called(world: FileWorld, reference: str) -> None:
    world.elsewhere.log_in = False
    caller = world.register()
    ports = {"port": world.ehr.port, "other": world.elsewhere.port, "base": world.ehr.base}
    send(caller, document(reference.format(**ports)))
    assert (world.fetches(), world.files_standing(), world.ehr.calls, world.elsewhere.calls) == (0, [], 0, 0)


def test_a_relative_address_is_meant_at_the_base_of_its_own_full_url(world: FileWorld) -> None:
    caller = world.register()
    theirs = document(id="d1", subject={"display": "Somebody"})
    sent = {"resourceType": "Bundle", "type": "collection"}
    for base in (world.elsewhere.base, world.ehr.base):
        caller.post("", sent | {"entry": [{"fullUrl": f"{base}/DocumentReference/d1", "resource": theirs}]})
    assert (world.fetches(), world.elsewhere.calls, world.ehr.paths[-1:]) == (1, 0, [GET])


def test_nothing_is_fetched_for_what_is_sent_meanwhile_or_named_no_longer(world: FileWorld) -> None:
    caller = world.register()
    held = entry(document(id="d1"), method="PUT", url="DocumentReference/d1")
    send(caller, document("Binary/f2"))
    assert caller.post("", bundle(held)).status_code == 200
    changed = document(id="d1", content=[{"attachment": {"title": "On paper"}}])
    assert caller.put("DocumentReference/d1", changed).status_code == 200
    caller.put("Binary/f2", {"resourceType": "Binary", "id": "f2", "contentType": "text/plain", "data": "QUJD"})
    assert world.fetches() == 2
    assert (world.files_standing(), world.ehr.calls) == ([(0, None, "called-off")] * 2, 0)
    world.ehr.records["Binary/f1"] = given(PDF, "application/pdf")
    assert caller.put("DocumentReference/d1", document(id="d1")).status_code == 200
    assert (world.fetches(), world.ehr.paths[-1]) == (1, GET)


def test_a_base_that_was_registered_anew_is_the_only_one_asked(world: FileWorld) -> None:
    send(world.register(), document())
    with world.site.store.writing() as connection:
        connection.execute(update(tables.client).values(ehr_base=world.elsewhere.base))
    assert (world.fetches(), world.files_standing()) == (1, [(0, None, "called-off")])
    assert (world.ehr.calls, world.elsewhere.calls) == (0, 0)


def test_a_file_named_by_a_document_that_was_read_from_the_ehr_is_fetched_too(world: FileWorld) -> None:
    theirs = {"subject": {"reference": "Patient/77"}, "id": "d1"}
    world.ehr.holds(patient(ADULT_BORN, id="77"), document(kind="text/plain", **theirs))
    world.ehr.records["Binary/f1"] = given(WORDS, "text/plain")
    pointing = {"subject": {"reference": "Patient/77"}, "supportingInfo": [{"reference": "DocumentReference/d1"}]}
    caller = world.register()
    answer = caller.create(referral(reason="", **pointing))
    assert (flags(answer.json), world.ehr.calls) == (["indication-undetermined"], 3)
    assert world.fetches() == 1
    served = caller.read(f"ServiceRequest/{answer.json['id']}")
    assert (flags(served), caller.queue_of(served["id"])) == ([], "adult-movement-disorders")


def evidence(caller: Caller, identity: str) -> list[tuple[str, str]]:
    decision = caller.read(f"ServiceRequest/{identity}/$decision")
    parts = [one["part"] for one in decision["parameter"] if one["name"] == "evidence"]
    named = [{part["name"]: part for part in one} for one in parts]
    return [(one["expression"]["valueString"], one["text"]["valueString"]) for one in named]


def test_the_words_of_a_text_that_was_fetched_are_evidence_and_the_referral_is_decided_again(world: FileWorld) -> None:
    words = "Seen by Dr Müller: cervical dystonia for two years.".encode("latin-1")
    world.ehr.records["Binary/f1"] = given(words, "text/plain; charset=ISO-8859-1")
    caller = world.register()
    identity = send(caller, document(kind="text/plain"), reason="")
    assert flags(caller.read(f"ServiceRequest/{identity}")) == ["indication-undetermined"]
    assert world.fetches() == 1
    served = caller.read(f"ServiceRequest/{identity}")
    assert (served["meta"]["versionId"], caller.queue_of(identity)) == ("2", "adult-movement-disorders")
    expression = "Bundle.entry[1].resource.content[0].attachment.url.resolve().data"
    assert (expression, "cervical dystonia") in evidence(caller, identity)
    assert caller.sums() == {"received": 1, "routed": 1, "review": 0, "rejected": 0, "refused": 0}


def test_a_text_that_comes_later_never_overrules_a_human(world: FileWorld) -> None:
    world.ehr.records["Binary/f1"] = given(WORDS, "text/plain")
    caller = world.register()
    identity = send(caller, document(kind="text/plain"), reason="")
    clinic = world.doors.of(filler("clinic", *Queue))
    assert clinic.reroute(clinic.task_of(identity), "pediatric-neuromotor").status_code == 200
    world.fetches()
    assert world.files_standing() == [(1, None, "fetched")]
    assert caller.queue_of(identity) == "pediatric-neuromotor"


def test_a_pdf_that_comes_later_decides_nothing_again(world: FileWorld) -> None:
    world.ehr.records["Binary/f1"] = given(PDF, "application/pdf")
    caller = world.register()
    identity = send(caller, document(), reason="")
    world.fetches()
    assert caller.read(f"ServiceRequest/{identity}")["meta"]["versionId"] == "1"


def test_a_text_of_another_patient_is_no_evidence(world: FileWorld) -> None:
    world.ehr.records["Binary/f1"] = given(WORDS, "text/plain")
    caller = world.register()
    identity = send(caller, document(kind="text/plain", subject={"reference": "Patient/78"}), reason="")
    world.fetches()
    assert flags(caller.read(f"ServiceRequest/{identity}")) == ["indication-undetermined"]


@pytest.mark.parametrize("is_before", [True, False])
def test_the_words_of_a_text_that_was_posted_before_are_read_at_once(world: FileWorld, is_before: bool) -> None:
    caller = world.caller()
    text = caller.post("Binary", WORDS, Content_Type="text/plain").json["id"]
    if not is_before:
        identity = send(caller, document(f"Binary/{text}", "text/plain"), reason="")
    else:
        caller.put("Patient/77", patient(ADULT_BORN, id="77"))
        held = document(f"Binary/{text}", "text/plain", id="d1", subject={"reference": "Patient/77"})
        assert caller.put("DocumentReference/d1", held).status_code == 201
        pointing = {"subject": {"reference": "Patient/77"}, "supportingInfo": [{"reference": "DocumentReference/d1"}]}
        identity = caller.create(referral(reason="", **pointing)).json["id"]
    assert caller.queue_of(identity) == "adult-movement-disorders"
    place = "ServiceRequest.supportingInfo[0].resolve()" if is_before else "Bundle.entry[1].resource"
    expression = f"{place}.content[0].attachment.url.resolve().data"
    assert evidence(caller, identity)[0] == (expression, "cervical dystonia")


@pytest.mark.parametrize("is_later", [True, False])
def test_a_text_that_its_sender_put_under_an_id_of_its_own_is_read_also_when_it_comes_later(
    world: FileWorld, is_later: bool
) -> None:
    caller = world.caller()
    text = {"resourceType": "Binary", "id": "f1", "contentType": "text/plain"}
    text["data"] = base64.b64encode(WORDS).decode()
    if not is_later:
        assert caller.put("Binary/f1", text).status_code == 201
    identity = send(caller, document(kind="text/plain"), reason="")
    assert caller.queue_of(identity) == ("intake-review" if is_later else "adult-movement-disorders")
    if is_later:
        assert caller.put("Binary/f1", text).status_code == 201
    assert caller.queue_of(identity) == "adult-movement-disorders"


def test_a_text_of_another_client_is_never_read(world: FileWorld) -> None:
    text = world.caller("ehr-b").post("Binary", WORDS, Content_Type="text/plain").json["id"]
    caller = world.caller()
    identity = send(caller, document(f"Binary/{text}", "text/plain"), reason="")
    assert flags(caller.read(f"ServiceRequest/{identity}")) == ["indication-undetermined"]


def test_a_preview_reads_what_is_here_and_fetches_nothing(world: FileWorld) -> None:
    caller = world.register()
    text = caller.post("Binary", WORDS, Content_Type="text/plain").json["id"]
    for url, disposition in ((f"Binary/{text}", "routed"), ("Binary/f1", "review")):
        named = "urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f0001"
        sent = referral(reason="", subject={"reference": named})
        body = bundle(entry(patient(ADULT_BORN), named), entry(document(url, "text/plain")), entry(sent))
        said = caller.post("ServiceRequest/$preview", body).json["parameter"]
        assert next(one["valueCode"] for one in said if one["name"] == "disposition") == disposition
    assert (world.fetches(), world.ehr.calls) == (0, 0)


def test_a_file_whose_worker_has_died_is_fetched_by_another_and_stored_once(world: FileWorld) -> None:
    world.ehr.records["Binary/f1"] = given(PDF, "application/pdf")
    caller = world.register()
    send(caller, document())
    world.later(seconds=0)
    with world.site.store.writing() as connection:
        assert leases.claim(connection, tables.ehr_file, world.at, lease=FileFetcher.lease)
    assert world.fetches() == 0
    world.later(seconds=FileFetcher.lease.total_seconds())
    assert (world.fetches(), len(caller.stored("Binary"))) == (1, 1)


def test_what_was_fetched_under_a_lease_that_has_ended_is_not_kept(world: FileWorld) -> None:
    def slow(request: BaseHTTPRequestHandler) -> None:
        with world.site.store.writing() as connection:
            file = tables.ehr_file
            connection.execute(update(file).values(attempts=file.c.attempts + 1))
        given(PDF, "application/pdf")(request)

    world.ehr.records["Binary/f1"] = slow
    caller = world.register()
    send(caller, document())
    assert (world.fetches(), caller.stored("Binary"), world.files_standing()) == (1, [], [(0, None, None)])


ALLOWED = frozenset({"application/pdf", "image/png", "text/plain"})


@pytest.mark.parametrize(
    ("data", "stated", "expected", "taken"),
    [
        (PDF, "application/pdf", "", "application/pdf"),
        (PDF, "Application/PDF; version=1.7", "", "application/pdf"),
        (PDF, "application/octet-stream", "application/pdf", "application/pdf"),
        (PDF, "", "", "application/pdf"),
        (PDF, "application/octet-stream", "image/png", None),
        (PDF, "image/png", "application/pdf", None),
        (PDF, "text/plain", "application/pdf", None),
        (b"GIF89a", "image/gif", "", None),
        (b"plain", "text/plain", "", "text/plain"),
        (b"gr\xfc\xdfe", "text/plain;charset=Latin1", "", "text/plain; charset=latin1"),
        (b"gr\xfc\xdfe", "", "text/plain", "text/plain"),
        (b"\x00\xff\x01", "text/plain", "", None),
        (b"\xff\xfe\x01", "", "", None),
    ],
)
def test_a_file_counts_as_what_its_bytes_show_and_its_server_says(
    data: bytes, stated: str, expected: str, taken: str | None
) -> None:
    assert taken_as(data, stated, expected, ALLOWED) == taken
