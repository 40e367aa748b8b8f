"""0002_walk: how far the index is filled anew, and what it has refused."""

import sqlalchemy as sa
from alembic import op

revision = '0002_walk'
down_revision = '0001_initial'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('document', schema=None) as batch_op:
        batch_op.add_column(sa.Column('refused', sa.Text(), nullable=True))
    with op.batch_alter_table('index_state', schema=None) as batch_op:
        batch_op.add_column(sa.Column('walked_to', sa.Uuid(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table('index_state', schema=None) as batch_op:
        batch_op.drop_column('walked_to')
    with op.batch_alter_table('document', schema=None) as batch_op:
        batch_op.drop_column('refused')
