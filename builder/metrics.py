"""The builder's counters, in a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

BUILD_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)


class BuilderMetrics:
    """`result` is `ok`, `cancelled`, `failed`, or the error's code."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.seconds = Histogram(
            "plat_build_seconds",
            "From the end of an upload to its artifact.",
            buckets=BUILD_SECONDS,
            registry=self.registry,
        )
        self.total = Counter(
            "plat_build_total", "Uploads, by what became of them.", ["result"], registry=self.registry
        )

    def render(self) -> bytes:
        return generate_latest(self.registry)
