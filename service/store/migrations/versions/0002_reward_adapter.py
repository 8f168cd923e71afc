"""A run may be scored by another run's adapter"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.add_column(sa.Column("reward_adapter_id", sa.String(length=64), nullable=True))
        batch_op.create_index(batch_op.f("ix_run_reward_adapter_id"), ["reward_adapter_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_run_reward_adapter_id"))
        batch_op.drop_column("reward_adapter_id")
