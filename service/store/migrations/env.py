"""Alembic's entry: migrates the database that `service.store.database.migrate` names."""

from alembic import context
from sqlalchemy import create_engine, pool

from service.store.tables import Table

engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=Table.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
