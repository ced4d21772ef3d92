"""What the shell is told at TAB when nothing answers. Talking is in the integration tests."""

import socket
from pathlib import Path

import click
import pytest

from cli.functions import show
from cli.session import _complete_name


def test_completion_is_silent_where_nothing_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PLAT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        monkeypatch.setenv("PLAT_CONFIG", str(tmp_path / "none.toml"))
        assert _complete_name(click.Context(show), show.params[0], "he") == []
