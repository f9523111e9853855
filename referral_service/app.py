"""create_app(settings): wires the rooms together. Imported by the command line and the WSGI server only."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from threading import Event, Thread, main_thread
from time import monotonic
from typing import Any

from flask import Flask

from referral_service import metrics
from referral_service.access.gate import OPEN, Gate
from referral_service.access.issuer import ALGORITHMS, Issuer
from referral_service.access.key_sets import KeySets
from referral_service.access.own_key import OwnKey, own_key_beside, read_own_key
from referral_service.access.secret import key_beside
from referral_service.delivery.carrying import Carrier
from referral_service.delivery.dispatching import Dispatcher
from referral_service.delivery.ground import Ground
from referral_service.delivery.subscribers import Keeper
from referral_service.ehr.reading import Ehrs
from referral_service.ehr.tokens import Sign, Tokens
from referral_service.fetching import Fetcher, FileFetcher
from referral_service.fhir.package import definitions as definitions_of_codes
from referral_service.fhir.terminology import code_versions, vocabulary
from referral_service.intake.later import reconsider_all
from referral_service.intake.site import Site
from referral_service.playing import Player
from referral_service.policy import Policy, load_policy
from referral_service.recording import Recorder
from referral_service.reminding import Reminder
from referral_service.retention import Remover
from referral_service.sealing import Sealer
from referral_service.settings import Settings, SettingsError, from_environment
from referral_service.store import durability, migrations
from referral_service.store.engine import Store, open_store, sqlite_file
from referral_service.telling import NO_CONTACT, Teller, check_ways
from referral_service.watching import Watch
from referral_service.web import (
    acting,
    alerts,
    attachments,
    auditing,
    auditor,
    authentications,
    binaries,
    bulk,
    capability,
    definitions,
    deliveries,
    entering,
    faults,
    fetching,
    guard,
    health,
    hooks,
    messages,
    moving,
    not_taken,
    openapi,
    openid,
    operations,
    overview,
    own_keys,
    pages,
    reading,
    searching,
    sessions,
    signing,
    submitting,
    subscribing,
    token,
    trail,
    watching,
    worklist,
)
from referral_service.web.hardening import Hardened
from referral_service.web.limits import Limiter
from referral_service.web.proxies import BehindProxies
from referral_service.worker import Together, Work, now, run, start_thread

log = logging.getLogger("referral_service")
WORKER_APART = (
    "`referral-service worker`, a process of its own, looks for unanswered questions, tells the contacts, "
    "and tells others of changes."
)


class _App(Flask):
    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Nothing here is a coroutine; Flask would look at each function again in each request."""
        return func


def create_app(settings: Settings | None = None, threads: int = 1) -> Flask:
    """The WSGI application on a database that is up to date; also what a WSGI server calls as a factory.

    ``threads`` is how many requests the server works on at once.

    On SQLite the worker runs in the same process, for no other could.
    """
    chosen = settings or from_environment()
    store, policy = open_store(chosen.database_url, is_waited_for=True), load_policy(chosen.policy)
    make_sure(store)
    gate = gate_of(chosen)
    ehrs = _ehrs_of(chosen, gate.own_key)
    site = site_of(store, policy, chosen.public_url, sandbox=chosen.sandbox)
    served = application(replace(site, ehrs=ehrs), gate, chosen.outbound)
    watch: Watch = served.extensions["watch"]
    watch.threads = threads
    if metrics.is_shared():
        watch.note_for_ever()
    served.wsgi_app = BehindProxies(served.wsgi_app, chosen.proxies)  # type: ignore[assignment, method-assign]
    _read_ahead(served)
    if not store.is_shared:
        check_ways(policy, chosen)
        start_thread(store, _work_of(store, policy, chosen))
        start_thread(store, _deliveries_of(store, chosen, gate.own_key))
        start_thread(store, Sealer(store, now))
        start_thread(store, Remover(store, policy, site.host, now))
        start_thread(store, Fetcher(site, ehrs, now))
        start_thread(store, FileFetcher(site, ehrs, now))
    return served


def gate_of(settings: Settings) -> Gate:
    """Raises :class:`SettingsError` when there is no key to sign with and none can be made."""
    if settings.auth == "none":
        return OPEN
    try:
        key = settings.secret_key or key_beside(sqlite_file(settings.database_url))
    except ValueError as problem:
        raise SettingsError(f"REFERRAL_SECRET_KEY is not set, and {problem}") from problem
    key_sets, own_key = KeySets(settings.outbound), own_key_of(settings)
    return Gate(True, key, key_sets, _issuer_of(settings), openid=settings.openid, own_key=own_key)


def own_key_of(settings: Settings) -> OwnKey | None:
    """What this service signs with at EHRs; None on PostgreSQL when none is given. Raises :class:`SettingsError`."""
    try:
        if settings.client_key:
            return read_own_key(settings.client_key)
        is_file = settings.database_url.startswith("sqlite")
        return own_key_beside(sqlite_file(settings.database_url)) if is_file else None
    except ValueError as problem:
        raise SettingsError(f"REFERRAL_CLIENT_KEY cannot be used: {problem}") from problem


def _ehrs_of(settings: Settings, own_key: OwnKey | None) -> Ehrs:
    return Ehrs(settings.outbound, _sign_with(own_key))


def _sign_with(own_key: OwnKey | None) -> Sign | None:
    if own_key is None:
        return None
    return lambda client_id, audience: own_key.assertion(client_id, audience, now())


def _issuer_of(settings: Settings) -> Issuer | None:
    named = settings.issuer
    if named is None:
        return None
    return Issuer(named.name, named.jwks, named.audience, KeySets(settings.outbound, ALGORITHMS))


