"""Each form of trace: what its rows become."""

import pytest

from pool.simulation.trace import Trace
from pool.simulation.trace_forms import FORMS, MOST_CALLS, Draft, form_of


def made(*files: list[str]) -> Trace:
    draft = Draft()
    for lines in files:
        header, *rows = [line.split(",") for line in lines]
        take = form_of(header).begin(draft, header)
        for row in rows:
            take(row)
    return draft.trace()


def test_our_own() -> None:
    trace = made(
        ["function,arrival_s,duration_s,memory_mb,cold_s", "b,12,0.5,256,1.5", "a,10,2,,", "b,11,0.5,,"]
    )
    assert [tuple(call) for call in trace] == [(0, 1, 2), (1, 0, 0.5), (2, 0, 0.5)]
    first, second = trace.functions
    assert (first.name, first.memory_mb, first.cold_s) == ("b", 256, 1.5)
    assert (second.name, second.memory_mb, second.cold_s) == ("a", None, None)


def test_azure_2021_has_the_time_of_the_end() -> None:
    trace = made(["app,func,end_timestamp,duration", "x,f,10,4", "y,f,8,1"])
    assert [each.name for each in trace.functions] == ["x/f", "y/f"]
    assert [tuple(call) for call in trace] == [(0, 0, 4), (1, 1, 1)]


DAY = ["HashOwner,HashApp,HashFunction,Trigger,1,2,3", "o,a,f,timer,1,0,2", "o,a,g,http,0,50,0"]
DURATIONS = [
    "HashOwner,HashApp,HashFunction,Average,Count,Minimum,Maximum,percentile_Average_0,"
    "percentile_Average_50,percentile_Average_100",
    "o,a,f,200,3,100,300,100,200,300",
]
MEMORY = ["HashOwner,HashApp,SampleCount,AverageAllocatedMb", "o,a,10,171.6"]


def test_azure_2019_counts_by_minute() -> None:
    trace = made(DAY, DURATIONS, MEMORY)
    timer = [call for call in trace if call.function == 0]
    assert [call.arrival_s for call in timer] == [0, 120, 150]
    assert all(0.1 <= call.duration_s <= 0.3 for call in timer)
    others = [call for call in trace if call.function == 1]
    assert len(others) == 50
    assert all(60 <= call.arrival_s < 120 and call.duration_s == 0.2 for call in others)
    assert [each.memory_mb for each in trace.functions] == [172, 172]  # of their app, rounded


def test_azure_2019_days_follow_each_other_and_are_the_same_each_time() -> None:
    first, second = made(DAY, DAY, DURATIONS), made(DAY, DAY, DURATIONS)
    assert list(first) == list(second)
    assert len(first) == 106
    assert first.span_s > 86_400


def test_azure_2019_without_durations_is_refused() -> None:
    with pytest.raises(ValueError, match="durations too"):
        made(DAY)


@pytest.mark.parametrize("count", ["-1", "1.5", "", "x", "1" * 30])
def test_counts_are_whole_numbers(count: str) -> None:
    with pytest.raises(ValueError, match="calls in minute 1"):
        made(["HashOwner,HashApp,HashFunction,Trigger,1", f"o,a,f,http,{count}"])


def test_too_many_calls_are_refused_before_they_are_made() -> None:
    with pytest.raises(ValueError, match=f"more than {MOST_CALLS} calls"):
        made(["HashOwner,HashApp,HashFunction,Trigger,1", f"o,a,f,http,{MOST_CALLS + 1}"])


ILUVATAR = ["func_name,cold_dur_ms,warm_dur_ms,mem_mb,mean_iat", "f,600,100,64,5"]


def test_iluvatar_in_either_order() -> None:
    calls = ["func_name,invoke_time_ms", "f,1500", "f,500"]
    for files in ((ILUVATAR, calls), (calls, ILUVATAR)):
        trace = made(*files)
        assert [tuple(call) for call in trace] == [(0, 0, 0.1), (1, 0, 0.1)]
        assert (trace.functions[0].memory_mb, trace.functions[0].cold_s) == (64, 0.5)


def test_iluvatar_without_durations_is_refused() -> None:
    with pytest.raises(ValueError, match='no duration of "f"'):
        made(["func_name,invoke_time_ms", "f,1500"])


def test_an_unknown_form_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="function,arrival_s,duration_s") as caught:
        form_of(["time", "name"])
    assert all(",".join(form.columns) in str(caught.value) for form in FORMS)
