"""The contract's variables win over the user's, and the user's over the system's."""

import pytest

from pool.drivers.base import LoadOrder
from pool.drivers.environment import contract, environment, load_order, needs_own_start, warm_environment
from tests.unit.pool.drivers.orders import a_warm_order, an_order


def test_the_contract() -> None:
    assert contract(an_order(), socket="/run/plat/http.sock", code="/code") == {
        "PLAT_SOCKET": "/run/plat/http.sock",
        "PLAT_CODE": "/code",
        "PLAT_HANDLER": "main.handler",
        "PLAT_EVENT": "http",
        "PLAT_FUNCTION": "hello",
        "PLAT_VERSION": "7",
        "PLAT_CONCURRENCY": "4",
        "PLAT_TIMEOUT_S": "2.5",
        "PLAT_MEMORY_MB": "128",
        "PLAT_INSTANCE": "0123456789abcdef",
    }


def test_who_wins() -> None:
    order = an_order(env={"PATH": "/mine", "PLAT_SOCKET": "/elsewhere", "GREETING": "hi"})
    found = environment(order, {"PATH": "/bin", "LANG": "C.UTF-8"}, socket="/s", code="/c")
    assert (found["PATH"], found["LANG"], found["PLAT_SOCKET"]) == ("/mine", "C.UTF-8", "/s")
    assert found["GREETING"] == "hi"


def test_a_warm_instance_is_told_nothing_of_a_function() -> None:
    found = warm_environment(a_warm_order(), {"PATH": "/bin"}, socket="/s")
    assert found == {"PATH": "/bin", "PLAT_SOCKET": "/s", "PLAT_INSTANCE": "0123456789abcdef"}


def test_an_order_to_load_says_all_that_the_environment_says() -> None:
    order = an_order(env={"PATH": "/mine", "PLAT_SOCKET": "/elsewhere", "PLAT_FUNCTION": "liar"})
    assert load_order(order, code="/code") == LoadOrder(
        function="hello",
        version=7,
        handler="main.handler",
        event="http",
        concurrency=4,
        timeout_s=2.5,
        memory_mb=128,
        code="/code",
        env={"PATH": "/mine"},
    )


@pytest.mark.parametrize(
    ("env", "needs"),
    [
        ({}, False),
        ({"PATH": "/mine", "TZ": "Asia/Tokyo", "LDAP_URL": "x"}, False),
        ({"PYTHONPATH": "/code/lib", "NODE_ENV": "production"}, False),
        ({"PYTHONHASHSEED": "0"}, True),
        ({"NODE_OPTIONS": "--max-old-space-size=64"}, True),
        ({"LD_PRELOAD": "x.so"}, True),
        ({"LANG": "de_DE.UTF-8"}, True),
    ],
)
def test_what_is_read_only_when_a_program_starts(env: dict[str, str], needs: bool) -> None:
    assert needs_own_start(an_order(env=env).version.spec) == needs


def test_one_with_little_memory_has_no_room_for_what_a_warm_one_imports() -> None:
    assert needs_own_start(an_order(memory_mb=16).version.spec)
    assert not needs_own_start(an_order(memory_mb=32).version.spec)
