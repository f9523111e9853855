"""What was audited is only ever added: the databases refuse to change or remove it."""

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
    refuse("audit_event_removed", "DELETE", "audit_event")
    for table in ("audit_entity", "audit_seal"):
        refuse(f"{table}_changed", "UPDATE", table)
        refuse(f"{table}_removed", "DELETE", table)


def _on_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION audit_refused() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )

    def refuse(name: str, change: str, table: str, each: str = "ROW", when: str = "") -> None:
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {change} ON {table} FOR EACH {each} {when} EXECUTE FUNCTION audit_refused()"
        )

    refuse("audit_event_changed", "UPDATE", "audit_event", when=f"WHEN (NOT ({_seals('=')}))")
    refuse("audit_event_removed", "DELETE", "audit_event")
    refuse("audit_event_emptied", "TRUNCATE", "audit_event", "STATEMENT")
    for table in ("audit_entity", "audit_seal"):
        refuse(f"{table}_changed", "UPDATE", table)
        refuse(f"{table}_removed", "DELETE", table)
        refuse(f"{table}_emptied", "TRUNCATE", table, "STATEMENT")
