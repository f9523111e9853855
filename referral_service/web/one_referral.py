"""The page of one referral: everything on one screen, gathered in one look at the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from flask import url_for

from referral_service.intake.moves import actions_of
from referral_service.issues import Fault, FaultKind, error
from referral_service.referral import Queue
from referral_service.store import alerts, deliveries, fetches, listing, lookups, worklist
from referral_service.store.worklist import Reader, Row
from referral_service.web.attachments import files_of
from referral_service.web.auditing import audited
from referral_service.web.frame import CLOSED, frame, known_for, now, parsed
from referral_service.web.http import actor, queues_seen, site
from referral_service.web.present import (
    acting,
    alert,
    decision,
    delivery,
    evidence,
    nottaken,
    queue,
    referral,
    timeline,
    words,
)
from referral_service.web.present import fetches as present_fetches
from referral_service.web.present.acting import Options, Typed
from referral_service.web.present.likely import likely
from referral_service.web.present.messages import messages
from referral_service.web.present.original import outline
from referral_service.web.present.standing import standing
from referral_service.web.present.timeline import Event
from referral_service.web.present.words import Now
from referral_service.web.worklist.choices import business_statuses, codes
from referral_service.worklist import SET_BY_HAND, Action
from referral_service.worklist.actions import BY_CODE


def page(identity: str, typed: Typed | None = None, *, seen: int | None = None, done: str = "") -> dict[str, Any]:
    """All that the page is made from.

    ``typed`` is a form that could not be taken, ``seen`` the version that it was offered on when somebody was quicker,
    ``done`` the version that this person's last move made.
    """
    allowed = _allowed(identity)
    at, policy = now(), site().policy
    with site().store.reading() as connection:
        row = worklist.one_referral(connection, identity)
        assert row is not None
        audited([f"ServiceRequest/{identity}"], [row["patient_id"]])
        changes = worklist.timeline(connection, row["task_id"])
        raised = alerts.of_referral(connection, identity)
        told = deliveries.of_referral(connection, identity)
        people = listing.assignees(connection, queues_seen())
        around = frame(connection, CLOSED if row["closed"] else row["queue"], at)
        events = timeline.timeline(changes, at, policy, is_masked=row["referral_status"] == queue.MASKED)
        shown = _shown(connection, row, events, at)
        awaited = [] if row["closed"] else present_fetches.awaited(fetches.of_referral(connection, identity), at)
        awaited += present_fetches.awaited_files([(one.title, one.fetch) for one in shown.get("files", [])], at)
    offered = acting.offered(allowed, row["version"], likely(row, policy), _options(row, people), typed, policy)
    return {
        **around,
        **shown,
        "row": row,
        "place": words.queue_name(row["queue"], policy),
        "standing": standing(row, changes, at, policy),
        "events": events,
        "awaited": awaited,
        "receivers": delivery.of_referral(told, row["client"], at),
        "alerts": [alert.shown(one, at, policy) for one in raised],
        "offered": offered,
        "problem": acting.problem(BY_CODE[typed.action], typed, offered) if typed else None,
        "overtaken_by": [event for event in events if seen is not None and event.version > seen],
        "done": next((event for event in events if str(event.version) == done and event.actor == actor().id), None),
    }


def address(identity: str, done: int | None = None) -> str:
    """Of its page; of the list and the queue it stands in, when that is none that this person sees."""
    with site().store.reading() as connection:
        row = worklist.one_referral(connection, identity)
    if row is None or actor().sees(Queue(row["queue"]), row["client"]):
        return url_for("pages.show_referral", identity=identity, done=done)
    return url_for("worklist.show", went=row["queue"])


def _allowed(identity: str) -> tuple[Action, ...]:
    """The moves that this person may make now. Asked first: what changes meanwhile makes their version a stale one."""
    with site().store.reading() as connection:
        row = worklist.one_referral(connection, identity)
    standing = actions_of(site(), actor(), row["task_id"]) if row is not None else None
    if standing is None:
        raise Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", "There is no such referral."))
    return standing[1]


def _options(row: Row, people: list[str]) -> Options:
    queues = [(name.value, site().policy.queues[name]) for name in Queue if name.value != row["queue"]]
    titles = [(code, f"{code} {title}") for code, title in codes().items()]
    by_hand = [(code, words) for code, words in business_statuses().items() if code in SET_BY_HAND]
    return Options(queues, titles, by_hand, people)


def _shown(connection: Reader, row: Row, events: list[Event], at: Now) -> dict[str, Any]:
    """What is known of the patient and the request; of one that was entered in error nothing."""
    policy = site().policy
    known = known_for(connection, referral.wanted(row))
    line = queue.line(row, known, at, policy)
    if row["referral_status"] == queue.MASKED:
        return {"is_masked": True, "line": line}
    related = worklist.related_persons(connection, row["client"], row["patient_id"]) if row["patient_id"] else []
    return {
        "is_masked": False,
        "line": line,
        "of_same_patient": _of_same_patient(connection, row, at),
        "patient": referral.patient(row, known, related),
        "asked": referral.asked(row, known),
        "decision": decision.decision(row, _roots(connection, row), policy),
        "corrections": decision.corrections(row, at, policy),
        "messages": messages(row, events, _versions(connection, row), at),
        "files": files_of(connection, row),
        **_original(connection, row),
    }


def _of_same_patient(connection: Reader, row: Row, at: Now) -> list[dict[str, Any]]:
    """Open referrals of the same patient by other clients, as far as this person sees their queues."""
    if not row["patient_id"]:
        return []
    found = worklist.of_same_patient(connection, row["client"], row["patient_id"], queues_seen())
    audited([f"ServiceRequest/{one['referral_id']}" for one in found], [one["patient_id"] for one in found])
    return [
        {
            "id": one["referral_id"],
            "place": words.queue_name(one["queue"], site().policy),
            "sender": one["sender"] or one["client"],
            "received": at.moment(one["authored_on"]),
        }
        for one in found
    ]


def _versions(connection: Reader, row: Row) -> list[tuple[str, str]]:
    """When each version of the referral came, and its text; oldest first."""
    older = lookups.versions(connection, row["client"], row["referral_id"])
    return [*((one["last_updated"], one["content"]) for one in older[::-1]), (row["referral_updated"], row["request"])]


def _original(connection: Reader, row: Row) -> dict[str, Any]:
    """What was received last, by element and as it came."""
    body = lookups.received_text(connection, row["received_id"])
    text = nottaken.text_of(body)
    received = orjson.loads(body) if text.is_json or text.is_cut else {}
    sent = evidence.element_at({str(received.get("resourceType")): received}, row["path"])
    return {"original": outline(sent) if isinstance(sent, Mapping) else (), "text": text}


def _roots(connection: Reader, row: Row) -> dict[str, Any]:
    """What the evidence points into: the referral, and the Bundle that it came in when something beside it counted.

    None of it once the sender has withdrawn the referral: what is stored then is no longer what was decided on.
    """
    if row["referral_status"] == "revoked":
        return {}
    request = orjson.loads(row["request"])
    roots = {"ServiceRequest": request}
    if ".resolve()" in row["decision"]:
        listed = [*request.get("reasonReference", []), *request.get("supportingInfo", [])]
        wanted = {(row["client"], one["reference"]) for one in listed if "reference" in one}
        roots |= {name: record for (_, name), record in parsed(worklist.records(connection, wanted)).items()}
    if '"Bundle.' in row["decision"]:
        roots["Bundle"] = orjson.loads(lookups.received_text(connection, row["received_id"]) or b"{}")
    return roots
