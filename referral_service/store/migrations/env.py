"""Run by Alembic, on the connection that its caller opened and will commit."""

from alembic import context

from referral_service.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
