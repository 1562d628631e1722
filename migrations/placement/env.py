"""Alembic environment of the placement schema."""

from __future__ import annotations

from alembic import context

from services.placement.model import Base

connection = context.config.attributes["connection"]
# A migration that cannot get its locks gives way to traffic instead of stopping it.
connection.exec_driver_sql("SET lock_timeout = '5s'")
context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
connection.commit()
