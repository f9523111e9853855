"""Each request is timed, counted and told in the log; GET /metrics gives the counters."""

from __future__ import annotations

import re
import time
from functools import cache

from flask import Blueprint, Flask, Request, Response, current_app, g
from werkzeug.routing import Rule

from referral_service import logs, metrics
from referral_service.access.callers import Kind
from referral_service.front import CAME
from referral_service.metrics import CONTENT_TYPE
from referral_service.watching import Watch
from referral_service.web.http import this_request
from referral_service.web.ids import add_ids, give_ids

blueprint = Blueprint("watching", __name__)
UNKNOWN = "unknown"
"""The route of whatever is at no address of ours."""
_PART = re.compile(r"<(?:[^:>]+:)?(\w+)>")
_PROBES = ("health.", "watching.")


def register(app: Flask, watch: Watch) -> None:
    """Before all others, so that whatever they do is timed and has its ids, and whatever they answer is counted."""
    app.extensions["watch"] = watch

    def begin() -> None:
        asked = this_request()
        asked.environ.setdefault(CAME, time.perf_counter())
        give_ids()
        if not _is_probe(asked):
            watch.begin()

    def end(response: Response) -> Response:
        _tell(response)
        watch.end()
        logs.begin()
        return add_ids(response)

    app.before_request(begin)
    app.after_request(end)


def watch() -> Watch:
    found: Watch = current_app.extensions["watch"]
    return found


@blueprint.get("/metrics")
def tell() -> Response:
    """What is counted, for Prometheus."""
    return Response(watch().exposition(), content_type=CONTENT_TYPE)


def is_probe() -> bool:
    """Whether whoever watches the service asks how it does."""
    return _is_probe(this_request())


def _is_probe(asked: Request) -> bool:
    return (asked.endpoint or "").startswith(_PROBES)


def _tell(response: Response) -> None:
    asked = this_request()
    seconds = time.perf_counter() - asked.environ[CAME]
    route, method, status = _route(asked.url_rule), asked.method, response.status_code
    metrics.answered(route, method, status, seconds)
    logs.request(
        not _is_probe(asked),
        method=method if route != UNKNOWN else UNKNOWN,
        route=route,
        status=status,
        milliseconds=round(1000 * seconds, 1),
        **_who(),
    )


def _route(rule: Rule | None) -> str:
    return _template(rule.rule) if rule is not None else UNKNOWN


@cache
def _template(rule: str) -> str:
    """As a route is known to people: ``/fhir/{kind}/{identity}``."""
    return _PART.sub(r"{\1}", rule)


def _who() -> dict[str, str]:
    """A system by the name it is registered under, a person by our id."""
    found = g.get("caller")
    if found is None or found.kind is Kind.ANYONE:
        return {}
    return {"client": found.client} if found.kind is Kind.SYSTEM else {"person": found.actor.id}
