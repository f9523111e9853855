"""Liveness and readiness: whether the process runs, and whether its database answers as the one it knows."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from referral_service.store import migrations
from referral_service.web.http import site

blueprint = Blueprint("health", __name__, url_prefix="/health")


@blueprint.get("/live")
def live() -> Response:
    return jsonify(status="alive")


@blueprint.get("/ready")
def ready() -> Response:
    migrations.check(site().store)
    return jsonify(status="ready")
