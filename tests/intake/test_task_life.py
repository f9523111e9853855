"""The life of a Task, lived many times at random against a small model of it that shares no code with the service."""

from __future__ import annotations

import json
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from referral_service.intake import Became, Incoming, Site, receive
from referral_service.intake.moves import act
from referral_service.issues import FaultKind
from referral_service.referral import Queue
from referral_service.store import tables
from referral_service.store import worklist as reads
from referral_service.worklist import Actor, Role
from tests.shapes import OWN, Resource, patient, referral

START = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)
ADULT, CHILD, REVIEW = "adult-movement-disorders", "pediatric-neuromotor", "intake-review"
SIDES = {"1970-05-01": ADULT, "2019-05-01": CHILD, None: None}
CLEAR, UNCLEAR = "Cervical dystonia", "Torticollis"
BEFORE, ENDS = {"requested", "received", "accepted"}, {"rejected", "cancelled", "completed", "failed"}
OPEN = BEFORE | {"in-progress", "on-hold"}
PEOPLE = {
    role: Actor(role.value, f"The {role.value}", frozenset({role}), frozenset(Queue))
    for role in (Role.COORDINATOR, Role.LEAD, Role.AUDITOR)
}

FORWARD = {
    "receive": ({"requested"}, "received"),
    "accept": ({"requested", "received"}, "accepted"),
    "start": ({"accepted"}, "in-progress"),
    "return-for-information": (BEFORE | {"in-progress"}, "on-hold"),
    "hold": (BEFORE | {"in-progress"}, "on-hold"),
    "reject": (BEFORE | {"on-hold"}, "rejected"),
    "cancel": (BEFORE | {"on-hold"}, "cancelled"),
    "complete": ({"in-progress"}, "completed"),
    "fail": ({"in-progress"}, "failed"),
    "entered-in-error": (OPEN | ENDS, "entered-in-error"),
}
WORDS = {
    "return-for-information": {"reason": "more-information-needed", "comment": "Which side?"},
    "hold": {"reason": "capacity"},
    "reject": {"reason": "duplicate"},
    "cancel": {"reason": "patient-declined"},
    "fail": {"reason": "deceased"},
    "assign": {"assignee": "Kim Rota"},
    "book-appointment": {"date": "2026-12-01"},
    "move-appointment": {"date": "2026-12-08"},
    "set-business-status": {"business-status": "awaiting-appointment"},
    "pause-clock": {"comment": "Abroad."},
    "undo": {"comment": "Wrong click."},
    "entered-in-error": {"comment": "Another patient's."},
    "comment": {"comment": "Rang the practice."},
    "correct-code": {"code": "G24.8", "comment": "Seen."},
    "confirm-birth-date": {"birth-date": "2019-05-01", "comment": "By telephone."},
    "re-route": {"queue": CHILD, "comment": "Known there."},
}
MEANS = {"book-appointment": "appointment-booked", "move-appointment": "appointment-moved"}
OTHERS = (*("resume", "claim", "unassign", "resume-clock", "did-not-attend", "seen", *WORDS.keys() - FORWARD.keys()),)


