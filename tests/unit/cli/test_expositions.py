"""Adding up metrics of several processes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from cli.expositions import sum_expositions


def test_nothing_is_nothing() -> None:
    assert sum_expositions([]) == ""
    assert sum_expositions(["", "\n"]) == ""


def test_equal_names_and_labels_are_added_and_heads_are_kept_once() -> None:
    one = '# HELP calls_total Calls.\n# TYPE calls_total counter\ncalls_total{code="200"} 3\n'
    two = '# HELP calls_total Calls.\n# TYPE calls_total counter\ncalls_total{code="200"} 4.5\n'
    assert sum_expositions([one, two]) == (
        '# HELP calls_total Calls.\n# TYPE calls_total counter\ncalls_total{code="200"} 7.5\n'
    )


def test_other_labels_are_other_samples_of_the_same_family() -> None:
    one = '# TYPE a counter\na{f="x"} 1\n# TYPE b gauge\nb 1\n'
    two = '# TYPE a counter\na{f="y"} 2\n# TYPE b gauge\nb 2\n'
    assert (
        sum_expositions([one, two]) == '# TYPE a counter\na{f="x"} 1.0\na{f="y"} 2.0\n# TYPE b gauge\nb 3.0\n'
    )


def test_the_parts_of_a_histogram_stay_together() -> None:
    text = '# TYPE h histogram\nh_bucket{le="1.0"} 1\nh_bucket{le="+Inf"} 2\nh_sum 1.5\nh_count 2\n'
    assert sum_expositions([text, text]) == (
        '# TYPE h histogram\nh_bucket{le="1.0"} 2.0\nh_bucket{le="+Inf"} 4.0\nh_sum 3.0\nh_count 4.0\n'
    )


def test_a_sample_after_another_family_s_head_is_not_its() -> None:
    assert sum_expositions(["# TYPE a gauge\na 1\nb 2\n", "# TYPE a gauge\nc 3\n"]) == (
        "# TYPE a gauge\na 1.0\nb 2.0\nc 3.0\n"
    )


@pytest.mark.parametrize(
    ("name", "merged"),
    [
        ("calls_created", 5.0),
        ("process_start_time_seconds", 5.0),
        ("python_info", 7.0),
        ("process_max_fds", 7.0),
        ("in_flight", 12.0),
    ],
)
def test_moments_and_facts_are_not_added(name: str, merged: float) -> None:
    assert sum_expositions([f"{name} 7", f"{name} 5"]) == f"{name} {merged}\n"


@pytest.mark.parametrize(
    "line",
    [
        'a{f="with space and } and , and \\" and \\\\"} 1.0',
        'a{f="x",g="y"} 1.0',
        "a:b_c 1.0",
        "a NaN",
        "a +Inf",
        "a -Inf",
        "a{} 1.0",
    ],
)
def test_samples_that_are_hard_to_split_come_back(line: str) -> None:
    assert sum_expositions([line]) == line + "\n"


def test_a_time_stamp_is_left_out() -> None:
    assert sum_expositions(["a 1 1700000000000"]) == "a 1.0\n"


@pytest.mark.parametrize("line", ["a", "a b c d", '{f="x"} 1', 'a{f="x} 1', "1a 1", "<html>"])
def test_what_is_no_sample_is_refused_by_name(line: str) -> None:
    with pytest.raises(ValueError, match=r"no Prometheus sample|could not convert"):
        sum_expositions([line])


def registry(calls: dict[str, int]) -> str:
    collected = CollectorRegistry()
    counter = Counter("calls", "Calls.", ["function"], registry=collected)
    seconds = Histogram("seconds", "Time.", ["function"], buckets=(0.5, 1), registry=collected)
    Gauge("in_flight", "Now.", registry=collected).set(len(calls))
    for function, count in calls.items():
        counter.labels(function).inc(count)
        seconds.labels(function).observe(count)
    return generate_latest(collected).decode()


def totals(text: str) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


counts = st.dictionaries(st.text(min_size=1, max_size=8), st.integers(0, 100), max_size=4)


@given(st.lists(counts, min_size=1, max_size=4))
def test_with_a_real_library_each_sum_is_the_sum(processes: list[dict[str, int]]) -> None:
    texts = [registry(each) for each in processes]
    expected: dict[str, float] = {}
    for text in texts:
        for key, value in totals(text).items():
            expected[key] = expected.get(key, 0) + value
    assert totals(sum_expositions(texts)) == expected
