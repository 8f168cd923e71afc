"""Label projects keep how their tasks were chosen, and tasks the chance that they had of being sent"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("label_project", schema=None) as batch_op:
        batch_op.add_column(sa.Column("plan", sa.Text(), nullable=False, server_default="{}"))
    with op.batch_alter_table("label_task", schema=None) as batch_op:
        batch_op.add_column(sa.Column("p_sent", sa.Double(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("label_task", schema=None) as batch_op:
        batch_op.drop_column("p_sent")
    with op.batch_alter_table("label_project", schema=None) as batch_op:
        batch_op.drop_column("plan")
