"""The migration that a next version might bring: a column, a table filled from what is there, a column made wider."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("task", sa.Column("remark", sa.String(200)))
    op.execute("UPDATE task SET remark = 'queue ' || queue")
    op.create_table(
        "arrival",
        sa.Column("received_id", sa.String(36), sa.ForeignKey("received.id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("client", sa.String(64), nullable=False),
    )
    op.execute("INSERT INTO arrival (received_id, position, client) SELECT received_id, position, client FROM ledger")
    with op.batch_alter_table("received") as batch:  # others refer to it; SQLite makes it anew
        batch.alter_column("request_id", existing_type=sa.String(256), type_=sa.String(300))
