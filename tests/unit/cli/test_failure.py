"""How a command ends: its exit code, its one line, its JSON."""

import json

import pytest

from cli.failure import ExitCode, FailedError, UsageFaultError, document_of, exit_code_of, message_of, show
from plat.answers import RefusedError
from plat.errors import PlatError

REFUSED = RefusedError(PlatError("invalid", "scale.max = 0").problem())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PlatError("invalid", "plat.toml: no name"), ExitCode.USAGE),
        (UsageFaultError("no such folder"), ExitCode.USAGE),
        (REFUSED, ExitCode.FAILED),
        (PlatError("control_unavailable", "down"), ExitCode.FAILED),
        (FailedError("pip"), ExitCode.FAILED),
    ],
)
def test_exit_codes(error: Exception, code: ExitCode) -> None:
    assert exit_code_of(error) == code


def test_a_message_is_one_line_with_what_to_do() -> None:
    assert message_of(PlatError("internal", "It\n  broke.")) == "It broke."
    assert message_of(PlatError("unauthorized", "No token.")).startswith("No token. Set PLAT_TOKEN")


def test_a_traceback_is_printed_below(capsys: pytest.CaptureFixture[str]) -> None:
    show(
        PlatError("handler_import_failed", "It raises.", traceback="Traceback\n  line 1\nX: y\n"),
        as_json=False,
    )
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "Error: It raises.\nTraceback\n  line 1\nX: y\n"


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    show(PlatError("instance_crashed", "Gone.", reason="out_of_memory"), as_json=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err) == {
        "code": "instance_crashed",
        "status": 502,
        "detail": "Gone.",
        "reason": "out_of_memory",
    }


def test_what_failed_here_has_a_code_too() -> None:
    assert document_of(FailedError("pip failed", said="no such package")) == {
        "code": "failed",
        "detail": "pip failed",
        "traceback": "no such package",
    }
