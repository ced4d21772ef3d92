"""The Locust suite: warm calls, cold starts, mixed functions by Zipf's law, bursts.

Run by `make load` (bench.load), which starts what it calls and judges what it saw. Reads LOAD_PLATFORM,
LOAD_TOKEN, LOAD_DIRECT (addresses) and LOAD_SAMPLES (the file to write).
"""

import os
import random
import subprocess
import time
from pathlib import Path
from typing import Any

import gevent
import msgspec
from locust import FastHttpUser, constant, events, task

from bench import workload
from bench.processes import ROOT, python
from bench.request import path_of
from bench.samples import Samples

PLATFORM = os.environ["LOAD_PLATFORM"]
DIRECT = os.environ["LOAD_DIRECT"]
AUTHORIZATION = {"Authorization": f"Bearer {os.environ['LOAD_TOKEN']}"}
BODY = {"name": "load"}
GONE_POLL_S = 0.05
GONE_WITHIN_S = 20.0

samples = Samples()


def on_request(name: str, response_time: float, exception: Exception | None, **_: Any) -> None:
    if exception is None:
        samples.answered(name, response_time)
    else:
        samples.failed(name)


def on_quitting(**_: Any) -> None:
    Path(os.environ["LOAD_SAMPLES"]).write_bytes(msgspec.json.encode(samples))


events.request.add_listener(on_request)  # type: ignore[no-untyped-call]
events.quitting.add_listener(on_quitting)  # type: ignore[no-untyped-call]


class Caller(FastHttpUser):
    """Calls functions of the platform."""

    abstract = True
    host = PLATFORM

    def call(self, function: str, scenario: str) -> None:
        self.client.post(path_of(function), json=BODY, name=scenario)


class Warm(Caller):
    """A call through the platform, and one to the bare server: the same moment for both."""

    fixed_count = 3
    wait_time = constant(0.01)

    @task
    def warm_and_direct(self) -> None:
        self.call("warm", workload.WARM)
        self.client.post(f"{DIRECT}/", json=BODY, name=workload.DIRECT)


class Mixed(Caller):
    """Twelve functions, some popular, some hardly ever called."""

    fixed_count = 2
    wait_time = constant(0.02)
    shares = workload.zipf(len(workload.MIXED_FUNCTIONS))

    @task
    def mixed(self) -> None:
        self.call(workload.pick(workload.MIXED_FUNCTIONS, self.shares, random.random()), workload.MIXED)


class Burst(Caller):
    """Many at once, then nothing."""

    fixed_count = 1
    wait_time = constant(workload.BURST_EVERY_S)
    concurrency = workload.BURST_CALLS

    @task
    def burst(self) -> None:
        calls = [gevent.spawn(self.call, "burst", workload.BURST) for _ in range(workload.BURST_CALLS)]
        gevent.joinall(calls)


class Cold(Caller):
    """A call to a function whose last instance has gone, and the start of the bare runtime beside it."""

    fixed_count = 1
    wait_time = constant(0.1)

    @task
    def cold(self) -> None:
        function = random.choice(workload.COLD_FUNCTIONS)
        if self.is_gone(function):
            start_runtime()
            self.call(function, workload.COLD)
        else:
            samples.failed(workload.COLD)

    def is_gone(self, function: str) -> bool:
        """Wait until it has no instance."""
        deadline = time.monotonic() + GONE_WITHIN_S
        while time.monotonic() < deadline:
            path = f"/v1/functions/{function}/instances"
            answer = self.client.get(path, headers=AUTHORIZATION, name="instances")
            if answer.json() == {"items": []}:
                return True
            gevent.sleep(GONE_POLL_S)
        return False


def start_runtime() -> None:
    done = subprocess.run(
        python("bench.runtime_start"), check=False, capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    if done.returncode == 0:
        samples.answered(workload.START, float(done.stdout) * 1000)
    else:
        samples.failed(workload.START)
