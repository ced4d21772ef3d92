"""Log lines: one JSON object each, with their fields, their exception, and our level."""

import json
import logging
from collections.abc import Iterator

import pytest

from plat.logs import JsonFormatter, configure, get_logger


@pytest.fixture
def root_untouched() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("root_untouched")
class TestConfigured:
    def test_a_line_is_one_object_on_stderr(self, capsys: pytest.CaptureFixture[str]) -> None:
        configure("pool", "info")
        get_logger("pool.fleet").info("instance ready", instance="ab12", slots=3)
        out, err = capsys.readouterr()
        line = json.loads(err)
        assert out == ""
        assert err.count("\n") == 1
        assert line.pop("time").endswith("+00:00")
        assert line == {
            "level": "info",
            "service": "pool",
            "logger": "pool.fleet",
            "message": "instance ready",
            "instance": "ab12",
            "slots": 3,
        }

    def test_below_the_level_nothing_is_written(self, capsys: pytest.CaptureFixture[str]) -> None:
        configure("pool", "warning")
        get_logger("pool").info("quiet")
        get_logger("pool").warning("loud")
        assert [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()] == ["loud"]

    def test_an_exception_brings_its_traceback_on_the_same_line(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure("pool", "info")
        try:
            raise ValueError("no such thing")
        except ValueError as error:
            get_logger("pool").error("failed", exc_info=error)
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert json.loads(err)["exception"].endswith("ValueError: no such thing\n")


def test_a_value_that_json_does_not_know_is_written_as_text() -> None:
    record = logging.LogRecord("name", logging.INFO, "path", 1, "message", None, None)
    record.plat_fields = {"of": {1, 2}.__class__}
    assert json.loads(JsonFormatter("cli").format(record))["of"] == "<class 'set'>"
