"""Output: sizes, values, tables in a pipe and on a terminal, JSON, steps."""

import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest

from cli.render import Steps, print_json, print_pairs, print_table, size, steps

ROWS = [
    ("hello", 3, None),
    ("a [b]", True, datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))),
]


def pretend_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Called in the test itself: between a fixture and its test pytest puts another stdout in place."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "100")


def test_in_a_pipe_a_table_is_tab_separated_without_a_head(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", "LIVE", "AT"), ROWS)
    assert capsys.readouterr().out == "hello\t3\t-\na [b]\tyes\t2030-01-02 01:04:05\n"


def test_on_a_terminal_it_is_aligned_under_a_head(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend_a_terminal(monkeypatch)
    print_table(("NAME", "LIVE", "AT"), ROWS)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "NAME   LIVE  AT",
        "hello  3     -",
        "a [b]  yes   2030-01-02 01:04:05",
    ]


def test_pairs_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_pairs([("name", "hello"), ("concurrency", 3)])
    assert capsys.readouterr().out == "name\thello\nconcurrency\t3\n"


def test_pairs_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pretend_a_terminal(monkeypatch)
    print_pairs([("name", "hello"), ("concurrency", 3)])
    assert capsys.readouterr().out == "name         hello\nconcurrency  3\n"


def test_json_in_a_pipe_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1, datetime(2030, 1, 1, tzinfo=UTC)]})
    assert capsys.readouterr().out == '{"a":[1,"2030-01-01T00:00:00Z"]}\n'


def test_json_on_a_terminal_is_indented(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend_a_terminal(monkeypatch)
    print_json({"a": 1})
    assert capsys.readouterr().out == '{\n  "a": 1\n}\n'


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_500_000, "1.5 MB"), (2 * 10**9, "2.0 GB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


def test_steps_go_to_stderr_and_are_silent_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    with steps(quiet=False) as report:
        report("Packing")
    with steps(quiet=True) as report:
        report("Packing")
    assert capsys.readouterr() == ("", "Packing…\n")


def test_on_a_terminal_the_current_step_is_the_status() -> None:
    class Status:
        text = ""

        def update(self, text: str) -> None:
            self.text = text

    status = Status()
    Steps(status)("Packing")
    assert status.text == "Packing…"
