"""What a router counts, and the Prometheus text of it. Plain numbers in dicts: a call costs two look-ups.

`prometheus_client` writes the other services' metrics; here its locks and label objects would cost
more than the rest of a call's bookkeeping.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

Labels = tuple[tuple[str, str], ...]


class Histogram:
    """Counts of observations, in seconds, per bucket."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
        self.sum += seconds


class FunctionCalls:
    """Calls of one function that have ended."""

    __slots__ = ("by_status", "seconds")

    def __init__(self) -> None:
        self.by_status: dict[int, int] = {}
        self.seconds = Histogram()


class Metrics:
    """Counters of one router process. Functions that do not exist are counted under no name."""

    def __init__(self) -> None:
        self._calls: dict[str, FunctionCalls] = {}
        self._queue = Histogram()
        self._rate_limited: dict[str, int] = {}
        self._upstream_errors: dict[tuple[str, str], int] = {}
        self.limiter_up = True
        """Whether the store of limits answered the last request."""
        self._limiter_errors = 0
        self._preflights: dict[tuple[str, str], int] = {}
        self._bad_signatures: dict[tuple[str, str], int] = {}
        self.keys_up = True
        """Whether the store of idempotency keys answered the last request."""
        self._keys_errors = 0
        self._keyed: dict[str, int] = {}
        self.jwks_fetches: dict[str, int] = {}
        """By result; whoever fetches counts."""

    def call_ended(self, function: str, status: int, seconds: float) -> None:
        calls = self._calls.get(function)
        if calls is None:
            calls = self._calls[function] = FunctionCalls()
        calls.by_status[status] = calls.by_status.get(status, 0) + 1
        calls.seconds.observe(seconds)

    def queued(self, seconds: float) -> None:
        self._queue.observe(seconds)

    def not_queued(self) -> None:
        """As `queued(0)`."""
        self._queue.counts[0] += 1

    def rate_limited(self, function: str) -> None:
        self._rate_limited[function] = self._rate_limited.get(function, 0) + 1

    def limiter_failed(self) -> None:
        self.limiter_up = False
        self._limiter_errors += 1

    def keyed(self, result: str) -> None:
        """A call with an idempotency key was `executed`, `replayed`, or refused with an error's code."""
        self._keyed[result] = self._keyed.get(result, 0) + 1

    def keys_failed(self) -> None:
        self.keys_up = False
        self._keys_errors += 1

    def upstream_error(self, function: str, reason: str) -> None:
        key = (function, reason)
        self._upstream_errors[key] = self._upstream_errors.get(key, 0) + 1

    def preflight(self, function: str, result: str) -> None:
        key = (function, result)
        self._preflights[key] = self._preflights.get(key, 0) + 1

    def bad_signature(self, function: str, reason: str) -> None:
        key = (function, reason)
        self._bad_signatures[key] = self._bad_signatures.get(key, 0) + 1

    def exposition(self, in_flight: Mapping[str, int], queued: Mapping[str, int]) -> str:
        """Prometheus text format 0.0.4; `in_flight` and `queued` are calls by function."""
        lines: list[str] = []
        lines += _header("plat_invocations_total", "counter", "Calls by function and status.")
        for function, calls in self._calls.items():
            for code, count in calls.by_status.items():
                labels = (("function", function), ("code", str(code)))
                lines.append(_sample("plat_invocations_total", labels, count))
        lines += _header(
            "plat_invocation_seconds", "histogram", "Time from the request's arrival to the answer's end."
        )
        for function, calls in self._calls.items():
            lines += _histogram("plat_invocation_seconds", (("function", function),), calls.seconds)
        lines += _header("plat_queue_seconds", "histogram", "Time that calls waited for a slot.")
        lines += _histogram("plat_queue_seconds", (), self._queue)
        lines += _gauge("plat_in_flight", "Calls that are with an instance now.", in_flight)
        lines += _gauge("plat_queued", "Calls that wait for a slot now.", queued)
        lines += _header("plat_rate_limited_total", "counter", "Calls refused by the function's rate limit.")
        for function, count in self._rate_limited.items():
            lines.append(_sample("plat_rate_limited_total", (("function", function),), count))
        lines += _header(
            "plat_upstream_errors_total", "counter", "Exchanges with an instance that went wrong."
        )
        for (function, reason), count in self._upstream_errors.items():
            labels = (("function", function), ("reason", reason))
            lines.append(_sample("plat_upstream_errors_total", labels, count))
        lines += _header("plat_preflights_total", "counter", "Pages that asked whether they may call.")
        for (function, result), count in self._preflights.items():
            labels = (("function", function), ("result", result))
            lines.append(_sample("plat_preflights_total", labels, count))
        lines += _header(
            "plat_bad_signatures_total", "counter", "Calls refused for want of a good signature."
        )
        for (function, reason), count in self._bad_signatures.items():
            labels = (("function", function), ("reason", reason))
            lines.append(_sample("plat_bad_signatures_total", labels, count))
        lines += _header("plat_limiter_up", "gauge", "Routers whose store of limits answers.")
        lines.append(_sample("plat_limiter_up", (), int(self.limiter_up)))
        lines += _header(
            "plat_limiter_errors_total", "counter", "Requests to the store of limits that failed."
        )
        lines.append(_sample("plat_limiter_errors_total", (), self._limiter_errors))
        lines += _header("plat_idempotency_calls_total", "counter", "Calls with an idempotency key.")
        for result, count in self._keyed.items():
            lines.append(_sample("plat_idempotency_calls_total", (("result", result),), count))
        lines += _header("plat_idempotency_up", "gauge", "Routers whose store of idempotency keys answers.")
        lines.append(_sample("plat_idempotency_up", (), int(self.keys_up)))
        lines += _header(
            "plat_idempotency_errors_total",
            "counter",
            "Requests to the store of idempotency keys that failed.",
        )
        lines.append(_sample("plat_idempotency_errors_total", (), self._keys_errors))
        lines += _header("plat_jwks_fetches_total", "counter", "Fetches of the keys of JSON Web Tokens.")
        for result, count in self.jwks_fetches.items():
            lines.append(_sample("plat_jwks_fetches_total", (("result", result),), count))
        return "\n".join(lines) + "\n"


def _header(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _sample(name: str, labels: Labels, value: float) -> str:
    # Label values are function names and words of ours: nothing in them needs escaping.
    inner = ",".join(f'{key}="{each}"' for key, each in labels)
    return f"{name}{{{inner}}} {value}" if inner else f"{name} {value}"


def _gauge(name: str, text: str, values: Mapping[str, int]) -> Iterable[str]:
    samples = [_sample(name, (("function", function),), value) for function, value in values.items()]
    return [*_header(name, "gauge", text), *samples]


def _histogram(name: str, labels: Labels, histogram: Histogram) -> Iterable[str]:
    total = 0
    for bound, count in zip((*LATENCY_BUCKETS_S, "+Inf"), histogram.counts, strict=True):
        total += count
        yield _sample(f"{name}_bucket", (*labels, ("le", str(bound))), total)
    yield _sample(f"{name}_sum", labels, histogram.sum)
    yield _sample(f"{name}_count", labels, total)
