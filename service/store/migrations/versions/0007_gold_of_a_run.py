"""A run may be given right answers"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.add_column(sa.Column("gold_id", sa.String(length=64), nullable=True))
        batch_op.create_index(batch_op.f("ix_run_gold_id"), ["gold_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_run_gold_id"))
        batch_op.drop_column("gold_id")
