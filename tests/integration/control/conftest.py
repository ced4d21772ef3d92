"""One platform for each test that asks for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.control.platform import Platform, platform_in, settings_in


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with platform_in(settings_in(tmp_path)) as running:
        yield running
