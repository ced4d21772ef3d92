"""What a call is told that should have been handed over and could not be."""

from router.access.bearers import UnknownKeyError
from router.streaming_only import StreamingOnlyError, of_a_page, unverified


def test_it_is_refused_and_may_be_sent_again() -> None:
    for error in (of_a_page("f"), unverified("f")):
        assert (error.status, error.retry_after_s) == (503, 1)
        assert '"f"' in error.detail and "send it again" in error.detail


def test_a_key_to_be_fetched_is_waited_for_there() -> None:
    assert isinstance(UnknownKeyError(), StreamingOnlyError)
