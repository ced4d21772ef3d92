"""No entry of the audit is replaced.

SQLite's INSERT OR REPLACE removes the former row, and fires no trigger of deletions for it unless the
connection asked for that (`recursive_triggers`). PostgreSQL has no such statement, and refuses ON CONFLICT
DO UPDATE by the trigger of updates.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Where no id is given, SQLite shows -1 here; ids that the database gives begin at 1.
_TRIGGER = """
CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit
WHEN NEW.id > 0 AND EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(_TRIGGER)


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER audit_no_replace")
