"""The contract's variables win over the user's, and the user's over the system's."""

from pool.drivers.environment import contract, environment
from tests.unit.pool.drivers.orders import an_order


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
