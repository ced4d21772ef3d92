"""A log line as people read it."""

from datetime import UTC, datetime
from typing import Literal

import pytest

from cli.logs import formatted
from plat.model import LogLine


@pytest.mark.parametrize(
    ("stream", "microsecond", "expected"),
    [
        ("stdout", 7_000, "03:04:05.007 v12 01234567   hello: world"),
        ("stderr", 999_999, "03:04:05.999 v12 01234567 ! hello: world"),
    ],
)
def test_time_version_instance_and_a_mark_for_stderr(
    stream: Literal["stdout", "stderr"], microsecond: int, expected: str
) -> None:
    time = datetime(2030, 1, 2, 3, 4, 5, microsecond, UTC)
    line = LogLine(
        time=time,
        function="f",
        version=12,
        instance="0123456789abcdef",
        stream=stream,
        message="hello: world",
    )
    assert formatted(line) == expected
