"""What `plat audit` makes of a time."""

from datetime import datetime

import pytest

from cli.audit import moment
from cli.failure import UsageFaultError


@pytest.mark.parametrize(
    "text", ["2026-01-31", "2026-01-31T12:00:00", "2026-01-31T12:00:00+01:00", "2026-01-31T12:00Z"]
)
def test_a_time_has_its_zone(text: str) -> None:
    sent = datetime.fromisoformat(moment(text))
    assert sent.tzinfo is not None
    assert sent == datetime.fromisoformat(text).astimezone()


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "0001-01-01T00:00:00+23:00"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageFaultError, match="--since"):
        moment(text)
