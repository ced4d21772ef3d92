"""Database URLs: those that can be used, and what is said of the others."""

from pathlib import Path

import pytest

from control.database import open_engine
from plat.errors import PlatError


@pytest.mark.parametrize(
    "url",
    ["", "plat.db", "sqlite:///plat.db", "mysql://x/y", "nonsense+driver://x", "postgresql+psycopg2://h/d"],
)
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(PlatError, match=r"sqlite\+aiosqlite|not installed") as caught:
        open_engine(url)
    assert caught.value.code == "invalid"


def test_a_password_is_not_shown() -> None:
    with pytest.raises(PlatError) as caught:
        open_engine("postgresql://user:geheim@host/name")
    assert "geheim" not in caught.value.detail


async def test_the_time_to_wait_for_a_lock_can_be_given(tmp_path: Path) -> None:
    given = open_engine(f"sqlite+aiosqlite:///{tmp_path}/a.db?timeout=1")
    default = open_engine(f"sqlite+aiosqlite:///{tmp_path}/a.db")
    assert (given.url.query["timeout"], default.url.query["timeout"]) == ("1", "5")
    await given.dispose()
    await default.dispose()
