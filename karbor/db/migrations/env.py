# SPDX-License-Identifier: Apache-2.0
"""How does alembic run our migrations? On the connection it is handed, inside the transaction that is open there."""

from alembic import context

from karbor.db.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
