"""What `--policy` may say."""

import tomllib
from pathlib import Path

import pytest

from plat.decoding import convert
from plat.errors import PlatError
from plat.model import Scale
from pool.simulation.policy import Policy

EXAMPLE = Path(__file__).parents[4] / "examples" / "traces" / "policy.toml"


def test_the_defaults_are_those_of_a_function() -> None:
    for key in ("concurrency", "min", "max", "idle_s", "pause_after_s"):
        assert getattr(Policy(), key) == getattr(Scale(), key)


def test_the_example_names_every_key_that_has_a_value() -> None:
    document = tomllib.loads(EXAMPLE.read_text())
    convert(document, Policy)
    assert set(document) == set(Policy.__struct_fields__)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"idel_s": 5}, 'Did you mean "idle_s"'),
        ({"max": 0}, "max = 0: expected a whole number"),
        ({"evict": "fifo"}, '"greedy-dual" or "lru"'),
        ({"keep": "long"}, '"fixed" or "learned"'),
        ({"min": 5, "max": 2}, "min = 5: expected at most max, which is 2"),
        ({"cold_s": -1}, "cold_s = -1"),
    ],
)
def test_what_is_refused(document: dict[str, object], said: str) -> None:
    with pytest.raises(PlatError) as caught:
        convert(document, Policy)
    assert said in caught.value.detail
