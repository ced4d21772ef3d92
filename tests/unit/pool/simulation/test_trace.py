"""Calls in the order of their arrival."""

from hypothesis import given
from hypothesis import strategies as st

from pool.simulation.trace import Call, Profile, Trace

calls = st.builds(Call, st.floats(-1e6, 1e6), st.integers(0, 3), st.floats(0, 100))


@given(st.lists(calls, min_size=1))
def test_calls_come_in_order_from_zero_and_none_is_lost(given_calls: list[Call]) -> None:
    trace = Trace([Profile(name) for name in "abcd"], given_calls)
    arrivals = [call.arrival_s for call in trace]
    assert arrivals == sorted(arrivals)
    assert arrivals[0] == 0
    assert trace.span_s == arrivals[-1]
    assert len(trace) == len(given_calls)
    assert sorted(call[1:] for call in trace) == sorted(call[1:] for call in given_calls)


def test_without_calls_it_is_empty() -> None:
    trace = Trace([], [])
    assert (len(trace), trace.span_s, list(trace)) == (0, 0.0, [])
