"""A database file of the test's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control.store import Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/plat.db")
    yield store
    await store.close()
