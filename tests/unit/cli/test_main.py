"""One command line to one exit code, and what loading a command does not load."""

import json
import subprocess
import sys

import click
import pytest

from cli.failure import FailedError
from cli.main import COMMANDS, LazyGroup, cli, run
from plat.errors import PlatError


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_it_is_said_to_be(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert command.help


def test_an_unknown_one_is_usage_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dploy"]) == 2
    assert capsys.readouterr().err == 'Error: No command "dploy". Did you mean "deploy"? See `plat --help`.\n'


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert "Commands:" in capsys.readouterr().out
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("plat 0.")


def test_nothing_at_all_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Commands:" in err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PlatError("invalid", "wrong"), 2),
        (PlatError("internal", "wrong"), 1),
        (FailedError("wrong"), 1),
        (OSError(28, "wrong"), 1),
        (click.ClickException("wrong"), 1),
        (click.UsageError("wrong"), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_error_is_one_line_and_a_code(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def broken() -> None:
        raise error

    monkeypatch.setattr(LazyGroup, "get_command", lambda *_: broken)
    assert run(["list"]) == code
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert "wrong" in err or code == 130
    assert err.count("\n") == 1


def test_with_json_an_error_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["deploy", "/nowhere", "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err)["code"] == "failed"


@pytest.mark.parametrize(
    ("command", "left_out"),
    [
        (
            "list",
            {"sqlalchemy", "alembic", "aiodocker", "uvloop", "rich", "pathspec", "pool", "control"},
        ),
        ("router", {"sqlalchemy", "alembic", "aiodocker", "rich", "pool", "control", "builder"}),
        ("up", {"sqlalchemy", "alembic", "aiodocker", "uvloop", "rich", "router", "control", "builder"}),
    ],
)
def test_a_command_loads_only_what_it_needs(command: str, left_out: set[str]) -> None:
    code = (
        "import sys, click\n"
        "from cli.main import cli\n"
        f"cli.get_command(click.Context(cli), {command!r})\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert left_out & set(done.stdout.split()) == set()
