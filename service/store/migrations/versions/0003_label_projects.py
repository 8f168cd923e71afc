"""Label projects: tasks leased to annotators, and labels that answer them"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID, SHA, TIME = sa.String(length=64), sa.String(length=64), sa.String(length=32)


def upgrade() -> None:
    op.create_table(
        "label_project",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("guideline", sa.Text(), nullable=False),
        sa.Column("principle_ids", sa.Text(), nullable=False),
        sa.Column("constitution_id", ID, nullable=True),
        sa.Column("preference_set_id", ID, nullable=True),
        sa.Column("run_id", ID, nullable=True),
        sa.Column("overlap", sa.Integer(), nullable=False),
        sa.Column("gold_share", sa.Double(), nullable=False),
        sa.Column("budget_labels", sa.Integer(), nullable=False),
        sa.Column("tasks", sa.Integer(), nullable=False),
        sa.Column("training_tasks", sa.Integer(), nullable=False),
        sa.Column("repeats", sa.Integer(), nullable=False),
        sa.Column("open_tasks", sa.Integer(), nullable=False),
        sa.Column("labels", sa.Integer(), nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["constitution_id"], ["constitution.id"], name=op.f("fk_label_project_constitution_id_constitution")
        ),
        sa.ForeignKeyConstraint(
            ["preference_set_id"], ["preference_set.id"], name=op.f("fk_label_project_preference_set_id_preference_set")
        ),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_label_project_project_id_project")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_label_project_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label_project")),
    )
    for column in ("constitution_id", "preference_set_id", "project_id", "run_id"):
        op.create_index(op.f(f"ix_label_project_{column}"), "label_project", [column], unique=False)
    op.create_table(
        "annotator",
        sa.Column("label_project_id", ID, nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("invitation_sha256", SHA, nullable=False),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.Column("served", sa.Integer(), nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["label_project_id"],
            ["label_project.id"],
            name=op.f("fk_annotator_label_project_id_label_project"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_annotator_project_id_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotator")),
        sa.UniqueConstraint("invitation_sha256", name=op.f("uq_annotator_invitation_sha256")),
    )
    op.create_index(op.f("ix_annotator_label_project_id"), "annotator", ["label_project_id"], unique=False)
    op.create_index(op.f("ix_annotator_project_id"), "annotator", ["project_id"], unique=False)
    op.create_table(
        "annotator_session",
        sa.Column("secret_sha256", SHA, nullable=False),
        sa.Column("annotator_id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["annotator_id"],
            ["annotator.id"],
            name=op.f("fk_annotator_session_annotator_id_annotator"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("secret_sha256", name=op.f("pk_annotator_session")),
    )
    op.create_index(op.f("ix_annotator_session_annotator_id"), "annotator_session", ["annotator_id"], unique=False)
    _tasks()
    with op.batch_alter_table("label", schema=None) as batch_op:
        batch_op.add_column(sa.Column("label_project_id", ID, nullable=True))
        batch_op.add_column(sa.Column("task_id", ID, nullable=True))
        batch_op.add_column(sa.Column("annotator_id", ID, nullable=True))
        batch_op.add_column(sa.Column("seconds", sa.Double(), nullable=True))
        batch_op.add_column(sa.Column("side_order", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("ranking", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("rewrite", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("undone_at", TIME, nullable=True))
        batch_op.create_foreign_key(batch_op.f("fk_label_task_id_label_task"), "label_task", ["task_id"], ["id"])
        batch_op.create_foreign_key(
            batch_op.f("fk_label_annotator_id_annotator"), "annotator", ["annotator_id"], ["id"]
        )
        batch_op.create_index("ix_label_label_project_id_id", ["label_project_id", "id"], unique=False)
        batch_op.create_index("ix_label_annotator_id_created_at", ["annotator_id", "created_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_label_task_id"), ["task_id"], unique=False)
        batch_op.create_index(
            "uq_label_task_id_annotator_id",
            ["task_id", "annotator_id"],
            unique=True,
            sqlite_where=sa.text("undone_at IS NULL"),
            postgresql_where=sa.text("undone_at IS NULL"),
        )


def _tasks() -> None:
    op.create_table(
        "label_task",
        sa.Column("id", ID, nullable=False),
        sa.Column("label_project_id", ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("lane", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("pair_id", sa.String(length=128), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("replies", sa.Text(), nullable=False),
        sa.Column("principle_id", sa.String(length=64), nullable=True),
        sa.Column("routed_by", sa.String(length=16), nullable=False),
        sa.Column("gold", sa.String(length=16), nullable=True),
        sa.Column("judge_p_a", sa.Double(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("repeat_of", ID, nullable=True),
        sa.Column("answered", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["label_project_id"],
            ["label_project.id"],
            name=op.f("fk_label_task_label_project_id_label_project"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label_task")),
    )
    op.create_index(
        "ix_label_task_label_project_id_lane_position",
        "label_task",
        ["label_project_id", "lane", "position"],
        unique=False,
    )
    op.create_index(op.f("ix_label_task_repeat_of"), "label_task", ["repeat_of"], unique=False)
    op.create_table(
        "task_assignment",
        sa.Column("task_id", ID, nullable=False),
        sa.Column("annotator_id", ID, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("leased_until", TIME, nullable=False),
        sa.Column("side_order", sa.String(length=64), nullable=False),
        sa.Column("served", sa.Integer(), nullable=False),
        sa.Column("draft", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["annotator_id"],
            ["annotator.id"],
            name=op.f("fk_task_assignment_annotator_id_annotator"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["task_id"], ["label_task.id"], name=op.f("fk_task_assignment_task_id_label_task"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("task_id", "annotator_id", name=op.f("pk_task_assignment")),
    )
    op.create_index("ix_task_assignment_annotator_id_state", "task_assignment", ["annotator_id", "state"], unique=False)


def downgrade() -> None:
    # What projects collected goes with them: an earlier schema has nowhere to say whose task a label answers.
    op.execute("DELETE FROM label WHERE task_id IS NOT NULL")
    with op.batch_alter_table("label", schema=None) as batch_op:
        for name in (
            "uq_label_task_id_annotator_id",
            "ix_label_task_id",
            "ix_label_annotator_id_created_at",
            "ix_label_label_project_id_id",
        ):
            batch_op.drop_index(name)
        batch_op.drop_constraint("fk_label_annotator_id_annotator", type_="foreignkey")
        batch_op.drop_constraint("fk_label_task_id_label_task", type_="foreignkey")
        for column in (
            *("undone_at", "rewrite", "ranking", "side_order", "seconds"),
            *("annotator_id", "task_id", "label_project_id"),
        ):
            batch_op.drop_column(column)
    for table in ("task_assignment", "label_task", "annotator_session", "annotator", "label_project"):
        op.drop_table(table)
