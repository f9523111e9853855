"""Systems that may call: who they are, what they were granted, the tokens they hold and the assertions they used up."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, String, Table, Text

from referral_service.store.tables.columns import instant, metadata

client = Table(
    "client",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(256), nullable=False),
    Column("roles", String(32), nullable=False),
    Column("queues", String(128), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("jwks", Text),
    Column("jwks_url", String(512)),
    Column("placer_system", String(256)),
    Column("bars", Integer, nullable=False),
    Column("cds_issuer", String(512), unique=True),
    Column("ehr_base", String(512)),
    Column("ehr_token_url", String(512)),
    Column("ehr_client_id", String(256)),
    Column("callbacks", Text, nullable=False),
    Column("tell", String(16)),
    instant("registered_at"),
    Column("revoked_at", String(24)),
    CheckConstraint("jwks IS NULL OR jwks_url IS NULL", name="keys"),
    CheckConstraint("bars IN (0, 1)", name="bars"),
    CheckConstraint("ehr_token_url IS NULL OR ehr_base IS NOT NULL", name="ehr"),
    CheckConstraint("(ehr_token_url IS NULL) = (ehr_client_id IS NULL)", name="ehr_client"),
)
"""A registered system; its id is the ``client`` of every row that it sends. ``roles``, ``queues`` and ``scopes`` are
words with spaces between. Its public keys stand in ``jwks`` or at
``jwks_url``, or it has none and comes with tokens of the issuer outside. ``placer_system`` is the system of its
placer identifiers when they carry no type, ``bars`` is 1 for one that speaks BaRS. ``cds_issuer`` is the ``iss`` of
what it signs when it calls by CDS Hooks.
``ehr_base`` is the FHIR base where its records can be read, with no slash at its end; where one has to log in,
``ehr_token_url`` is where, and ``ehr_client_id`` who this service is there. ``callbacks`` are the origins, with spaces
between, at which it may be told by Subscriptions; ``tell`` is the way in which it is told at its base, None when it is
not."""

access_token = Table(
    "access_token",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("client", String(64), ForeignKey("client.id"), nullable=False),
    Column("scopes", Text, nullable=False),
    instant("expires"),
    Index(None, "client"),
    Index(None, "expires"),
)
"""A token that was given out, by its SHA-256 in hexadecimal digits; the token itself is kept nowhere."""

assertion_jti = Table(
    "assertion_jti",
    metadata,
    Column("issuer", String(512), primary_key=True),
    Column("jti", String(128), primary_key=True),
    instant("expires"),
    Index(None, "expires"),
)
"""The assertions, and tokens of CDS Hooks, that a client has used up, by their ``iss``; the primary key decides between
two that come at once. A row can go once its assertion has expired, for then that is what it is refused for."""
