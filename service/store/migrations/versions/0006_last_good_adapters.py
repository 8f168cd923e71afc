"""A run whose training failed has the adapter of its last good step, and may have another once it is resumed"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("adapter", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("uq_adapter_run_id"), type_="unique")
        batch_op.add_column(sa.Column("last_good_step", sa.Integer(), nullable=True))
        batch_op.create_unique_constraint(batch_op.f("uq_adapter_run_id_name"), ["run_id", "name"])


def downgrade() -> None:
    op.execute("DELETE FROM adapter WHERE last_good_step IS NOT NULL")
    with op.batch_alter_table("adapter", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("uq_adapter_run_id_name"), type_="unique")
        batch_op.drop_column("last_good_step")
        batch_op.create_unique_constraint(batch_op.f("uq_adapter_run_id"), ["run_id"])
