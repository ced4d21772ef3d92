"""Which version the table sends a call to."""

import gc

import msgspec
import pytest

from plat.feed import Route, RouteVersion
from plat.parts import SLICE
from router.routes import RouteTable, no_version, pick_version


def route(name: str = "hello", live: int | None = 2, numbers: tuple[int, ...] = (1, 2)) -> Route:
    versions = tuple(RouteVersion(f"{name}-{number}", number, 1, 30.0) for number in numbers)
    return Route(name, live, False, "token", 60.0, None, None, versions)


def told(table: RouteTable, *routes: Route) -> None:
    """The whole table."""
    table.begin()
    for each in routes:
        table.put(each)
    for _ in table.end():
        pass


def test_a_table_that_was_never_told_is_not_an_empty_one() -> None:
    table = RouteTable()
    assert table.missing("hello").code == "starting"
    table.begin()
    assert table.missing("hello").code == "starting"
    told(table)
    assert table.missing("hello").code == "function_not_found"


def test_changes_of_the_table() -> None:
    table = RouteTable()
    told(table, route("a"), route("b"))
    assert (len(table), "a" in table, "c" in table) == (2, True, False)
    assert table.of_version("a-1") is table.get("a")
    changed = route("a", live=3, numbers=(2, 3))
    table.put(changed)
    assert table.get("a") == changed
    assert table.of_version("a-1") is None
    assert table.of_version("a-2") is table.of_version("a-3") is table.get("a")
    table.drop("a")
    table.drop("a")
    assert (len(table), "a" in table, table.of_version("a-3")) == (1, False, None)
    told(table, route("c"))
    assert (len(table), table.of_version("b-1")) == (1, None)


def test_a_table_told_again_is_merged() -> None:
    table = RouteTable()
    told(table, route("same"), route("changed"), route("gone"))
    same = table.get("same")
    table.begin()
    assert len(table) == 3
    table.put(route("same"))
    assert table.get("same") is same, "a second copy would be memory for nothing"
    table.put(route("changed", live=1))
    assert (table.get("changed"), "gone" in table) == (route("changed", live=1), True)
    for _ in table.end():
        pass
    assert (len(table), "gone" in table) == (2, False)


def test_a_table_that_breaks_off_has_dropped_nothing() -> None:
    table = RouteTable()
    told(table, route("a"), route("b"))
    table.begin()
    table.put(route("a", live=1))
    table.begin()
    assert (len(table), table.get("a")) == (2, route("a", live=1))
    table.put(route("b"))
    for _ in table.end():
        pass
    assert (len(table), "b" in table) == (1, True)


def test_changes_while_the_table_is_told_are_part_of_it() -> None:
    table = RouteTable()
    told(table, route("a"), route("b"))
    table.begin()
    table.put(route("new"))
    table.put(route("a"))
    table.drop("a")
    table.put(route("b"))
    for _ in table.end():
        pass
    assert (len(table), "new" in table, "a" in table) == (2, True, False)


def test_a_change_takes_the_live_version_with_it() -> None:
    table = RouteTable()
    table.put(route())
    stopped = msgspec.structs.replace(route(), stopped=True)
    table.put(stopped)
    assert table.version(stopped, "live") is None
    table.put(route(live=1))
    live = table.version(route(live=1), "live")
    assert live is not None
    assert live.number == 1


def test_the_end_drops_some_at_a_time() -> None:
    table = RouteTable()
    told(table, *(route(f"f{number}") for number in range(3 * SLICE)))
    table.begin()
    sizes = [len(table) for _ in table.end()]
    assert sizes == [3 * SLICE] * 3 + [2 * SLICE, SLICE, 0], "it looks, and then drops"


def test_the_garbage_collector_has_nothing_to_look_at() -> None:
    """A full collection of 100,000 routes would stop all calls for some 50 ms."""
    gc.collect()
    before = len(gc.get_objects())
    table = RouteTable()
    for number in range(1000):
        table.put(msgspec.msgpack.decode(msgspec.msgpack.encode(route(f"f{number}")), type=Route))
    gc.collect()
    assert len(gc.get_objects()) - before < 100


# --- the version


def picked(route: Route, qualifier: str) -> str:
    """The version's id, or why there is none, wherever among the versions the live one is."""
    table = RouteTable()
    version = table.version(route, qualifier)
    turned = msgspec.structs.replace(route, versions=route.versions[::-1])
    assert version == table.version(turned, qualifier) == pick_version(route, qualifier)
    return version.id if version is not None else no_version(route, qualifier).code


@pytest.mark.parametrize(("qualifier", "version"), [("live", "hello-2"), ("1", "hello-1"), ("2", "hello-2")])
def test_versions(qualifier: str, version: str) -> None:
    assert picked(route(), qualifier) == version


@pytest.mark.parametrize(
    "qualifier",
    [
        "3",
        "0",
        "-1",
        "+1",
        " 1",
        "1.0",
        "",
        "LIVE",
        "blue",
        "\N{ARABIC-INDIC DIGIT TWO}",
        "9" * 9,
        "9" * 5000,
    ],
)
def test_versions_that_are_not_there(qualifier: str) -> None:
    assert picked(route(), qualifier) == "version_not_found"


def test_a_function_without_live_version() -> None:
    assert picked(route(live=None), "live") == "function_not_deployed"
    assert picked(route(live=None), "1") == "hello-1"


def test_a_live_version_that_is_not_in_the_list() -> None:
    assert picked(route(live=9), "live") == "version_not_found"


@pytest.mark.parametrize("qualifier", ["live", "1", "9"])
def test_a_stopped_function_says_so_first(qualifier: str) -> None:
    stopped = Route("hello", None, True, "token", 60.0, None, None, ())
    assert picked(stopped, qualifier) == "function_stopped"
    assert "plat start hello" in no_version(stopped, qualifier).detail
