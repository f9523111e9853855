"""What was audited is only ever added: the databases refuse to change it, and to remove what lies after an anchor."""

from alembic import op

revision = "0002"
down_revision = "0001"

_FIXED = ("id", "at", "actor", "actor_kind", "network", "request_id", "action", "outcome", "content")
_IS_THERE = {  # NEW.rowid is -1 where none is given
    "audit_event": "NEW.sequence IS NOT NULL OR "
    "EXISTS (SELECT 1 FROM audit_event WHERE rowid = NEW.rowid OR id = NEW.id)",
    "audit_entity": "EXISTS (SELECT 1 FROM audit_entity "
    "WHERE rowid = NEW.rowid OR (event_id = NEW.event_id AND reference = NEW.reference))",
    "audit_seal": "EXISTS (SELECT 1 FROM audit_seal WHERE batch = NEW.batch)",
}
_REFUSAL = "audit rows are only ever added"
_LAST = "coalesce((SELECT max(last) FROM audit_anchor), 0)"
_BATCH = "coalesce((SELECT max(batch) FROM audit_anchor), 0)"
_MAY_GO = {
    "audit_event": f"OLD.sequence IS NOT NULL AND OLD.sequence <= {_LAST}",
    "audit_entity": f"EXISTS (SELECT 1 FROM audit_event WHERE id = OLD.event_id AND sequence <= {_LAST})",  # noqa: S608
    "audit_seal": f"OLD.batch <= {_BATCH}",
}
# An anchor is a seal that others follow, and told of by an event; or the beginning of a trail that is brought here.
_MAY_ANCHOR = f"""NEW.batch > {_BATCH} AND (
    (NOT EXISTS (SELECT 1 FROM audit_event) AND NOT EXISTS (SELECT 1 FROM audit_seal))
    OR (
        EXISTS (SELECT 1 FROM audit_seal WHERE batch = NEW.batch AND last = NEW.last AND hash = NEW.hash)
        AND EXISTS (SELECT 1 FROM audit_seal WHERE batch > NEW.batch)
        AND EXISTS (SELECT 1 FROM audit_event WHERE id = NEW.event_id AND action = 'D' AND sequence IS NULL)
    )
)"""  # noqa: S608


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        _on_postgresql()
    else:
        _on_sqlite()


def _seals(same: str) -> str:
    """The one change that is allowed: an event without a place in the chain gets it, and nothing else of it changes."""
    kept = " AND ".join(f"NEW.{name} {same} OLD.{name}" for name in _FIXED)
    return f"OLD.sequence IS NULL AND NEW.sequence IS NOT NULL AND NEW.hash IS NOT NULL AND {kept}"


def _on_sqlite() -> None:
    def refuse(name: str, change: str, table: str, when: str = "") -> None:
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {change} ON {table} {when} BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
        )

    # REPLACE removes what is in its way and asks no trigger of DELETE.
    taken = "EXISTS (SELECT 1 FROM audit_event WHERE sequence = NEW.sequence)"
    seals = f"{_seals('IS')} AND NEW.rowid IS OLD.rowid AND NOT {taken}"
    refuse("audit_event_changed", "UPDATE", "audit_event", f"WHEN NOT ({seals})")
    for table, is_there in _IS_THERE.items():
        refuse(f"{table}_added", "INSERT", table, f"WHEN {is_there}")
    for table, may_go in _MAY_GO.items():
        refuse(f"{table}_removed", "DELETE", table, f"WHEN NOT ({may_go})")
    refuse("audit_anchor_added", "INSERT", "audit_anchor", f"WHEN NOT ({_MAY_ANCHOR})")
    refuse("audit_anchor_removed", "DELETE", "audit_anchor")
    for table in ("audit_entity", "audit_seal", "audit_anchor"):
        refuse(f"{table}_changed", "UPDATE", table)


def _on_postgresql() -> None:
    def function(name: str, unless: str, given: str) -> None:
        op.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF {unless} THEN RETURN {given}; END IF; "
            f"RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )

    def refuse(name: str, change: str, table: str, each: str = "ROW", when: str = "", by: str = "") -> None:
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {change} ON {table} FOR EACH {each} {when} "
            f"EXECUTE FUNCTION {by or 'audit_refused'}()"
        )

    function("audit_refused", "false", "NULL")
    refuse("audit_event_changed", "UPDATE", "audit_event", when=f"WHEN (NOT ({_seals('=')}))")
    for table, may_go in _MAY_GO.items():
        function(f"{table}_may_go", may_go, "OLD")
        refuse(f"{table}_removed", "DELETE", table, by=f"{table}_may_go")
    function("audit_may_anchor", _MAY_ANCHOR, "NEW")
    refuse("audit_anchor_added", "INSERT", "audit_anchor", by="audit_may_anchor")
    refuse("audit_anchor_removed", "DELETE", "audit_anchor")
    for table in ("audit_entity", "audit_seal", "audit_anchor"):
        refuse(f"{table}_changed", "UPDATE", table)
    for table in (*_MAY_GO, "audit_anchor"):
        refuse(f"{table}_emptied", "TRUNCATE", table, "STATEMENT")
