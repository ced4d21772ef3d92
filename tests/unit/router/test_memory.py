"""Memory that was freed stays at hand: counted by the pages that a process has to get anew."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from router.memory import keep_freed

def large_bodies():
    pieces = [bytes(200_000) for _ in range(15)]

if sys.argv[1] == "kept" and not keep_freed():
    print(-1)
    sys.exit()
large_bodies()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    large_bodies()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages(how: str) -> int:
    ran = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    return int(ran.stdout)


def test_large_bodies_come_and_go_in_the_same_pages() -> None:
    kept = pages("kept")
    if kept < 0:
        pytest.skip("not glibc")
    assert kept < 1000
    assert pages("as it is") > 10 * kept