@dataclass
class Model:
    """What is to be true of one Task."""

    queue: str
    clear: bool
    side: str | None
    status: str = "requested"
    held_from: str | None = None
    asked: bool = False
    asked_over: bool = True
    assignee: bool = False
    paused: bool = False
    appointment: bool = False
    wish: bool = False
    progress: str | None = None
    by_hand: bool = False
    code_by_hand: bool = False
    withdrawn: bool = False
    before_end: Model | None = None
    version: int = field(default=1)

    def shown(self) -> str | None:
        """A wish to cancel stands over a question, and both over how far the work has come."""
        if self.wish:
            return "cancellation-requested"
        return "awaiting-information" if self.asked and self.asked_over else self.progress

    def route(self) -> str:
        return self.side if (self.clear or self.code_by_hand) and self.side else REVIEW

    def enter(self, queue: str) -> None:
        """Another queue starts it again."""
        if queue != self.queue:
            self.queue, self.status, self.held_from, self.asked, self.assignee = queue, "requested", None, False, False
            self.appointment, self.progress = False, None

    def end(self, status: str) -> None:
        self.before_end = copy(self)
        self.status, self.held_from, self.paused, self.asked = status, None, False, False

    def can(self, action: str) -> bool:
        if action in FORWARD:
            return self.status in FORWARD[action][0]
        at_work = self.status in ("accepted", "in-progress")
        return {
            "resume": self.status == "on-hold",
            "undo": self.status in ENDS and not self.withdrawn,
            "comment": self.status != "entered-in-error",
            "claim": self.status in OPEN and not self.assignee,
            "unassign": self.status in OPEN and self.assignee,
            "pause-clock": self.status in OPEN and not self.paused,
            "resume-clock": self.status in OPEN and self.paused,
            "book-appointment": at_work and not self.appointment,
            "move-appointment": at_work and self.appointment,
            "did-not-attend": at_work and self.appointment,
            "seen": at_work,
            "correct-code": self.status in OPEN and not self.withdrawn,
            "confirm-birth-date": self.status in OPEN and not self.withdrawn,
            "re-route": self.status in OPEN,
            "assign": self.status in OPEN,
            "set-business-status": self.status in OPEN and not self.withdrawn,
        }[action]

    def does(self, action: str, fields: Resource) -> None:
        if action in FORWARD:
            self._goes(action)
        elif action == "resume":
            self.status, self.held_from, self.asked = str(self.held_from), None, False
        elif action == "undo":
            assert self.before_end is not None
            before, version = self.before_end, self.version
            self.__dict__.update(before.__dict__, version=version)
        elif action in ("claim", "assign", "unassign"):
            self.assignee = action != "unassign"
        elif action in ("pause-clock", "resume-clock"):
            self.paused = action == "pause-clock"
        elif action in ("book-appointment", "move-appointment", "did-not-attend", "seen"):
            self.appointment = self.appointment or "appointment" in action
            self.progress = MEANS.get(action, action)
        elif action == "set-business-status":
            self.appointment, self.progress = False, fields.get("business-status")
            self.asked_over = False
        elif action == "re-route":
            self.enter(fields["queue"])
            self.by_hand = True
        else:
            self._corrected(action)

    def _goes(self, action: str) -> None:
        target = FORWARD[action][1]
        if target == "on-hold":
            self.held_from, self.status = self.status, target
            self.asked = action == "return-for-information"
            self.asked_over = self.asked
        elif target in ENDS:
            self.end(target)
        else:
            self.status, self.held_from = target, None
            if target == "entered-in-error":
                self.paused, self.asked = False, False

    def _corrected(self, action: str) -> None:
        if action == "correct-code":
            self.code_by_hand = True
            if self.queue == REVIEW and not self.by_hand:
                self.enter(self.route())
        elif action == "confirm-birth-date":
            self.side = CHILD
            if not self.by_hand and (self.route() != REVIEW or self.status == "requested"):
                self.enter(self.route())


