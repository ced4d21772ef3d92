"""What Alembic runs: on the connection that `control.database.migrate` hands over."""

from alembic import context

from control.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
