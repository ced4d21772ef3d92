"""A minute of full load: memory does not grow, every call is counted, and no slot is lost."""

import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.acceptance.platform import Platform, platform

WARM_UP_S = 5
SOAK_S = 60
CONNECTIONS = 64
PATIENCE_S = 30
"""wrk takes what is slower for a failure: a machine may stand still for longer than its usual 2 s."""

GROWTH_MB = 8
"""Allocators round up and caches fill: a leak of 16 bytes a call would be more after half a minute."""

CODE = "def handler(event, context):\n    return {'number': 1}\n"


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk: not installed")
def test_a_minute_of_full_load(folder: Path) -> None:
    with platform(folder / "soak", "process") as plat:
        plat.deploy("busy", CODE, "[scale]\nmax = 2\nidle_s = 1\n")
        router = plat.child("router")
        calls = _load(plat, WARM_UP_S)
        before_mb = _resident_mb(router)
        calls += _load(plat, SOAK_S)
        assert _resident_mb(router) - before_mb < GROWTH_MB
        assert calls > SOAK_S * 100, "this was no load"

        # The last calls were begun as wrk went.
        plat.wait_for(lambda: _metrics(plat)["plat_in_flight"] == _metrics(plat)["plat_queued"] == 0)
        metrics = _metrics(plat)
        # wrk does not read the answers to its last calls.
        assert 0 <= metrics['plat_invocations_total code="200"'] - calls <= 2 * CONNECTIONS
        # Only an instance all of whose slots are home is stopped for being idle.
        plat.wait_for(lambda: not plat.instances("busy"))
        assert plat.plat("invoke", "busy") == '{"number":1}'


def _load(plat: Platform, seconds: int) -> int:
    """Calls answered; none may fail."""
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", f"--timeout={PATIENCE_S}s"]
    command = ["wrk", *options, f"{plat.url}/function/busy"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in output, output
    assert "Socket errors" not in output, output
    match = re.search(r"(\d+) requests in", output)
    assert match is not None, output
    return int(match[1])


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert match is not None
    return int(match[1]) / 1024


def _metrics(plat: Platform) -> dict[str, float]:
    """The samples of the function `busy`, by metric and the rest of its labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{plat.admin_port}/metrics") as answer:
        text = answer.read().decode()
    samples = re.findall(r'^(\w+)\{function="busy"(?:,([^}]*))?\} (\S+)$', text, re.MULTILINE)
    return {f"{name} {labels}".strip(): float(value) for name, labels, value in samples}
