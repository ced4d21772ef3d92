import pytest

from runtimes.python.plat_runtime.context import Context
from tests.unit.runtimes.python.requests import make_order, make_request


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtimes.python.plat_runtime.context.time.time", lambda: 1000.0)


def test_names_of_lambda() -> None:
    seen = Context(make_order(), make_request(x_call_id="c1"))
    assert (seen.function_name, seen.function_version, seen.aws_request_id) == ("hello", "3", "c1")
    assert seen.memory_limit_in_mb == 128
    assert seen.invoked_function_arn.split(":")[6:] == ["hello", "3"]
    assert (seen.log_group_name, seen.log_stream_name) == ("/plat/hello", "3/0123456789abcdef")
    assert (seen.identity, seen.client_context) == (None, None)


@pytest.mark.parametrize(
    ("deadline", "remaining"),
    [
        ("1002500", 2500), ("999999", 0), ("", 30_000), ("soon", 30_000), ("-5", 30_000), ("\u00b2", 30_000),
    ],
)  # fmt: skip
def test_remaining_time(deadline: str, remaining: int) -> None:
    seen = Context(make_order(timeout_s=30), make_request(x_deadline_ms=deadline))
    assert seen.get_remaining_time_in_millis() == remaining
