"""Each request is timed, counted and told in the log; GET /metrics gives the counters."""

from __future__ import annotations

import re
import time
from functools import cache

from flask import Blueprint, Flask, Response, current_app, g, request

from referral_service import logs, metrics
from referral_service.access.callers import Kind
from referral_service.front import CAME
from referral_service.metrics import CONTENT_TYPE
from referral_service.watching import Watch

blueprint = Blueprint("watching", __name__)
UNKNOWN = "unknown"
"""The route of whatever is at no address of ours."""
_PART = re.compile(r"<(?:[^:>]+:)?(\w+)>")
_PROBES = ("health.", "watching.")


def register(app: Flask, watch: Watch) -> None:
    """Before all others, so that whatever they do is timed, and whatever they answer is counted."""
    app.extensions["watch"] = watch
    app.before_request(_begin)
    app.after_request(_answered)
    app.teardown_request(_end)


def watch() -> Watch:
    found: Watch = current_app.extensions["watch"]
    return found


@blueprint.get("/metrics")
def tell() -> Response:
    """What is counted, for Prometheus."""
    return Response(watch().exposition(), content_type=CONTENT_TYPE)


def is_probe() -> bool:
    """Whether whoever watches the service asks how it does."""
    return (request.endpoint or "").startswith(_PROBES)


def _begin() -> None:
    g.began = request.environ.get(CAME) or time.perf_counter()
    logs.begin()
    if not is_probe():
        watch().begin()


def _answered(response: Response) -> Response:
    seconds = time.perf_counter() - g.began
    template = request.url_rule.rule if request.url_rule is not None else None
    route = _template(template) if template is not None else UNKNOWN
    metrics.answered(route, request.method, response.status_code, seconds)
    logs.request(
        not is_probe(),
        method=request.method if route != UNKNOWN else UNKNOWN,
        route=route,
        status=response.status_code,
        milliseconds=round(1000 * seconds, 1),
        **_who(),
    )
    return response


def _end(_: BaseException | None) -> None:
    watch().end()
    logs.begin()


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
