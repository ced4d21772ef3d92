"""One platform for each test that asks for it, and empty databases."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.control.platform import Platform, platform_in, settings_in
from tests.integration.control.postgres import Cluster, running_cluster


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with platform_in(settings_in(tmp_path)) as running:
        yield running


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/plat.db"
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster.new_database()
