"""Liveness and readiness: whether the process runs, and whether it can serve, proved by writing and reading."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from referral_service.web.http import retry_later
from referral_service.web.watching import watch

blueprint = Blueprint("health", __name__, url_prefix="/health")


@blueprint.get("/live")
def live() -> Response:
    """That this process answers; the database is not asked."""
    return jsonify(status="alive")


@blueprint.get("/ready")
def ready() -> Response:
    """Whether this process can serve: 503 when one of its checks fails, 200 when all pass or only warn."""
    is_ready, report = watch().report()
    response = jsonify(report)
    response.status_code = 200 if is_ready else 503
    return retry_later(response)
