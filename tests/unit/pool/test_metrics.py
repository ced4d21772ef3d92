"""What the pool tells Prometheus."""

from prometheus_client.parser import text_string_to_metric_families

from plat.idempotency import Claim, Finish, Records
from pool.metrics import PoolMetrics


def samples(metrics: PoolMetrics) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


def test_cold_starts_by_function_and_kind() -> None:
    metrics = PoolMetrics()
    metrics.cold_start("f", "start", 0.2)
    metrics.cold_start("f", "start", 0.3)
    metrics.cold_start("g", "load", 0.001)
    values = samples(metrics)
    assert values[("plat_cold_start_seconds_count", ("f", "start"))] == 2
    assert values[("plat_cold_start_seconds_sum", ("f", "start"))] == 0.5
    assert values[("plat_cold_start_seconds_count", ("g", "load"))] == 1


def test_instances_are_counted_when_asked() -> None:
    metrics = PoolMetrics()
    states = [("f", "ready"), ("f", "ready"), ("f", "starting"), ("g", "draining")]
    metrics.watch(lambda: states)
    values = samples(metrics)
    assert values[("plat_instances", ("f", "ready"))] == 2
    assert values[("plat_instances", ("f", "starting"))] == 1
    assert values[("plat_instances", ("g", "draining"))] == 1
    states.clear()
    assert not [key for key in samples(metrics) if key[0] == "plat_instances"]


def test_keys_that_are_kept() -> None:
    metrics, records = PoolMetrics(), Records(float("-inf"), 1)
    metrics.watch_keys(records)
    assert samples(metrics)["plat_idempotency_kept_bytes", ()] == 0
    for key in "ab":
        records.answer(Claim(key, "t", "f"), 1.0)
        records.answer(Finish(key, "t", "f", b"answer", 60.0), 1.0)
    values = samples(metrics)
    assert values["plat_idempotency_kept_bytes", ()] == records.bytes > 0
    assert values["plat_idempotency_evicted_total", ()] == 1


def test_two_pools_in_one_process_do_not_meet() -> None:
    first, second = PoolMetrics(), PoolMetrics()
    first.cold_start("f", "start", 1.0)
    assert ("plat_cold_start_seconds_count", ("f", "start")) not in samples(second)
