"""The cause of a death in words. Real deaths are in the integration tests."""

import pytest

from cli.supervisor import death_of


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (0, "exited with status 0"),
        (3, "exited with status 3"),
        (-9, "killed by SIGKILL"),
        (-11, "killed by SIGSEGV"),
        (-15, "killed by SIGTERM"),
    ],
)
def test_the_cause_of_death_in_words(status: int, said: str) -> None:
    assert death_of(status) == said
