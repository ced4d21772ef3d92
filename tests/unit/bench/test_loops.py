"""What the load programs print."""

import pytest

from bench import closedloop, fixedrate

H2LOAD = """
finished in 1.50s, 5162.67 req/s, 1.17MB/s
requests: 7744 total, 7744 started, 7744 done, 7740 succeeded, 4 failed, 0 errored, 0 timeout
status codes: 7740 2xx, 0 3xx, 4 4xx, 0 5xx
"""
WRK = """Running 1s test @ http://127.0.0.1/
  Latency   306.49us
result {"calls":1000,"seconds":2.0,"errors":3,"p50_ms":0.259,"p99_ms":0.696}
"""


def test_h2load() -> None:
    assert fixedrate.parse(H2LOAD) == fixedrate.Steady(calls=7744, good=7740, calls_per_s=5162.67)


def test_wrk() -> None:
    peak = closedloop.parse(WRK)
    assert (peak.calls_per_s, peak.errors, peak.p50_ms) == (500.0, 3, 0.259)


@pytest.mark.parametrize("parse", [fixedrate.parse, closedloop.parse])
def test_what_is_no_result_is_refused(parse: object) -> None:
    assert callable(parse)
    with pytest.raises(ValueError, match="printed no result"):
        parse("connect failed")