def _read_ahead(app: Flask) -> None:
    """What the first reader of a page would otherwise wait for: the templates, and the codes that pages name."""
    definitions_of_codes()
    for name in app.jinja_env.list_templates():
        app.jinja_env.get_template(name)


def work(settings: Settings, stopping: Event) -> None:
    """One worker on a database that is up to date, until ``stopping`` is set."""
    store, policy = open_store(settings.database_url), load_policy(settings.policy)
    if not store.is_shared:
        raise SettingsError("REFERRAL_DATABASE_URL names an SQLite file, on which serve itself does a worker's work")
    make_sure(store)
    check_ways(policy, settings)
    if not policy.alerts.contacts:
        log.warning(NO_CONTACT)
    own_key = own_key_of(settings)
    ehrs, site = _ehrs_of(settings, own_key), site_of(store, policy, settings.public_url)
    beside: dict[str, Work] = {
        "sealing": Sealer(store, now),
        "retention": Remover(store, policy, site.host, now),
        "deliveries": _deliveries_of(store, settings, own_key),
        "fetching": Fetcher(site, ehrs, now),
        "files": FileFetcher(site, ehrs, now),
    }
    close = _open_metrics(settings, policy)
    threads = [Thread(target=run, args=(store, one, stopping), name=name) for name, one in beside.items()]
    for thread in threads:
        thread.start()
    run(store, _work_of(store, policy, settings), stopping)
    for thread in threads:
        thread.join()
    close()
    store.close()


def _open_metrics(settings: Settings, policy: Policy) -> Callable[[], None]:
    """Where a worker tells how it does, when it is asked to; what closes it."""
    metrics.begin()
    if settings.metrics_port is None:
        return lambda: None
    package = version("referral-service")
    try:
        return metrics.serve(settings.host, settings.metrics_port, package, policy.label)
    except OSError as problem:
        raise SettingsError("REFERRAL_METRICS_PORT cannot be listened on") from problem


def _work_of(store: Store, policy: Policy, settings: Settings) -> Work:
    usual: tuple[Work, ...] = (Teller(store, policy, settings, now), Reminder(store, policy, now))
    if not settings.sandbox:
        return Together(usual)
    return Together((*usual, Player(site_of(store, policy, settings.public_url, sandbox=True), now)))


def _deliveries_of(store: Store, settings: Settings, own_key: OwnKey | None) -> Work:
    """Work of a thread of its own, so that no alert waits for a receiver that is slow to answer."""
    ground = Ground(store, settings, now, tokens=Tokens(_sign_with(own_key), monotonic))
    return Together((Dispatcher(ground), Keeper(ground), Carrier(ground)))


def remark_on_alerts(settings: Settings) -> str | None:
    """What is to be said of alerts before serving, if anything; raises when they could not be told from here."""
    policy, store = load_policy(settings.policy), open_store(settings.database_url)
    remarks = [] if policy.alerts.contacts else [NO_CONTACT]
    if store.is_shared:
        remarks.append(WORKER_APART)
    else:
        check_ways(policy, settings)
    return " ".join(remarks) or None


def site_of(store: Store, policy: Policy, public_url: str, *, sandbox: bool = False) -> Site:
    """One running service: its store and policy beside the vocabulary that ships with it."""
    return Site(
        store=store,
        policy=policy,
        vocabulary=vocabulary(),
        code_versions=code_versions(),
        public_url=public_url,
        package_version=version("referral-service"),
        sandbox=sandbox,
    )


def application(site: Site, gate: Gate = OPEN, outbound: frozenset[str] = frozenset()) -> Flask:
    """All doors on one site; what a process that died left waiting is decided first.

    ``outbound`` are the origins that may be called although they are not public or not https.
    """
    reconsider_all(site, datetime.now(UTC))
    app = _App("referral_service.web")
    app.extensions["site"] = site
    app.jinja_env.globals["is_sandbox"] = site.sandbox
    app.extensions["gate"] = gate
    app.extensions["outbound"] = outbound
    app.extensions["limiter"] = Limiter(site.store, site.policy.limits)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    recorder = Recorder(site.store, is_ending=lambda: not main_thread().is_alive())
    metrics.begin()
    watching.register(app, Watch(site.store, site.policy, site.package_version, recorder, site.ehrs, now))
    app.wsgi_app = Hardened(app.wsgi_app, site.public_url)  # type: ignore[assignment, method-assign]
    faults.register(app)
    guard.register(app)
    sessions.register(app, gate.secret_key, site.public_url)
    openid.register(app, gate.openid)
    auditing.register(app, recorder)
    authentications.register(app)
    reads = (searching, reading, auditor, definitions, capability, openapi)
    about = (token, own_keys, health, watching)
    doors = (submitting, binaries, messages, moving, operations, subscribing, hooks, *reads, *about)
    lists = (worklist, alerts, not_taken, overview, trail, deliveries)
    rooms = (*lists, pages, acting, bulk, attachments, entering, signing, openid, fetching)
    for room in (*doors, *rooms):
        app.register_blueprint(room.blueprint)
    return app


def prepare(settings: Settings) -> None:
    """Brings the database up to date, before any process serves it; one that loses what it takes is left alone."""
    store = open_store(settings.database_url)
    durability.check(store)
    migrations.upgrade(store)
    store.close()


def make_sure(store: Store) -> None:
    """That the database keeps what it takes and is of this program's version, now and as long as it is open."""
    for remark in durability.check(store):
        log.warning(remark)
    migrations.check(store)
    migrations.hold(store)
