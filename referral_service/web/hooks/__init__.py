"""CDS Hooks: what a referrer is told before a referral is sent (https://cds-hooks.hl7.org/2.0/).

The same decision as ``$preview``: nothing is stored but the audit event, nothing is fetched, nothing is blocked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, request

from referral_service.fhir.bundle import Resource
from referral_service.fhir.parse import dump
from referral_service.intake.preview import Previewed, look_ahead
from referral_service.referral import Queue
from referral_service.store import hooks as stored
from referral_service.store.engine import Connection, instant
from referral_service.store.hooks import Waiting
from referral_service.web.auditing import audited
from referral_service.web.hooks import asked, feedback
from referral_service.web.hooks.cards import Known, cards
from referral_service.web.hooks.plausible import is_for_us
from referral_service.web.http import BUNDLE_BYTES, RESOURCE_BYTES, body_of, client, gate, incoming, now, site

blueprint = Blueprint("hooks", __name__, url_prefix="/cds-services")

SERVICE = "dystonia-referral"
JSON = frozenset({"application/json"})


@blueprint.get("", provide_automatic_options=False)
def discover() -> Response:
    """The one service that there is, and what it wants to be sent."""
    service = {
        "id": SERVICE,
        "hook": asked.HOOK,
        "title": "Referral for dystonia, before it is sent",
        "description": (
            "Tells what the referral service for dystonia would decide on an order: queue, ICD-10 code, what is "
            "missing, red flags, an open referral of the same patient, and the present wait. It never blocks."
        ),
        "usageRequirements": "Nothing is fetched: without prefetch.patient the answer is 412.",
        "prefetch": asked.PREFETCH,
    }
    return _json({"services": [service]})


@blueprint.route("", methods=["OPTIONS"])
@blueprint.route(f"/{SERVICE}", methods=["OPTIONS"])
@blueprint.route(f"/{SERVICE}/feedback", methods=["OPTIONS"])
def preflight() -> Response:
    """What a browser asks before it calls for a page from elsewhere."""
    return Response("", 204)


@blueprint.post(f"/{SERVICE}", provide_automatic_options=False)
def call() -> Response:
    """The cards on the orders that somebody is about to sign."""
    request_in = incoming("cds-hooks", BUNDLE_BYTES)
    wanted = asked.read(request_in.body)
    if not wanted.drafts:
        return _json({"cards": []})
    ahead = look_ahead(site(), replace(request_in, body=wanted.body))
    chosen = [(one, draft) for one, draft in _with_drafts(ahead, wanted.drafts) if is_for_us(site(), one, draft)]
    if not chosen:
        return _json({"cards": []})
    with site().store.reading() as connection:
        queues = {one.decision.queue for one, _ in chosen if one.decision.queue is not None}
        waiting = {queue: stored.waiting_in(connection, queue) for queue in queues}
        found = [card for one, draft in chosen for card in cards(site(), one, draft, _known(connection, one, waiting))]
    return _json({"cards": found})


@blueprint.post(f"/{SERVICE}/feedback", provide_automatic_options=False)
def take_feedback() -> Response:
    """What was made of the cards; kept without a word of the patient or the referrer."""
    rows = feedback.read(body_of(RESOURCE_BYTES, JSON), client(), instant(now()))
    with site().store.writing() as connection:
        stored.keep_feedback(connection, rows)
    return _json({})


@blueprint.after_request
def _let_in(response: Response) -> Response:
    """Pages from elsewhere may ask what there is; and call, where a token is asked for that no browser adds by itself.

    https://cds-hooks.hl7.org/2.0/#cors
    """
    if request.endpoint == "hooks.discover" or gate().asks:
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Access-Control-Allow-Methods"] = "GET, POST"
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
        response.headers["Access-Control-Max-Age"] = "600"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


def _with_drafts(ahead: Sequence[Previewed], drafts: Sequence[Resource]) -> Iterator[tuple[Previewed, Resource]]:
    """Each referral with the draft that it is; what cannot be taken apart is said of the first."""
    for one in ahead:
        yield one, drafts[(one.entry.position or 0) if one.entry is not None else 0]


def _known(connection: Connection, one: Previewed, waiting: Mapping[Queue, Waiting | None]) -> Known:
    here = stored.referral_here(connection, client(), one.here) if one.here is not None else None
    rows = stored.open_referrals(connection, client(), one.open_patients) if one.open_patients else []
    listed = [row for row in rows if row["referral_id"] != one.here]
    shown = [*listed, *([here] if here is not None else [])]
    audited([f"ServiceRequest/{row['referral_id']}" for row in shown], [row["patient_id"] for row in shown])
    queue = one.decision.queue
    return Known(now(), waiting.get(queue) if queue is not None else None, listed, here)


def _json(body: dict[str, Any]) -> Response:
    return Response(dump(body), content_type="application/json")
