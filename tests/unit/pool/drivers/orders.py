"""Orders to start instances, for tests."""

from pathlib import Path

from plat.feed import VersionEntry
from plat.model import VersionSpec
from pool.drivers.base import Kind, StartOrder, WarmOrder


def an_order(*, memory_mb: int = 128, cpu: float = 1.0, env: dict[str, str] | None = None) -> StartOrder:
    spec = VersionSpec("python", "main.handler", "http", 4, 2.5, memory_mb, cpu, env or {})
    version = VersionEntry("version-1", "hello", 7, "ab" * 32, spec)
    return StartOrder("0123456789abcdef", version, Path("/data/code/abab"))


def a_warm_order(*, memory_mb: int = 128, cpu: float = 1.0) -> WarmOrder:
    return WarmOrder("0123456789abcdef", Kind("python", memory_mb, cpu))
