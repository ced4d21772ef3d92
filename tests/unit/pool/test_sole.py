"""Two pools never have one folder at a time."""

import os
from pathlib import Path

import pytest

from plat.errors import PlatError
from pool.sole import sole_pool


def test_a_second_pool_is_refused_and_told_of_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with sole_pool(folder), pytest.raises(PlatError, match=f"pid {os.getpid()}"), sole_pool(folder):
        pytest.fail("there were two")


def test_the_next_one_is_not(tmp_path: Path) -> None:
    for _ in range(2):
        with sole_pool(tmp_path):
            assert (tmp_path / "pool.lock").read_text() == str(os.getpid())


def test_other_folders_have_other_pools(tmp_path: Path) -> None:
    with sole_pool(tmp_path / "a"), sole_pool(tmp_path / "b"):
        assert (tmp_path / "a" / "pool.lock").exists()
