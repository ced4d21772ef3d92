"""Finding runtimes: ours are installed, and one that is not is named with its nearest."""

from typing import NamedTuple

import pytest

from plat.errors import PlatError
from pool.drivers.runtimes import fork_argv, installed, named


class Some(NamedTuple):
    argv: tuple[str, ...] = ("true",)


def test_ours_are_installed_and_have_a_command() -> None:
    found = installed()
    assert {"python", "node"} <= found.keys()
    assert all(runtime.argv for runtime in found.values())


def test_a_runtime_by_name() -> None:
    assert named({"python": Some()}, "python").argv == ("true",)


def test_one_that_is_not_installed() -> None:
    with pytest.raises(
        PlatError, match=r'"pyton" is not installed; there are: node, python.*python'
    ) as raised:
        named({"python": Some(), "node": Some()}, "pyton")
    assert raised.value.code == "instance_start_failed"


def test_a_runtime_need_not_know_of_forks() -> None:
    assert fork_argv(Some()) == ()
    assert fork_argv(installed()["python"])
