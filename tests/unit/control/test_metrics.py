"""The counters of deploys."""

import asyncio

import pytest

from control.metrics import ControlMetrics
from plat.errors import PlatError


def test_what_became_of_a_deploy() -> None:
    metrics = ControlMetrics()
    with metrics.deploy() as outcome:
        outcome.result = "ok"
    for error in (PlatError("invalid_archive", "no"), asyncio.CancelledError(), ZeroDivisionError()):
        with pytest.raises(type(error)), metrics.deploy():
            raise error
    rendered = metrics.render().decode()
    for result in ("ok", "invalid_archive", "cancelled", "failed"):
        assert f'plat_deploys_total{{result="{result}"}} 1.0' in rendered
    assert "plat_deploy_seconds_count 4.0" in rendered
