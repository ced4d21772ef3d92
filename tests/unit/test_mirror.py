"""Every source file has a unit test file of its own, at the place where one looks for it."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("plat", "router", "pool", "builder", "control", "cli")

DOING = "it only does I/O; its contract is tested in "

WITHOUT: dict[str, str] = {
    "control/rows.py": "types without code",
    "cli/sweep.py": DOING + "tests/integration/cli/test_sweep.py",
    "pool/feed.py": DOING + "tests/integration/pool/test_feed.py",
    "pool/drivers/base.py": "types and an interface without code",
    "pool/drivers/process.py": DOING + "tests/integration/pool/test_drivers.py",
    "pool/drivers/child.py": DOING + "tests/integration/pool/test_drivers.py",
    "pool/drivers/fork_process.py": DOING + "tests/integration/pool/test_fork_server.py",
    "pool/drivers/starter.py": DOING + "tests/integration/pool/test_forked_instances.py",
    "pool/drivers/docker.py": DOING + "tests/integration/pool/test_drivers.py",
    "pool/drivers/docker_launch.py": DOING + "tests/integration/pool/test_warm_instances.py",
    "pool/drivers/docker_naming.py": DOING + "tests/integration/pool/test_docker_warm.py",
    "pool/drivers/docker_instance.py": DOING + "tests/integration/pool/test_drivers.py",
    "pool/drivers/docker_engine.py": DOING + "tests/integration/pool/test_docker.py",
    "router/downstream.py": DOING + "tests/integration/router/test_malformed.py",
    "router/limits/leases.py": DOING + "tests/integration/router/test_limits.py",
    "router/limits/lease_store.py": DOING + "tests/integration/router/test_limits.py",
    "router/idempotency/redis_store.py": DOING + "tests/integration/router/test_idempotency_script.py",
    "router/idempotency/store.py": DOING + "tests/integration/router/test_idempotency.py",
    "router/idempotency/calls.py": DOING + "tests/integration/router/test_idempotency.py",
    "router/idempotency/bodies.py": DOING + "tests/integration/router/test_idempotency.py",
    "router/idempotency/recording.py": DOING + "tests/integration/router/test_idempotency.py",
    "router/access/jwks.py": DOING + "tests/integration/router/test_jwks.py",
    "router/server.py": DOING + "tests/integration/router/test_stop.py",
    "router/tunnel.py": DOING + "tests/integration/router/test_websocket.py",
}
"""Files that have none, each with the reason. One that has got a test must leave the list."""


def sources() -> list[str]:
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return sorted(
        str(path.relative_to(ROOT))
        for path in found
        if path.name not in ("__init__.py", "__main__.py") and "migrations" not in path.parts
    )


def mirror(source: str) -> Path:
    path = Path(source)
    return ROOT / "tests" / "unit" / path.parent / f"test_{path.name}"


@pytest.mark.parametrize("source", sources())
def test_a_source_file_has_its_test_file(source: str) -> None:
    if source in WITHOUT:
        assert not mirror(source).exists(), f"{source} has a test: take it off the list of exceptions"
    else:
        assert mirror(source).exists(), f"{mirror(source).relative_to(ROOT)} is missing"


@pytest.mark.parametrize("source", sorted(WITHOUT))
def test_an_exception_is_a_file_and_names_tests_that_exist(source: str) -> None:
    assert (ROOT / source).exists(), f"{source} is gone: take it off the list of exceptions"
    reason = WITHOUT[source]
    if reason.startswith(DOING):
        assert (ROOT / reason.removeprefix(DOING)).exists(), reason
