"""Which version the table sends a call to."""

import pytest

from plat.feed import Route, RouteVersion
from router.routes import RouteTable, no_version, pick_version


def route(name: str = "hello", live: int | None = 2, numbers: tuple[int, ...] = (1, 2)) -> Route:
    versions = [RouteVersion(f"{name}-{number}", number, 1, 30.0) for number in numbers]
    return Route(name, live, False, "token", 60.0, None, None, versions)


def test_a_table_that_was_never_told_is_not_an_empty_one() -> None:
    table = RouteTable()
    assert table.missing("hello").code == "starting"
    table.replace([])
    assert table.missing("hello").code == "function_not_found"


def test_changes_of_the_table() -> None:
    table = RouteTable()
    table.replace([route("a"), route("b")])
    assert (len(table), "a" in table, "c" in table) == (2, True, False)
    assert table.of_version("a-1") is table.get("a")
    changed = route("a", live=3, numbers=(2, 3))
    table.put(changed)
    assert table.get("a") == changed
    assert table.of_version("a-1") is None
    assert table.of_version("a-3") is table.get("a")
    table.drop("a")
    table.drop("a")
    assert (len(table), "a" in table, table.of_version("a-3")) == (1, False, None)
    table.replace([route("c")])
    assert (len(table), table.of_version("b-1")) == (1, None)


# --- the version


def picked(route: Route, qualifier: str) -> str:
    """The version's id, or why there is none. Before and after the table has had it in hand."""
    table = RouteTable()
    table.put(route)
    version = table.version(route, qualifier)
    assert version == pick_version(route, qualifier)
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
    stopped = Route("hello", None, True, "token", 60.0, None, None, [])
    assert picked(stopped, qualifier) == "function_stopped"
    assert "plat start hello" in no_version(stopped, qualifier).detail
