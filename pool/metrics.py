"""What the pool counts, for Prometheus."""

from collections import Counter as Count
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from plat.idempotency import Records

COLD_START_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class PoolMetrics:
    """`states` gives a (function, state) pair for every instance there is."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._cold_start = Histogram(
            "plat_cold_start_seconds",
            "Time from the decision to have an instance until it is ready.",
            ["function", "kind"],
            registry=self._registry,
            buckets=COLD_START_BUCKETS_S,
        )

    def watch(self, states: Callable[[], Iterable[tuple[str, str]]]) -> None:
        self._registry.register(_Instances(states))

    def watch_keys(self, records: Records) -> None:
        self._registry.register(_Keys(records))

    def cold_start(self, function: str, kind: str, seconds: float) -> None:
        self._cold_start.labels(function, kind).observe(seconds)

    def exposition(self) -> bytes:
        return generate_latest(self._registry)


class _Instances(Collector):
    def __init__(self, states: Callable[[], Iterable[tuple[str, str]]]) -> None:
        self._states = states

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily("plat_instances", "Instances by state.", labels=["function", "state"])
        for (function, state), count in Count(self._states()).items():
            family.add_metric([function, state], count)
        yield family


class _Keys(Collector):
    def __init__(self, records: Records) -> None:
        self._records = records

    def collect(self) -> Iterable[Metric]:
        text = "Memory of idempotency keys whose calls have ended."
        yield GaugeMetricFamily("plat_idempotency_kept_bytes", text, value=self._records.bytes)
        text = "Idempotency keys forgotten before their time, to make room for others."
        yield CounterMetricFamily("plat_idempotency_evicted_total", text, value=self._records.evicted)
