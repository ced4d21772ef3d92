"""What the admin port adds to the services' own metrics, and where it looks for them."""

from cli.admin import Services, exposition
from plat.address import Address
from plat.settings import Settings


def test_sums_and_what_only_the_supervisor_knows() -> None:
    text = exposition({"router-0": "calls 2\n", "router-1": "calls 3\n", "pool": None}, {"core": 1})
    assert text.startswith("calls 5.0\n")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines[1:] == [
        'plat_service_up{service="router-0"} 1.0',
        'plat_service_up{service="router-1"} 1.0',
        'plat_service_up{service="pool"} 0.0',
        'plat_service_restarts_total{service="core"} 1.0',
    ]


def test_without_any_answer_it_still_says_so() -> None:
    assert 'plat_service_up{service="pool"} 0.0' in exposition({"pool": None}, {})


def test_every_router_and_every_service_is_looked_for() -> None:
    services = Services(Settings(data="/d", routers=2, pool_address="tcp:pool:9000"))
    assert list(services.routers) == ["router-0", "router-1"]
    assert services.all["router-1"] == Address(path="/d/run/router-1.sock")
    assert services.all["pool"] == Address(host="pool", port=9000)
    assert set(services.all) == {"router-0", "router-1", "control", "pool", "builder"}