class TaskLife(RuleBasedStateMachine):
    """One referral and its Task in a real store."""

    site: Site

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.number = uuid4().hex
        self.sent = 0

    @initialize(reason=st.sampled_from([CLEAR, UNCLEAR]), born=st.sampled_from(list(SIDES)))
    def send(self, reason: str, born: str | None) -> None:
        self.patient = patient(born, id="p", name=[{"family": "Invented"}])
        answer = self._receive(self._referral(reason))
        assert answer.became is Became.CREATED
        self.referral_id, self.task_id = str(answer.id), str(answer.task_id)
        self.model = Model(REVIEW, reason == CLEAR, SIDES[born])
        self.model.queue = self.model.route()
        self.first = self._task()

    def _referral(self, reason: str, **more: Any) -> Resource:
        self.sent += 1
        return referral(
            self.number,
            reason,
            contained=[self.patient],
            subject={"reference": "#p"},
            note=[{"text": f"Letter {self.sent}"}],
            **more,
        )

    def _receive(self, sent: Resource, version: int | None = None) -> Any:
        update = {"if_match": f'W/"{version}"', "put_to": f"ServiceRequest/{sent['id']}"} if version else {}
        incoming = Incoming(
            "north", "test", "r", json.dumps(sent).encode(), self.now, is_update=version is not None, **update
        )
        received = receive(self.site, incoming, "ServiceRequest")
        return received.failed or received.answers[0]

    @rule(
        action=st.sampled_from([*FORWARD, *OTHERS]),
        role=st.sampled_from([Role.LEAD, Role.LEAD, Role.LEAD, Role.COORDINATOR, Role.AUDITOR]),
        queue=st.sampled_from([ADULT, CHILD, REVIEW]),
        days=st.integers(0, 4),
        is_whole=st.sampled_from([True, True, True, False]),
    )
    def move(self, action: str, role: Role, queue: str, days: int, is_whole: bool) -> None:
        self.now += timedelta(days=days)
        fields = dict(WORDS.get(action, {})) | ({"queue": queue} if action == "re-route" else {})
        lacks = not is_whole and bool(fields)
        if lacks:
            fields.pop(sorted(fields)[0])
            lacks = action != "set-business-status"  # which may be given nothing
        answer = act(self.site, PEOPLE[role], self.task_id, self.model.version, action, fields, self.now, "r")
        if role is Role.AUDITOR:
            assert answer.fault is FaultKind.NOT_FOUND
            return
        if action in ("undo", "entered-in-error") and role is not Role.LEAD:
            assert answer.fault is FaultKind.FORBIDDEN
        elif not self.model.can(action) or lacks or fields.get("queue") == self.model.queue:
            assert answer.fault is FaultKind.BUSINESS_RULE
        else:
            assert answer.fault is None, answer.issues
            self.model.does(action, fields)
            self.model.version += 1

    @rule(action=st.sampled_from(["claim", "accept", "comment"]), behind=st.integers(1, 3))
    def move_too_late(self, action: str, behind: int) -> None:
        version = self.model.version - behind
        answer = act(self.site, PEOPLE[Role.LEAD], self.task_id, version, action, WORDS.get(action, {}), self.now, "r")
        assert answer.fault is FaultKind.PRECONDITION

    @rule(reason=st.sampled_from([CLEAR, UNCLEAR]))
    def the_sender_writes_again(self, reason: str) -> None:
        model, row = self.model, self._row(tables.service_request, self.referral_id)
        answer = self._receive(self._referral(reason, id=self.referral_id), row["version"])
        if model.status not in OPEN:
            assert answer.fault is FaultKind.CONFLICT
            return
        assert answer.became is Became.UPDATED, answer.issues
        if model.asked:
            model.does("resume", {})
        if model.withdrawn:
            model.withdrawn = model.wish = False
        model.clear = reason == CLEAR
        if model.status == "requested" and not model.by_hand:
            model.enter(model.route())
        model.version += 1

    @rule()
    def the_sender_revokes(self) -> None:
        model, row = self.model, self._row(tables.service_request, self.referral_id)
        answer = self._receive(self._referral(CLEAR, id=self.referral_id, status="revoked"), row["version"])
        if model.withdrawn:
            assert answer.became is Became.REPLAYED
        elif model.status not in OPEN:
            assert answer.fault is FaultKind.CONFLICT
        else:
            assert answer.became is Became.UPDATED
            if (model.held_from or model.status) in BEFORE:
                model.end("cancelled")
            else:
                model.wish = True
            model.withdrawn = True
            model.version += 1

    def _row(self, table: Any, identity: str) -> Any:
        with self.site.store.reading() as connection:
            return connection.execute(select(table).where(table.c.id == identity)).mappings().one()

    def _task(self) -> Resource:
        return json.loads(self._row(tables.task, self.task_id)["content"])

    @invariant()
    def the_row_is_as_the_model_says(self) -> None:
        model, row = self.model, self._row(tables.task, self.task_id)
        assert (row["status"], row["queue"], row["held_from"], row["version"], bool(row["by_hand"])) == (
            model.status,
            model.queue,
            model.held_from,
            model.version,
            model.by_hand,
        )
        assert (row["assignee"] is not None, row["paused_since"] is not None, row["appointment"] is not None) == (
            model.assignee,
            model.paused,
            model.appointment,
        )

    @invariant()
    def the_resource_says_the_same_as_the_row(self) -> None:
        task = self._task()
        assert task["status"] == self.model.status
        assert ("statusReason" in task) == (task["status"] in ("rejected", "on-hold", "cancelled", "failed"))
        assert [task["meta"]["versionId"], task["authoredOn"]] == [str(self.model.version), self.first["authoredOn"]]
        assert task["restriction"]["period"]["end"] >= self.first["restriction"]["period"]["end"]

    @invariant()
    def business_status_and_appointment_agree_in_content_and_columns(self) -> None:
        row, task = self._row(tables.task, self.task_id), self._task()
        shown = [one["code"] for one in task.get("businessStatus", {}).get("coding", [])]
        dates = [one["valueDateTime"] for one in task.get("extension", []) if "valueDateTime" in one]
        assert (shown, dates) == (_listed(row["business_status"]), _listed(row["appointment"]))
        assert shown == _listed(self.model.shown())
        if row["business_status"] in MEANS.values():
            assert dates
        if row["business_status"] == "awaiting-information":
            assert row["status"] == "on-hold"

    @invariant()
    def owner_tag_decision_and_ledger_agree(self) -> None:
        request = self._row(tables.service_request, self.referral_id)
        tags = json.loads(request["content"])["meta"]["tag"]
        decision = json.loads(request["decision"])["parameter"]
        queue = self._task()["owner"]["reference"].removeprefix("HealthcareService/")
        tagged = [tag["code"] for tag in tags if tag["system"] == f"{OWN}/CodeSystem/queue"]
        decided = [one["valueCode"] for one in decision if one["name"] == "queue"]
        with self.site.store.reading() as connection:
            ledger = connection.execute(
                select(tables.ledger.c.state).where(tables.ledger.c.referral_id == self.referral_id)
            ).scalars()
            state = "review" if queue == REVIEW else "routed"
            assert (tagged, decided, list(ledger), request["disposition"]) == ([queue], [queue], [state], state)

    @invariant()
    def a_code_by_hand_stands(self) -> None:
        if self.model.code_by_hand:
            assert self._row(tables.task, self.task_id)["code"] == "G24.8"

    @invariant()
    def every_version_has_its_row(self) -> None:
        with self.site.store.reading() as connection:
            versions = [row["version"] for row in reads.timeline(connection, self.task_id)]
        assert sorted(set(versions)) == list(range(1, self.model.version + 1))


def _listed(value: str | None) -> list[str]:
    return [value] if value else []


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_task_lives_as_the_model_says(site: Site) -> None:
    machine = type("TaskLife", (TaskLife,), {"site": site})
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    lives = settings(max_examples=200, stateful_step_count=20, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(machine, settings=lives)
