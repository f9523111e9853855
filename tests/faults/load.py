"""Writers that send over real HTTP until told to stop, and write down whatever was acknowledged.

What got no answer is sent again until it is answered, as an EHR does: it counts once, and stands here once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import count
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import urlsplit

from tests.canaries import leak
from tests.faults.invariants import BUNDLES, Acknowledged, NotTaken
from tests.shapes import FHIR_JSON, Resource, bundle, entry, patient, placer, referral

SECONDS = 30
NUMBERS = count(1)
UNANSWERED = (OSError, HTTPException)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: Any
    request_id: str


@dataclass
class Journal:
    """What all writers were told; ``faults`` are answers that no fault of ours excuses."""

    acknowledged: list[Acknowledged] = field(default_factory=list)
    not_taken: list[NotTaken] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    unanswered: list[str] = field(default_factory=list)
    """The ids of requests that got no answer at all."""
    writes: int = 0
    lock: Lock = field(default_factory=Lock)

    def note(self, *written: Acknowledged | NotTaken) -> None:
        with self.lock:
            self.writes += 1
            for one in written:
                (self.not_taken if isinstance(one, NotTaken) else self.acknowledged).append(one)  # type: ignore[attr-defined]

    def answered(self, answer: Answer, expected: Sequence[int]) -> None:
        """Only 503 with the time to come back excuses that something is not done."""
        with self.lock:
            self.answers[answer.status] += 1
            if answer.status == 503 and "retry-after" in answer.headers:
                return
            if answer.status not in expected or leak(str(answer.body) if answer.status >= 400 else "") is not None:
                self.faults.append(f"{answer.status} {json.dumps(answer.body)[:400]}")


@dataclass
class Door:
    """One writer's connection to whichever server answers. ``anew`` opens one for each request."""

    bases: Sequence[str]
    journal: Journal
    stopping: Event = field(default_factory=Event)
    anew: bool = False
    _connection: HTTPConnection | None = None
    _turn: int = 0

    def once(self, method: str, path: str, body: Any, **headers: str) -> Answer:
        """Raises one of :data:`UNANSWERED`."""
        request_id = f"f-{next(NUMBERS)}"
        named = {"Content-Type": FHIR_JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if self._connection is None:
            base = urlsplit(self.bases[self._turn % len(self.bases)])
            self._connection = HTTPConnection(base.hostname or "", base.port, timeout=SECONDS)
        try:
            sent = body if isinstance(body, bytes) else json.dumps(body).encode()
            self._connection.request(method, f"/fhir{path}", sent, {**named, "X-Request-Id": request_id})
            reply = self._connection.getresponse()
            content, told = reply.read(), {name.lower(): value for name, value in reply.getheaders()}
        except UNANSWERED:
            self.close()
            self._turn += 1
            with self.journal.lock:
                self.journal.unanswered.append(request_id)
            raise
        if self.anew:
            self.close()
        return Answer(reply.status, told, _json(content), request_id)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def until_answered(self, method: str, path: str, body: Any, expected: Sequence[int], **headers: str) -> Answer:
        """Sends the same again until it is done or refused. Raises :class:`Stopped` when told to stop before."""
        while not self.stopping.is_set():
            try:
                answer = self.once(method, path, body, **headers)
            except UNANSWERED:
                self.stopping.wait(0.1)
                continue
            self.journal.answered(answer, expected)
            if answer.status != 503:
                return answer
            self.stopping.wait(0.2)
        raise Stopped


class Stopped(Exception):
    """The load is over; whatever was under way is not acknowledged."""


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode("utf-8", "replace")


@dataclass
class Writer:
    """One EHR and one clinic in one: sends, corrects and works on its own referrals, one thing at a time."""

    door: Door
    name: str
    number: int = 0
    latest: Resource = field(default_factory=dict)
    task: tuple[str, int, str] | None = None
    """Id, version and status of the Task of the latest referral."""

    @property
    def journal(self) -> Journal:
        return self.door.journal

    def step(self) -> None:
        """The next of its things to do."""
        self.number += 1
        _DAY[self.number % len(_DAY)](self)

    def key(self) -> str:
        return f"{self.name}-{self.number}"

    def create(self, **more: Any) -> None:
        key = self.key()
        sent = referral(key, **more)
        answer = self.door.until_answered("POST", "/ServiceRequest", sent, (200, 201))
        if answer.status not in (200, 201):
            return
        made = answer.body
        self.latest = {**sent, "id": made["id"], "versionId": int(made["meta"]["versionId"])}
        self.task = (answer.headers["link"].split("/Task/")[1].split(">")[0], 1, "requested")
        self.journal.note(
            Acknowledged("ServiceRequest", made["id"], int(made["meta"]["versionId"]), answer.request_id, made, key)
        )

    def create_for_review(self) -> None:
        """No birth date: held for a human, who then moves it to a queue."""
        self.create(contained=[patient(None, id="p")])
        self._move(
            {"op": "replace", "path": "/owner", "value": {"reference": "HealthcareService/adult-movement-disorders"}},
            NOTE,
        )

    def transact(self) -> None:
        """A Patient, a Condition and the referral: all of them, or none."""
        key, urn = self.key(), "urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f0001"
        mark = [{"system": BUNDLES, "value": key}]
        condition = {
            "resourceType": "Condition",
            "identifier": mark,
            "subject": {"reference": urn},
            "code": {"text": "Cervical dystonia"},
        }
        sent = referral(None, identifier=[*mark, placer(key)], subject={"reference": urn})
        body = bundle(entry(patient(identifier=mark), urn), entry(condition), entry(sent))
        answer = self.door.until_answered("POST", "", body, (200,))
        if answer.status != 200:
            return
        self.journal.note(*(one for one in (_located(one, answer, key) for one in answer.body["entry"]) if one))

    def correct(self) -> None:
        """The sender adds a note to its latest referral."""
        if not self.latest:
            return
        version = self.latest.pop("versionId")
        sent = {**self.latest, "note": [{"text": f"Corrected as {self.key()}"}]}
        address = f"/ServiceRequest/{sent['id']}"
        answer = self.door.until_answered("PUT", address, sent, (200, 412), If_Match=f'W/"{version}"')
        self.latest = {}
        if answer.status == 200:
            made = answer.body
            self.journal.note(
                Acknowledged("ServiceRequest", made["id"], int(made["meta"]["versionId"]), answer.request_id, made)
            )

    def move(self) -> None:
        """The next move of the latest referral's Task."""
        if self.task is not None:
            target = {"requested": "accepted", "accepted": "in-progress", "in-progress": "completed"}[self.task[2]]
            self._move({"op": "replace", "path": "/status", "value": target})

    def _move(self, *operations: Resource) -> None:
        """After a move that got no answer somebody may have made it: then the Task is left alone."""
        if self.task is None:
            return
        identity, version, _ = self.task
        self.task = None
        named = {"If_Match": f'W/"{version}"', "Content_Type": "application/json-patch+json"}
        answer = self.door.until_answered("PATCH", f"/Task/{identity}", list(operations), (200, 412), **named)
        if answer.status == 200:
            made, version = answer.body, int(answer.body["meta"]["versionId"])
            self.journal.note(Acknowledged("Task", identity, version, answer.request_id, made))
            if made["status"] in ("requested", "accepted", "in-progress"):
                self.task = (identity, version, made["status"])

    def put_patient(self) -> None:
        name = f"{self.name}-patient"
        sent = patient(f"19{10 + self.number % 80}-01-01", id=name)
        answer = self.door.until_answered("PUT", f"/Patient/{name}", sent, (200, 201))
        if answer.status in (200, 201):
            made = answer.body
            self.journal.note(Acknowledged("Patient", made["id"], int(made["meta"]["versionId"]), answer.request_id))

    def send_knee_pain(self) -> None:
        self._not_taken(referral(self.key(), "Knee pain"), 422, "rejected")

    def send_nonsense(self) -> None:
        self._not_taken(b'{"resourceType": "ServiceRequest", "status":', 400, "refused")

    def _not_taken(self, sent: Any, status: int, state: str) -> None:
        answer = self.door.until_answered("POST", "/ServiceRequest", sent, (status,))
        if answer.status == status:
            self.journal.note(NotTaken(answer.request_id, state))


NOTE = {"op": "add", "path": "/note", "value": [{"text": "Known there."}]}


def _located(one: Resource, answer: Answer, key: str) -> Acknowledged | None:
    kind, identity, _, version = one["response"]["location"].rsplit("/fhir/", 1)[1].split("/")
    return Acknowledged(kind, identity, int(version), answer.request_id, key=key if kind == "ServiceRequest" else None)


_DAY: tuple[Callable[[Writer], None], ...] = (
    *(Writer.create, Writer.correct, Writer.transact, Writer.create, Writer.move, Writer.move, Writer.move),
    *(
        Writer.create,
        Writer.put_patient,
        Writer.create_for_review,
        Writer.transact,
        Writer.create,
        Writer.send_knee_pain,
    ),
    *(Writer.create, Writer.correct, Writer.move, Writer.create, Writer.send_nonsense, Writer.create, Writer.transact),
)


@contextmanager
def writing(bases: Sequence[str], journal: Journal, writers: int = 8, *, anew: bool = False) -> Iterator[Event]:
    """So many writers at once for as long as the block runs; the event tells them to stop before."""
    stopping = Event()
    failed: list[BaseException] = []

    def run(writer: Writer) -> None:
        try:
            while not stopping.is_set():
                writer.step()
        except Stopped:
            pass
        except BaseException as problem:  # a fault of the harness, told below
            failed.append(problem)
            stopping.set()
        finally:
            writer.door.close()

    first = next(NUMBERS)
    doors = [Door(bases, journal, stopping, anew, _turn=number) for number in range(writers)]
    threads = [Thread(target=run, args=(Writer(door, f"w{first}-{number}"),)) for number, door in enumerate(doors)]
    for thread in threads:
        thread.start()
    try:
        yield stopping
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    if failed:
        raise failed[0]
