"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "address",
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("client", "name", name=op.f("pk_address")),
    )
    op.create_index(op.f("ix_address_owner"), "address", ["owner"], unique=False)
    op.create_table(
        "assertion_jti",
        sa.Column("issuer", sa.String(length=512), nullable=False),
        sa.Column("jti", sa.String(length=128), nullable=False),
        sa.Column("expires", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "jti", name=op.f("pk_assertion_jti")),
    )
    op.create_index(op.f("ix_assertion_jti_expires"), "assertion_jti", ["expires"], unique=False)
    op.create_table(
        "audit_anchor",
        sa.Column("batch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("until", sa.String(length=24), nullable=False),
        sa.Column("removed_at", sa.String(length=24), nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("batch", name=op.f("pk_audit_anchor")),
    )
    op.create_table(
        "audit_entity",
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("reference", sa.String(length=128), nullable=False),
        sa.Column("at", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("event_id", "reference", name=op.f("pk_audit_entity")),
    )
    op.create_index(
        op.f("ix_audit_entity_reference_at_event_id"), "audit_entity", ["reference", "at", "event_id"], unique=False
    )
    op.create_table(
        "audit_event",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("at", sa.String(length=24), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=True),
        sa.Column("hash", sa.String(length=64), nullable=True),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("actor_kind", sa.String(length=8), nullable=False),
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=1), nullable=False),
        sa.Column("outcome", sa.String(length=1), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.CheckConstraint("action IN ('C', 'R', 'U', 'D', 'E')", name=op.f("ck_audit_event_action")),
        sa.CheckConstraint(
            "actor_kind IN ('system', 'person', 'anyone', 'machine')", name=op.f("ck_audit_event_actor_kind")
        ),
        sa.CheckConstraint("outcome IN ('0', '4', '8')", name=op.f("ck_audit_event_outcome")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_event")),
        sa.UniqueConstraint("sequence", name=op.f("uq_audit_event_sequence")),
    )
    op.create_index(op.f("ix_audit_event_actor_at_id"), "audit_event", ["actor", "at", "id"], unique=False)
    op.create_index(op.f("ix_audit_event_at_id"), "audit_event", ["at", "id"], unique=False)
    op.create_index(
        "ix_audit_event_unsealed",
        "audit_event",
        ["at", "id"],
        unique=False,
        sqlite_where=sa.text("sequence IS NULL"),
        postgresql_where=sa.text("sequence IS NULL"),
    )
    op.create_table(
        "audit_seal",
        sa.Column("batch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("sealed_at", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("batch", name=op.f("pk_audit_seal")),
    )
    op.create_table(
        "binary_content",
        sa.Column("owner", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "version", name=op.f("pk_binary_content")),
    )
    op.create_table(
        "card_feedback",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("at", sa.String(length=24), nullable=False),
        sa.Column("card", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("suggestions", sa.String(length=256), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.CheckConstraint("outcome IN ('accepted', 'overridden')", name=op.f("ck_card_feedback_outcome")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card_feedback")),
    )
    op.create_index(op.f("ix_card_feedback_at"), "card_feedback", ["at"], unique=False)
    op.create_table(
        "chore",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("due", sa.String(length=24), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_chore")),
    )
    op.create_table(
        "client",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("roles", sa.String(length=32), nullable=False),
        sa.Column("queues", sa.String(length=128), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("jwks", sa.Text(), nullable=True),
        sa.Column("jwks_url", sa.String(length=512), nullable=True),
        sa.Column("placer_system", sa.String(length=256), nullable=True),
        sa.Column("bars", sa.Integer(), nullable=False),
        sa.Column("cds_issuer", sa.String(length=512), nullable=True),
        sa.Column("ehr_base", sa.String(length=512), nullable=True),
        sa.Column("ehr_token_url", sa.String(length=512), nullable=True),
        sa.Column("ehr_client_id", sa.String(length=256), nullable=True),
        sa.Column("callbacks", sa.Text(), nullable=False),
        sa.Column("tell", sa.String(length=16), nullable=True),
        sa.Column("registered_at", sa.String(length=24), nullable=False),
        sa.Column("revoked_at", sa.String(length=24), nullable=True),
        sa.CheckConstraint("(ehr_token_url IS NULL) = (ehr_client_id IS NULL)", name=op.f("ck_client_ehr_client")),
        sa.CheckConstraint("bars IN (0, 1)", name=op.f("ck_client_bars")),
        sa.CheckConstraint("ehr_token_url IS NULL OR ehr_base IS NOT NULL", name=op.f("ck_client_ehr")),
        sa.CheckConstraint("jwks IS NULL OR jwks_url IS NULL", name=op.f("ck_client_keys")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client")),
        sa.UniqueConstraint("cds_issuer", name=op.f("uq_client_cds_issuer")),
    )
    op.create_table(
        "delivery",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("receiver", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("resource_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("at", sa.String(length=24), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("fault", sa.String(length=32), nullable=True),
        sa.Column("give_up", sa.String(length=24), nullable=False),
        sa.Column("ended_at", sa.String(length=24), nullable=True),
        sa.Column("due", sa.String(length=24), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "state IN ('waiting', 'delivered', 'dead', 'superseded', 'dropped')", name=op.f("ck_delivery_state")
        ),
        sa.PrimaryKeyConstraint("kind", "receiver", "number", name=op.f("pk_delivery")),
    )
    op.create_index(
        op.f("ix_delivery_due"),
        "delivery",
        ["due"],
        unique=False,
        sqlite_where=sa.text("due IS NOT NULL"),
        postgresql_where=sa.text("due IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_delivery_kind_receiver_referral_id_number"),
        "delivery",
        ["kind", "receiver", "referral_id", "number"],
        unique=False,
    )
    op.create_index(op.f("ix_delivery_referral_id"), "delivery", ["referral_id"], unique=False)
    op.create_index(op.f("ix_delivery_state_at"), "delivery", ["state", "at"], unique=False)
    op.create_table(
        "ehr_file",
        sa.Column("owner", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("full_url", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("due", sa.String(length=24), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("until", sa.String(length=24), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("tried_at", sa.String(length=24), nullable=True),
        sa.Column("fault", sa.String(length=32), nullable=True),
        sa.Column("ended", sa.String(length=16), nullable=True),
        sa.Column("binary_id", sa.String(length=36), nullable=True),
        sa.CheckConstraint("ended IN ('fetched', 'called-off', 'refused', 'given-up')", name=op.f("ck_ehr_file_ended")),
        sa.PrimaryKeyConstraint("owner", "name", name=op.f("pk_ehr_file")),
    )
    op.create_index(op.f("ix_ehr_file_client_due"), "ehr_file", ["client", "due"], unique=False)
    op.create_index(
        op.f("ix_ehr_file_due"),
        "ehr_file",
        ["due"],
        unique=False,
        sqlite_where=sa.text("due IS NOT NULL"),
        postgresql_where=sa.text("due IS NOT NULL"),
    )
    op.create_table(
        "history",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("last_updated", sa.String(length=24), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("machine_decision", sa.Text(), nullable=True),
        sa.Column("decision_input", sa.Text(), nullable=True),
        sa.Column("received_id", sa.String(length=36), nullable=True),
        sa.PrimaryKeyConstraint("id", "version", name=op.f("pk_history")),
    )
    op.create_table(
        "outbox",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("resource_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(length=24), nullable=False),
        sa.CheckConstraint("type IN ('ServiceRequest', 'Task')", name=op.f("ck_outbox_type")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_outbox")),
    )
    op.create_table(
        "person",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_name", sa.String(length=64), nullable=True),
        sa.Column("shown_name", sa.String(length=128), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("queues", sa.String(length=256), nullable=False),
        sa.Column("password_hash", sa.String(length=256), nullable=True),
        sa.Column("issuer", sa.String(length=512), nullable=True),
        sa.Column("subject", sa.String(length=255), nullable=True),
        sa.Column("added_at", sa.String(length=24), nullable=False),
        sa.Column("disabled_at", sa.String(length=24), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.String(length=24), nullable=True),
        sa.CheckConstraint("role IN ('coordinator', 'lead', 'auditor', 'integrator')", name=op.f("ck_person_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_person_issuer_subject")),
        sa.UniqueConstraint("shown_name", name=op.f("uq_person_shown_name")),
        sa.UniqueConstraint("user_name", name=op.f("uq_person_user_name")),
    )
    op.create_table(
        "proof",
        sa.Column("process", sa.String(length=128), nullable=False),
        sa.Column("at", sa.String(length=24), nullable=False),
        sa.Column("word", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("process", name=op.f("pk_proof")),
    )
    op.create_table(
        "quota",
        sa.Column("caller", sa.String(length=256), nullable=False),
        sa.Column("second", sa.BigInteger(), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("caller", "second", name=op.f("pk_quota")),
    )
    op.create_table(
        "received",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=256), nullable=False),
        sa.Column("door", sa.String(length=32), nullable=False),
        sa.Column("result", sa.String(length=16), nullable=False),
        sa.Column("at", sa.String(length=24), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("answers", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "result IN ('decided', 'supporting', 'update', 'cancel', 'replay', 'conflict')",
            name=op.f("ck_received_result"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_received")),
    )
    op.create_index(op.f("ix_received_client_request_id"), "received", ["client", "request_id"], unique=False)
    op.create_table(
        "resource",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("last_updated", sa.String(length=24), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("birth_date", sa.String(length=10), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resource")),
    )
    op.create_index(
        op.f("ix_resource_client_type_last_updated_id"),
        "resource",
        ["client", "type", "last_updated", "id"],
        unique=False,
    )
    op.create_index(op.f("ix_resource_type_last_updated_id"), "resource", ["type", "last_updated", "id"], unique=False)
    op.create_table(
        "scene",
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("scenario", sa.String(length=16), nullable=False),
        sa.Column("task_id", sa.String(length=36), nullable=True),
        sa.Column("due", sa.String(length=24), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "scenario IN ('accepted', 'on-hold', 'rejected', 'slow', 'error')", name=op.f("ck_scene_scenario")
        ),
        sa.PrimaryKeyConstraint("client", "name", "referral_id", name=op.f("pk_scene")),
    )
    op.create_index(op.f("ix_scene_due"), "scene", ["due"], unique=False)
    op.create_table(
        "subscription",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("last_updated", sa.String(length=24), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("filters", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.String(length=512), nullable=False),
        sa.Column("payload", sa.String(length=16), nullable=False),
        sa.Column("timeout", sa.Integer(), nullable=False),
        sa.Column("heartbeat", sa.Integer(), nullable=True),
        sa.Column("ends", sa.String(length=24), nullable=True),
        sa.Column("counts", sa.Integer(), nullable=False),
        sa.Column("verified", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("fault", sa.String(length=32), nullable=True),
        sa.Column("heard_at", sa.String(length=24), nullable=True),
        sa.Column("due", sa.String(length=24), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.CheckConstraint("payload IN ('empty', 'id-only', 'full-resource')", name=op.f("ck_subscription_payload")),
        sa.CheckConstraint("status IN ('requested', 'active', 'error', 'off')", name=op.f("ck_subscription_status")),
        sa.CheckConstraint("type IN ('ServiceRequest', 'Task')", name=op.f("ck_subscription_type")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription")),
    )
    op.create_index(op.f("ix_subscription_client"), "subscription", ["client"], unique=False)
    op.create_index(
        op.f("ix_subscription_due"),
        "subscription",
        ["due"],
        unique=False,
        sqlite_where=sa.text("due IS NOT NULL"),
        postgresql_where=sa.text("due IS NOT NULL"),
    )
    op.create_table(
        "token",
        sa.Column("owner", sa.String(length=36), nullable=False),
        sa.Column("param", sa.String(length=16), nullable=False),
        sa.Column("system", sa.String(length=256), nullable=False),
        sa.Column(
            "value",
            sa.String(length=256).with_variant(sa.String(length=256, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("owner", "param", "system", "value", name=op.f("pk_token")),
    )
    op.create_index(
        op.f("ix_token_client_type_param_value_system"),
        "token",
        ["client", "type", "param", "value", "system"],
        unique=False,
    )
    op.create_index(op.f("ix_token_param_value_owner"), "token", ["param", "value", "owner"], unique=False)
    op.create_table(
        "access_token",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("expires", sa.String(length=24), nullable=False),
        sa.ForeignKeyConstraint(["client"], ["client.id"], name=op.f("fk_access_token_client")),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_access_token")),
    )
    op.create_index(op.f("ix_access_token_client"), "access_token", ["client"], unique=False)
    op.create_index(op.f("ix_access_token_expires"), "access_token", ["expires"], unique=False)
    op.create_table(
        "ledger",
        sa.Column("received_id", sa.String(length=36), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("at", sa.String(length=24), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("referral_id", sa.String(length=36), nullable=True),
        sa.Column("placer", sa.String(length=512), nullable=True),
        sa.Column("red_flag", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("taken_from", sa.String(length=16), nullable=True),
        sa.CheckConstraint("state IN ('refused', 'rejected', 'review', 'routed')", name=op.f("ck_ledger_state")),
        sa.ForeignKeyConstraint(["received_id"], ["received.id"], name=op.f("fk_ledger_received_id")),
        sa.PrimaryKeyConstraint("received_id", "position", name=op.f("pk_ledger")),
        sa.UniqueConstraint("referral_id", name=op.f("uq_ledger_referral_id")),
    )
    op.create_index(op.f("ix_ledger_at"), "ledger", ["at"], unique=False)
    op.create_index(op.f("ix_ledger_client_placer"), "ledger", ["client", "placer"], unique=False)
    op.create_index(op.f("ix_ledger_state_red_flag_at"), "ledger", ["state", "red_flag", "at"], unique=False)
    op.create_table(
        "request_key",
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("value", sa.String(length=512), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("received_id", sa.String(length=36), nullable=False),
        sa.Column("referral_id", sa.String(length=36), nullable=True),
        sa.CheckConstraint("kind IN ('idempotency', 'message', 'placer')", name=op.f("ck_request_key_kind")),
        sa.ForeignKeyConstraint(["received_id"], ["received.id"], name=op.f("fk_request_key_received_id")),
        sa.PrimaryKeyConstraint("client", "kind", "value", name=op.f("pk_request_key")),
    )
    op.create_table(
        "service_request",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("last_updated", sa.String(length=24), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("intent", sa.String(length=32), nullable=False),
        sa.Column("priority", sa.String(length=16), nullable=False),
        sa.Column("authored_on", sa.String(length=40), nullable=True),
        sa.Column("requester", sa.String(length=256), nullable=True),
        sa.Column("subject", sa.String(length=256), nullable=True),
        sa.Column("patient_id", sa.String(length=36), nullable=True),
        sa.Column("received_id", sa.String(length=36), nullable=False),
        sa.Column("received_on", sa.String(length=10), nullable=False),
        sa.Column("path", sa.String(length=64), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("awaiting", sa.String(length=512), nullable=True),
        sa.Column("disposition", sa.String(length=16), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("machine_decision", sa.Text(), nullable=True),
        sa.Column("decision_input", sa.Text(), nullable=False),
        sa.Column("input_hash", sa.String(length=64), nullable=False),
        sa.CheckConstraint("disposition IN ('review', 'routed')", name=op.f("ck_service_request_disposition")),
        sa.ForeignKeyConstraint(["received_id"], ["received.id"], name=op.f("fk_service_request_received_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_request")),
    )
    op.create_index(
        op.f("ix_service_request_client_last_updated_id"),
        "service_request",
        ["client", "last_updated", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_service_request_client_patient_id"), "service_request", ["client", "patient_id"], unique=False
    )
    op.create_index(op.f("ix_service_request_last_updated_id"), "service_request", ["last_updated", "id"], unique=False)
    op.create_table(
        "session",
        sa.Column("id", sa.String(length=43), nullable=False),
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("ends_at", sa.String(length=24), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_session_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session")),
    )
    op.create_index(op.f("ix_session_ends_at"), "session", ["ends_at"], unique=False)
    op.create_index(op.f("ix_session_person_id"), "session", ["person_id"], unique=False)
    op.create_table(
        "alert",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("received_id", sa.String(length=36), nullable=False),
        sa.Column("referral_id", sa.String(length=36), nullable=True),
        sa.Column("at", sa.String(length=24), nullable=False),
        sa.Column("hold", sa.Integer(), nullable=False),
        sa.Column("acknowledged_at", sa.String(length=24), nullable=True),
        sa.Column("acknowledged_by", sa.String(length=128), nullable=True),
        sa.CheckConstraint("kind IN ('red-flag', 'stat', 'reminder', 'escalation')", name=op.f("ck_alert_kind")),
        sa.ForeignKeyConstraint(["received_id"], ["received.id"], name=op.f("fk_alert_received_id")),
        sa.ForeignKeyConstraint(["referral_id"], ["service_request.id"], name=op.f("fk_alert_referral_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
        sa.UniqueConstraint("referral_id", "kind", "hold", name=op.f("uq_alert_referral_id_kind_hold")),
    )
    op.create_index(op.f("ix_alert_acknowledged_at_at_id"), "alert", ["acknowledged_at", "at", "id"], unique=False)
    op.create_index(
        op.f("ix_alert_received_id_kind"),
        "alert",
        ["received_id", "kind"],
        unique=True,
        sqlite_where=sa.text("referral_id IS NULL"),
        postgresql_where=sa.text("referral_id IS NULL"),
    )
    op.create_table(
        "ehr_fetch",
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("full_url", sa.Text(), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("about", sa.String(length=64), nullable=True),
        sa.Column("due", sa.String(length=24), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("until", sa.String(length=24), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("tried_at", sa.String(length=24), nullable=True),
        sa.Column("fault", sa.String(length=32), nullable=True),
        sa.Column("ended", sa.String(length=16), nullable=True),
        sa.CheckConstraint(
            "ended IN ('fetched', 'called-off', 'refused', 'given-up')", name=op.f("ck_ehr_fetch_ended")
        ),
        sa.ForeignKeyConstraint(["referral_id"], ["service_request.id"], name=op.f("fk_ehr_fetch_referral_id")),
        sa.PrimaryKeyConstraint("referral_id", "name", name=op.f("pk_ehr_fetch")),
    )
    op.create_index(op.f("ix_ehr_fetch_client_due"), "ehr_fetch", ["client", "due"], unique=False)
    op.create_index(
        op.f("ix_ehr_fetch_due"),
        "ehr_fetch",
        ["due"],
        unique=False,
        sqlite_where=sa.text("due IS NOT NULL"),
        postgresql_where=sa.text("due IS NOT NULL"),
    )
    op.create_table(
        "task",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("last_updated", sa.String(length=24), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("patient_id", sa.String(length=36), nullable=True),
        sa.Column("requester", sa.String(length=256), nullable=True),
        sa.Column("queue", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("held_from", sa.String(length=32), nullable=True),
        sa.Column("progress", sa.String(length=32), nullable=True),
        sa.Column("business_status", sa.String(length=32), nullable=True),
        sa.Column("priority_rank", sa.Integer(), nullable=False),
        sa.Column("red_flag", sa.Integer(), nullable=False),
        sa.Column("authored_on", sa.String(length=24), nullable=False),
        sa.Column("due", sa.String(length=10), nullable=False),
        sa.Column("assignee", sa.String(length=128), nullable=True),
        sa.Column("appointment", sa.String(length=40), nullable=True),
        sa.Column("paused_since", sa.String(length=10), nullable=True),
        sa.Column("by_hand", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=8), nullable=True),
        sa.Column("flags", sa.String(length=256), nullable=False),
        sa.Column("born", sa.String(length=10), nullable=False),
        sa.Column("sender", sa.String(length=200), nullable=False),
        sa.Column("sender_code", sa.String(length=16), nullable=False),
        sa.Column("masked", sa.Integer(), nullable=False),
        sa.Column("closed", sa.Integer(), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "closed = CASE WHEN status IN ('cancelled', 'completed', 'entered-in-error', 'failed', 'rejected') THEN 1 ELSE 0 END",
            name=op.f("ck_task_closed"),
        ),
        sa.CheckConstraint(
            "queue IN ('adult-movement-disorders', 'pediatric-neuromotor', 'intake-review')", name=op.f("ck_task_queue")
        ),
        sa.CheckConstraint(
            "status IN ('requested', 'received', 'accepted', 'in-progress', 'on-hold', 'rejected', 'cancelled', 'completed', 'failed', 'entered-in-error')",
            name=op.f("ck_task_status"),
        ),
        sa.CheckConstraint("lane = (1 - red_flag) * 4 + 3 - priority_rank", name=op.f("ck_task_lane")),
        sa.CheckConstraint("priority_rank BETWEEN 0 AND 3", name=op.f("ck_task_priority_rank")),
        sa.ForeignKeyConstraint(["referral_id"], ["service_request.id"], name=op.f("fk_task_referral_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task")),
        sa.UniqueConstraint("referral_id", name=op.f("uq_task_referral_id")),
    )
    op.create_index(op.f("ix_task_client_last_updated_id"), "task", ["client", "last_updated", "id"], unique=False)
    op.create_index(
        op.f("ix_task_closed_sender_code_sender"), "task", ["closed", "sender_code", "sender"], unique=False
    )
    op.create_index(op.f("ix_task_last_updated_id"), "task", ["last_updated", "id"], unique=False)
    op.create_index(
        "ix_task_list_assignees",
        "task",
        ["closed", "assignee"],
        unique=False,
        sqlite_where=sa.text("assignee IS NOT NULL"),
        postgresql_where=sa.text("assignee IS NOT NULL"),
    )
    op.create_index("ix_task_list_by_age", "task", ["closed", "queue", "born", "id"], unique=False)
    op.create_index("ix_task_list_by_changed", "task", ["closed", "queue", "last_updated", "id"], unique=False)
    op.create_index("ix_task_list_by_due", "task", ["closed", "queue", "due", "id"], unique=False)
    op.create_index("ix_task_list_by_urgency", "task", ["closed", "queue", "lane", "authored_on", "id"], unique=False)
    op.create_index("ix_task_list_by_waiting", "task", ["closed", "queue", "authored_on", "id"], unique=False)
    op.create_index(
        "ix_task_list_filters",
        "task",
        [
            "closed",
            "queue",
            "lane",
            "authored_on",
            "due",
            "born",
            "last_updated",
            "id",
            "status",
            "business_status",
            "code",
            "flags",
            "sender_code",
            "assignee",
            "patient_id",
            "referral_id",
            "masked",
        ],
        unique=False,
    )
    op.create_index(op.f("ix_task_patient_id"), "task", ["patient_id"], unique=False)
    op.create_index(
        op.f("ix_task_status_queue_last_updated_id"), "task", ["status", "queue", "last_updated", "id"], unique=False
    )
    op.create_table(
        "correction",
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("at", sa.String(length=24), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("actor_name", sa.String(length=256), nullable=False),
        sa.Column("before", sa.String(length=64), nullable=True),
        sa.Column("value", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('birth-date', 'code', 'queue')", name=op.f("ck_correction_kind")),
        sa.ForeignKeyConstraint(["referral_id"], ["service_request.id"], name=op.f("fk_correction_referral_id")),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_correction_task_id")),
        sa.PrimaryKeyConstraint("task_id", "version", "kind", name=op.f("pk_correction")),
    )
    op.create_index(op.f("ix_correction_referral_id"), "correction", ["referral_id"], unique=False)
    op.create_table(
        "notice",
        sa.Column("alert_id", sa.String(length=36), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("due", sa.String(length=24), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.String(length=24), nullable=True),
        sa.Column("contact", sa.String(length=128), nullable=True),
        sa.Column("fault", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_notice_alert_id")),
        sa.PrimaryKeyConstraint("alert_id", "step", name=op.f("pk_notice")),
    )
    op.create_index(
        op.f("ix_notice_due"),
        "notice",
        ["due"],
        unique=False,
        sqlite_where=sa.text("due IS NOT NULL"),
        postgresql_where=sa.text("due IS NOT NULL"),
    )
    op.create_table(
        "status_change",
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("at", sa.String(length=24), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("actor_name", sa.String(length=256), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("from_status", sa.String(length=32), nullable=True),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("business_status", sa.String(length=32), nullable=True),
        sa.Column("from_queue", sa.String(length=32), nullable=True),
        sa.Column("queue", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("value", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_status_change_task_id")),
        sa.PrimaryKeyConstraint("task_id", "version", "step", name=op.f("pk_status_change")),
    )
    op.create_index(
        op.f("ix_status_change_status_task_id_at"), "status_change", ["status", "task_id", "at"], unique=False
    )
