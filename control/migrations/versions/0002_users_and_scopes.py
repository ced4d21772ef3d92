"""Users; tokens with an id, an owner, scopes and an end."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_FORMER = sa.table(
    "tokens", sa.column("digest"), sa.column("name"), sa.column("created_at", sa.DateTime(timezone=True))
)


def upgrade() -> None:
    former = op.get_bind().execute(sa.select(_FORMER)).mappings().all()
    op.create_table(
        "users",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_users"),
    )
    op.drop_table("tokens")
    table = op.create_table(
        "tokens",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("owner", sa.String(63), nullable=True),
        sa.Column("parent", sa.String(32), nullable=True),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("digest", name="uq_tokens_digest"),
        sa.ForeignKeyConstraint(["owner"], ["users.name"], name="fk_tokens_owner_users", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["parent"], ["tokens.id"], name="fk_tokens_parent_tokens", ondelete="CASCADE"
        ),
    )
    op.bulk_insert(table, [_with_everything(row) for row in former])


def _with_everything(row: sa.RowMapping) -> dict[str, object]:
    """A token of before scopes could do everything. The one that `plat up` makes has its name as its id."""
    identity = row["name"] if row["name"] == "admin" else row["digest"][:16]
    return {**row, "id": identity, "scopes": '["admin"]'}


def downgrade() -> None:
    """Only tokens that may do everything and do not expire are kept: the older release knows no others."""
    now = sa.table(
        "tokens", *(sa.column(name) for name in ("id", "digest", "scopes", "created_at", "expires_at"))
    )
    kept = sa.select(now).where(now.c.scopes == '["admin"]', now.c.expires_at.is_(None))
    rows = op.get_bind().execute(kept).mappings().all()
    op.drop_table("tokens")
    table = op.create_table(
        "tokens",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_tokens"),
        sa.UniqueConstraint("name", name="uq_tokens_name"),
    )
    op.bulk_insert(
        table,
        [{"digest": row["digest"], "name": row["id"], "created_at": row["created_at"]} for row in rows],
    )
    op.drop_table("users")
