import tomllib

import pytest

from bench import samples, workload
from bench.samples import Samples


def test_zipf_s_law() -> None:
    shares = workload.zipf(3, exponent=1.0)
    assert shares == pytest.approx([6 / 11, 9 / 11, 1.0])
    assert workload.pick("abc", shares, 0.0) == "a"
    assert workload.pick("abc", shares, 0.6) == "b"
    assert workload.pick("abc", shares, 0.999_999) == "c"


@pytest.mark.parametrize("function", workload.FUNCTIONS, ids=lambda each: each.name)
def test_functions_are_what_plat_reads(function: workload.LoadFunction) -> None:
    assert tomllib.loads(function.toml())["name"] == function.name
    compile(function.code, function.name, "exec")


def test_samples_become_rows() -> None:
    seen = Samples()
    for number in range(1, 101):
        seen.answered(workload.WARM, float(number))
    seen.failed(workload.COLD)
    result = samples.result(seen)
    assert result.median("warm call", "plat", "p50_ms") == 50.5
    assert result.median("warm call", "plat", "p99_ms") == 99
    assert result.median("cold start", "plat", "failures") == 1
    assert result.median("cold start", "plat", "p99_ms") is None


def test_few_samples_judge_nothing() -> None:
    seen = Samples(times_ms={workload.COLD: [1.0] * (samples.ENOUGH - 1)})
    row = samples.result(seen).row("cold start", "plat")
    assert "p50_ms" not in row.figures
    assert row.notes == ["19 samples are too few to judge: let it run for longer"]
