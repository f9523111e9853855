"""create_app(settings): wires the rooms together. Imported by the command line and the WSGI server only."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version

from flask import Flask

from referral_service.fhir.terminology import code_versions, vocabulary
from referral_service.intake.later import reconsider_all
from referral_service.intake.site import Site
from referral_service.policy import Policy, load_policy
from referral_service.settings import Settings, from_environment
from referral_service.store.engine import Store, open_store
from referral_service.store.migrations import check, upgrade
from referral_service.web import (
    capability,
    definitions,
    entering,
    faults,
    health,
    moving,
    not_taken,
    operations,
    overview,
    pages,
    reading,
    searching,
    submitting,
    worklist,
)


def create_app(settings: Settings | None = None) -> Flask:
    """The WSGI application on a database that is up to date; also what a WSGI server calls as a factory."""
    chosen = settings or from_environment()
    store = open_store(chosen.database_url)
    check(store)
    return application(site_of(store, load_policy(chosen.policy), chosen.public_url))


def site_of(store: Store, policy: Policy, public_url: str) -> Site:
    """One running service: its store and policy beside the vocabulary that ships with it."""
    return Site(
        store=store,
        policy=policy,
        vocabulary=vocabulary(),
        code_versions=code_versions(),
        public_url=public_url,
        package_version=version("referral-service"),
    )


def application(site: Site) -> Flask:
    """All doors on one site; what a process that died left waiting is decided first."""
    reconsider_all(site, datetime.now(UTC))
    app = Flask("referral_service.web")
    app.extensions["site"] = site
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    faults.register(app)
    doors = (submitting, moving, operations, searching, reading, definitions, capability, health)
    for room in (*doors, worklist, pages, not_taken, entering, overview):
        app.register_blueprint(room.blueprint)
    return app


def prepare(settings: Settings) -> None:
    """Brings the database up to date, before any process serves it."""
    store = open_store(settings.database_url)
    upgrade(store)
    store.close()
