from itertools import islice

import msgspec
import pytest

from bench.openloop import requests
from bench.request import bytes_of
from bench.schedule import Order


def order(*, own_ids: bool) -> Order:
    return Order("127.0.0.1", 80, "/", 100.0, 1.0, 1, 90, own_ids=own_ids)


def test_calls_are_alike_unless_told_otherwise() -> None:
    assert set(islice(requests(order(own_ids=False)), 10)) == {bytes_of("127.0.0.1:80", "/", 90)}


@pytest.mark.parametrize("runs", [1, 2])
def test_own_ids_never_come_again_not_in_another_run_either(runs: int) -> None:
    sent = [data for _ in range(runs) for data in islice(requests(order(own_ids=True)), 1000)]
    assert len(set(sent)) == len(sent) == runs * 1000


def test_calls_of_many_targets_take_turns_and_begin_again() -> None:
    sent = list(islice(requests(msgspec.structs.replace(order(own_ids=False), targets=("/a", "/b"))), 3))
    assert sent == [bytes_of("127.0.0.1:80", target, 90) for target in ("/a", "/b", "/a")]
