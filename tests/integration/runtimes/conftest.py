"""Starts instances, and ends each at the end of its test."""

from collections.abc import Callable, Iterator

import pytest

from tests.integration.runtimes.instance import Instance

Start = Callable[..., Instance]


@pytest.fixture
def start() -> Iterator[Start]:
    """`start(runtime, files, handler="main.handler", **environ)`: a runtime that listens."""
    instances: list[Instance] = []

    def start_one(
        runtime: str, files: dict[str, str], handler: str | None = "main.handler", **environ: str
    ) -> Instance:
        instances.append(Instance(runtime, files, handler, **environ))
        return instances[-1]

    yield start_one
    for instance in instances:
        instance.close()


@pytest.fixture(params=["python", pytest.param("node", marks=pytest.mark.node)])
def runtime(request: pytest.FixtureRequest) -> str:
    """The name of a runtime: a test with this fixture is a part of the contract."""
    return str(request.param)
