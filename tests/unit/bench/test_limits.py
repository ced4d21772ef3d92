"""What is timed are decisions that admit, with leases from a store."""

import pytest

from bench.questions import limits


def test_all_decisions_admit() -> None:
    assert limits.decide(20_000) > 0


def test_one_that_does_not_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ALONE_RATE", 10_000.0)
    with pytest.raises(RuntimeError, match="decisions did not admit"):
        limits.decide(200_000)
