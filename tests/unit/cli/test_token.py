"""What `plat token create` asks for."""

from datetime import UTC, datetime, timedelta

import pytest

from cli.failure import UsageFaultError
from cli.token import duration, request_of
from plat.administration import TokenRequest
from plat.errors import PlatError

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def test_a_request() -> None:
    wanted = request_of("ci", ("read", "invoke:*"), "30d", "ann", NOW)
    end = NOW + timedelta(days=30)
    assert wanted == TokenRequest(name="ci", scopes=["read", "invoke:*"], expires_at=end, owner="ann")
    assert request_of("ci", ("read",), None, None, NOW).expires_at is None


@pytest.mark.parametrize(
    ("name", "scope"), [("", "read"), ("ci", "write"), ("ci", "invoke:A"), ("\n", "read")]
)
def test_what_the_platform_would_refuse_is_not_sent(name: str, scope: str) -> None:
    with pytest.raises(PlatError) as error:
        request_of(name, (scope,), None, None, NOW)
    assert error.value.code == "invalid"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("45m", 2700), ("12h", 43_200), ("30d", 2_592_000), ("2w", 1_209_600)],
)
def test_durations(text: str, expected: int) -> None:
    assert duration(text).total_seconds() == expected


@pytest.mark.parametrize("text", ["", "30", "d", "0d", "-1d", "1.5h", "30 d", "1y", "9999999d", "1d1h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageFaultError, match="30d"):
        duration(text)
