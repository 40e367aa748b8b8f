"""Listen ports for platforms of one's own."""

import pytest
from e2e_support.ports import first_free_block


@pytest.fixture
def free_block() -> int:
    """See `first_free_block`."""
    return first_free_block()
