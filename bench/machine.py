"""Where and when a measurement was made: commit, processor, kernel, versions."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from bench.processes import ROOT


def machine() -> dict[str, str]:
    return {
        "commit": _commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processors": f"{os.cpu_count()} x {_processor()}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _commit() -> str:
    """The commit, and `+changes` when the tree is not what was committed."""
    commit = _git("rev-parse", "--short", "HEAD")
    return f"{commit}+changes" if _git("status", "--porcelain", "--untracked-files=no", "--", ".") else commit


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else "unknown"
