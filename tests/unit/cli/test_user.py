"""`plat user` asks before it deletes."""

import pytest

from cli.failure import UsageFaultError
from cli.user import user


def test_without_a_terminal_a_deletion_is_said_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    with pytest.raises(UsageFaultError, match="--yes"):
        user.main(["delete", "ann"], standalone_mode=False)
