"""The Prometheus text of a router, read back by Prometheus' own parser."""

from prometheus_client.parser import text_string_to_metric_families

from router.metrics import LATENCY_BUCKETS_S, Histogram, Metrics


def samples(
    metrics: Metrics, in_flight: dict[str, int] | None = None, queued: dict[str, int] | None = None
) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = metrics.exposition(in_flight or {}, queued or {})
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_nothing_counted_yet() -> None:
    values = samples(Metrics())
    assert values[("plat_queue_seconds_count", ())] == 0
    assert not [key for key in values if key[0].startswith("plat_invocation")]


def test_every_family_has_its_type_and_help() -> None:
    metrics = Metrics()
    metrics.call_ended("f", 200, 0.1)
    families = {
        family.name: (family.type, bool(family.documentation))
        for family in text_string_to_metric_families(metrics.exposition({"f": 1}, {"f": 2}))
    }
    assert families == {
        "plat_invocations": ("counter", True),
        "plat_invocation_seconds": ("histogram", True),
        "plat_queue_seconds": ("histogram", True),
        "plat_in_flight": ("gauge", True),
        "plat_queued": ("gauge", True),
        "plat_rate_limited": ("counter", True),
        "plat_preflights": ("counter", True),
        "plat_bad_signatures": ("counter", True),
        "plat_upstream_errors": ("counter", True),
        "plat_limiter_up": ("gauge", True),
        "plat_limiter_errors": ("counter", True),
        "plat_idempotency_calls": ("counter", True),
        "plat_idempotency_up": ("gauge", True),
        "plat_idempotency_errors": ("counter", True),
        "plat_jwks_fetches": ("counter", True),
    }


def test_fetches_of_keys_by_result() -> None:
    metrics = Metrics()
    metrics.jwks_fetches = {"ok": 2, "failed": 1}
    values = samples(metrics)
    assert values[("plat_jwks_fetches_total", (("result", "failed"),))] == 1
    assert values[("plat_jwks_fetches_total", (("result", "ok"),))] == 2


def test_calls_with_a_key_and_their_store() -> None:
    metrics = Metrics()
    for result in ("executed", "replayed", "replayed"):
        metrics.keyed(result)
    metrics.keys_failed()
    values = samples(metrics)
    assert values[("plat_idempotency_calls_total", (("result", "replayed"),))] == 2
    assert values[("plat_idempotency_up", ())] == 0
    assert values[("plat_idempotency_errors_total", ())] == 1


def test_pages_that_ask_and_signatures_that_are_bad() -> None:
    metrics = Metrics()
    for result in ("allowed", "refused", "allowed"):
        metrics.preflight("f", result)
    metrics.bad_signature("f", "expired")
    values = samples(metrics)
    assert values[("plat_preflights_total", (("function", "f"), ("result", "allowed")))] == 2
    assert values[("plat_bad_signatures_total", (("function", "f"), ("reason", "expired")))] == 1
    assert not [key for key in values if key[0].startswith("plat_invocations")]


def test_calls_by_function_and_status() -> None:
    metrics = Metrics()
    for function, status in [("f", 200), ("f", 200), ("f", 502), ("g", 200), ("", 404)]:
        metrics.call_ended(function, status, 0.2)
    values = samples(metrics)
    assert values[("plat_invocations_total", (("code", "200"), ("function", "f")))] == 2
    assert values[("plat_invocations_total", (("code", "502"), ("function", "f")))] == 1
    assert values[("plat_invocations_total", (("code", "404"), ("function", "")))] == 1
    assert values[("plat_invocation_seconds_count", (("function", "f"),))] == 3


def test_the_other_counters_and_gauges() -> None:
    metrics = Metrics()
    metrics.rate_limited("f")
    metrics.rate_limited("f")
    metrics.upstream_error("f", "timeout")
    values = samples(metrics, {"f": 3}, {"f": 4})
    assert values[("plat_rate_limited_total", (("function", "f"),))] == 2
    assert values[("plat_upstream_errors_total", (("function", "f"), ("reason", "timeout")))] == 1
    assert values[("plat_in_flight", (("function", "f"),))] == 3
    assert values[("plat_queued", (("function", "f"),))] == 4


def test_buckets_are_cumulative_and_include_their_bound() -> None:
    metrics = Metrics()
    for seconds in (0.0, 0.001, 0.0011, 60.0, 61.0):
        metrics.queued(seconds)
    values = samples(metrics)

    def bucket(bound: str) -> float:
        return values[("plat_queue_seconds_bucket", (("le", bound),))]

    assert bucket("0.001") == 2
    assert bucket("0.0025") == 3
    assert bucket("60.0") == 4
    assert bucket("+Inf") == 5
    assert values[("plat_queue_seconds_sum", ())] == 121.0021
    assert values[("plat_queue_seconds_count", ())] == 5
    counts = [bucket(str(bound)) for bound in LATENCY_BUCKETS_S]
    assert counts == sorted(counts)


def test_a_histogram_has_a_place_for_everything() -> None:
    histogram = Histogram()
    histogram.observe(1e9)
    assert histogram.counts == [0] * len(LATENCY_BUCKETS_S) + [1]
