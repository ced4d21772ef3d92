"""The control service's counters, in a registry of its own."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from plat.errors import PlatError

DEPLOY_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300)


@dataclass
class Outcome:
    """What became of a deploy; the handler says so when it went well."""

    result: str = "failed"


class ControlMetrics:
    """`result` is `ok`, `unchanged`, `cancelled`, `failed`, or the error's code."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.deploys = Counter(
            "plat_deploys_total", "Deploys, by what became of them.", ["result"], registry=self.registry
        )
        self.deploy_seconds = Histogram(
            "plat_deploy_seconds",
            "From the first byte of an upload to the answer.",
            buckets=DEPLOY_SECONDS,
            registry=self.registry,
        )
        self.requests = Counter(
            "plat_control_requests_total",
            "Requests to the control API.",
            ["operation", "status"],
            registry=self.registry,
        )

    @contextmanager
    def deploy(self) -> Iterator[Outcome]:
        outcome = Outcome()
        try:
            with self.deploy_seconds.time():
                yield outcome
        except PlatError as error:
            outcome.result = error.code
            raise
        except asyncio.CancelledError:
            outcome.result = "cancelled"
            raise
        finally:
            self.deploys.labels(outcome.result).inc()

    def render(self) -> bytes:
        return generate_latest(self.registry)
