"""The builder's counters have the names that dashboards ask for."""

from builder.metrics import BuilderMetrics


def test_names() -> None:
    metrics = BuilderMetrics()
    metrics.total.labels("ok").inc()
    metrics.seconds.observe(0.5)
    rendered = metrics.render().decode()
    assert 'plat_build_total{result="ok"} 1.0' in rendered
    assert 'plat_build_seconds_bucket{le="1.0"} 1.0' in rendered
