"""Alembic environment of the ipam schema."""

from __future__ import annotations

from alembic import context

from services.ipam.model import Base

connection = context.config.attributes["connection"]
# Requests queue behind a migration that waits for a lock: it gives way soon, and `common.migrate` tries again.
connection.exec_driver_sql("SET lock_timeout = '1s'")
context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
connection.commit()
