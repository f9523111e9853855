"""Many referrals of a list moved at once. Each is judged by itself, and whoever has one that could not be is named."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from flask import Blueprint, g, render_template, request

from referral_service.intake.moves import act
from referral_service.issues import Fault, FaultKind, error
from referral_service.referral import Queue
from referral_service.store import worklist as stored
from referral_service.store.worklist import Reader, Row
from referral_service.web import worklist
from referral_service.web.auditing import audited
from referral_service.web.forms import check_form
from referral_service.web.frame import known_for
from referral_service.web.frame import now as page_now
from referral_service.web.http import access, actor, now, site
from referral_service.web.present import queue, timeline
from referral_service.web.present.timeline import Event
from referral_service.web.worklist.choices import BULK

blueprint = Blueprint("bulk", __name__)
_PICK = re.compile(r"([0-9A-Za-z\-]{1,64})\.([0-9]{1,9})", re.ASCII)
MOST = 100


@dataclass(frozen=True, slots=True)
class NotDone:
    """One that was not moved: whose referral it is, and the change that came before."""

    line: queue.Line
    by: Event


@blueprint.post("/do/<move>")
def do(move: str) -> str:
    """The list again, above it how many were moved, and which were not."""
    check_form()
    picks = [_PICK.fullmatch(pick) for pick in dict.fromkeys(request.form.getlist("task"))]
    if move not in BULK or None in picks or len(picks) > MOST:
        raise Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", "This form is none of ours."))
    left = [pick[1] for pick in picks if pick and not _moved(move, pick[1], int(pick[2]))]
    with site().store.reading() as connection:
        asked = worklist.asked_for(connection)
        shown = worklist.shown(connection, asked)
        not_done = _not_done(connection, left)
    told = {"bulk": BULK[move], "moved": len(picks) - len(left), "not_done": not_done, "picked": len(picks)}
    return render_template("worklist.html", **shown, **told)


def _moved(code: str, task_id: str, version: int) -> bool:
    answer = act(site(), actor(), task_id, version, code, {}, now(), g.request_id, access())
    return answer.fault is None


def _not_done(connection: Reader, task_ids: Iterable[str]) -> list[NotDone]:
    rows = [row for row in stored.of_tasks(connection, task_ids) if actor().sees(Queue(row["queue"]), row["client"])]
    audited((), [row["patient_id"] for row in rows])
    known, at, policy = known_for(connection, queue.wanted(rows)), page_now(), site().policy
    return [NotDone(queue.line(row, known, at, policy), _last(connection, row)) for row in rows]


def _last(connection: Reader, row: Row) -> Event:
    """What stood in the way: who took it in hand, else the latest change."""
    events = timeline.timeline(stored.timeline(connection, row["task_id"]), page_now(), site().policy)
    taken = (event for event in events if event.action in ("claim", "assign"))
    return next(taken, events[0]) if row["assignee"] else events[0]
