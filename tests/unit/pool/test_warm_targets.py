"""How many warm instances of which kind: enough of what functions need, never more than may be."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool.drivers.base import Kind
from pool.warm_targets import RECENT_S, WarmTargets

NOW = 1000.0
SMALL, LARGE, NODE = Kind("python", 128, 1.0), Kind("python", 512, 1.0), Kind("node", 128, 1.0)


def targets(each: int, most: int, *kinds: Kind) -> WarmTargets:
    made = WarmTargets(each, most)
    made.know(Counter(kinds))
    return made


@pytest.mark.parametrize(
    ("given_targets", "expected"),
    [
        (targets(2, 16), {}),
        (targets(0, 16, SMALL), {}),
        (targets(2, 0, SMALL), {}),
        (targets(2, 16, SMALL, SMALL, SMALL), {SMALL: 2}),
        (targets(2, 16, SMALL, LARGE), {SMALL: 2, LARGE: 2}),
        (targets(2, 3, SMALL, LARGE, SMALL), {SMALL: 2, LARGE: 1}),
        (targets(2, 2, NODE, LARGE, LARGE, SMALL, SMALL, SMALL), {SMALL: 1, LARGE: 1}),
    ],
)
def test_kinds_of_most_functions_come_first(given_targets: WarmTargets, expected: dict[Kind, int]) -> None:
    assert given_targets.targets(NOW) == expected


def test_what_was_taken_lately_is_kept_beyond_the_fixed_number() -> None:
    made = targets(2, 16, SMALL, LARGE)
    for _ in range(5):
        made.taken(SMALL, NOW)
    assert made.targets(NOW) == {SMALL: 7, LARGE: 2}
    assert made.targets(NOW + RECENT_S + 0.1) == {SMALL: 2, LARGE: 2}


def test_a_kind_that_no_function_has_is_not_kept_for_having_been_taken() -> None:
    made = targets(2, 16, SMALL)
    made.taken(LARGE, NOW)
    assert made.targets(NOW) == {SMALL: 2}


def test_the_scarcest_is_made_first_and_the_rest_is_too_much() -> None:
    made = targets(2, 16, SMALL, LARGE)
    assert made.lacking({SMALL: 1}, NOW) == [LARGE, LARGE, SMALL]
    assert made.surplus({SMALL: 5, LARGE: 1, NODE: 1}, NOW) == {SMALL: 3, NODE: 1}


kinds = st.sampled_from([SMALL, LARGE, NODE])


@given(st.integers(0, 4), st.integers(0, 9), st.lists(kinds, max_size=9), st.lists(kinds, max_size=20))
def test_bounds(each: int, most: int, known: list[Kind], taken: list[Kind]) -> None:
    made = targets(each, most, *known)
    for kind in taken:
        made.taken(kind, NOW)
    wanted = made.targets(NOW)
    assert sum(wanted.values()) <= most
    assert set(wanted) <= set(known)
    stock = Counter(taken)
    after = Counter(stock)
    after.update(made.lacking(stock, NOW))
    after.subtract(made.surplus(stock, NOW))
    assert +after == Counter(wanted)
