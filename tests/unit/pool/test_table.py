"""The functions as the pool knows them."""

import msgspec

from plat.feed import FunctionEntry, Route, Routes, RoutesPart, TokensPart, VersionEntry
from plat.model import VersionSpec, Window
from plat.signing import Signing
from pool.drivers.base import Kind
from pool.table import FunctionTable, is_live, route_of

SPEC = VersionSpec("python", "main.handler", "body", 4, 12.0, 128, 1.0, {"A": "secret"})


def function(
    name: str = "hello", numbers: tuple[int, ...] = (1,), *, live: int | None = 1, minimum: int = 0
) -> FunctionEntry:
    versions = tuple(VersionEntry(f"{name}-{number}", name, number, "0" * 64, SPEC) for number in numbers)
    return FunctionEntry(name, live, False, "public", minimum, 20, 60.0, 5.0, 10, versions)


def names(functions: list[FunctionEntry]) -> list[str]:
    return [each.name for each in functions]


def told(table: FunctionTable, *functions: FunctionEntry) -> None:
    """The whole table, by control."""
    table.begin()
    for each in functions:
        table.put(each)
    for missing in list(table.unheard()):
        for name in missing:
            table.drop(name)
    table.end()


def routes(table: FunctionTable) -> list[str]:
    """What routers are told exists."""
    return [each.name for part in table.whole() if isinstance(part, RoutesPart) for each in part.routes]


def test_not_loaded_until_control_has_spoken() -> None:
    table = FunctionTable()
    table.discover([function("found")])
    assert not table.loaded
    told(table)
    assert table.loaded


def test_a_table_replaces_the_one_before() -> None:
    table = FunctionTable()
    told(table, function("a"), function("b", (1, 2)))
    told(table, function("b", (2, 3)))
    assert routes(table) == ["b"]
    assert set(table.versions) == {"b-2", "b-3"}
    assert table.function("a") is None


def test_put_and_drop_keep_the_versions_in_step() -> None:
    table = FunctionTable()
    told(table, function("a", (1, 2)))
    former = table.put(function("a", (2, 3)))
    assert former is not None
    assert set(table.versions) == {"a-2", "a-3"}
    assert table.put(function("b")) is None
    assert table.drop("a") == function("a", (2, 3))
    assert table.drop("a") is None
    assert set(table.versions) == {"b-1"}
    assert table.version("a-2") is None


def test_discovered_functions_stand_behind_those_of_control() -> None:
    table = FunctionTable()
    told(table, function("a"))
    assert table.discover([function("a", (7,)), function("c", (8,))]) == ["c"]
    assert table.discover([function("a", (7,)), function("c", (8,))]) == []
    assert routes(table) == ["a", "c"]
    assert table.managed_names == {"a"}
    assert set(table.versions) == {"a-1", "c-8"}
    assert table.discover([function("c", (9,))]) == ["c"]
    assert set(table.versions) == {"a-1", "c-9"}
    assert table.discover([]) == ["c"]
    assert set(table.versions) == {"a-1"}


def test_a_discovered_function_comes_into_its_own_when_control_drops_the_name() -> None:
    table = FunctionTable()
    told(table, function("a"))
    table.discover([function("a", (7,))])
    table.drop("a")
    assert table.function("a") == function("a", (7,))
    assert set(table.versions) == {"a-7"}


def test_a_discovered_function_gives_way_when_control_takes_the_name() -> None:
    table = FunctionTable()
    told(table)
    table.discover([function("a", (7,))])
    table.put(function("a", (1,)))
    assert table.function("a") == function("a", (1,))
    assert set(table.versions) == {"a-1"}


def test_a_table_told_again_is_merged() -> None:
    table = FunctionTable()
    told(table, function("a"), function("b"))
    table.begin()
    assert table.put(function("b", (1, 2))) == function("b")
    assert (set(table.versions), table.loaded) == ({"a-1", "b-1", "b-2"}, True)
    assert list(table.unheard()) == [["a"]]


def test_a_table_that_breaks_off_has_dropped_nothing() -> None:
    table = FunctionTable()
    told(table, function("a"), function("b"))
    table.begin()
    table.put(function("a"))
    told(table, function("b"), function("c"))
    assert routes(table) == ["b", "c"]


def test_each_part_is_as_new_as_the_moment_it_is_taken() -> None:
    table = FunctionTable()
    told(table, *(function(f"f{number}") for number in range(1000)))
    parts = table.whole()
    assert [next(parts), next(parts)] == [Routes(), TokensPart([], last=True)]
    first = next(parts)
    assert isinstance(first, RoutesPart)
    following = f"f{len(first.routes)}"
    table.drop("f999")
    table.put(function(following, live=None))
    second, *_, last, end = parts
    assert isinstance(second, RoutesPart)
    assert isinstance(last, RoutesPart)
    assert (second.routes[0].name, second.routes[0].live) == (following, None)
    assert last.routes[-1].name == "f998"
    assert end == RoutesPart([], last=True)


def test_kinds_of_live_versions_are_counted() -> None:
    large = Kind("python", 512, 1.0)
    entry = function("large")
    spec = msgspec.structs.replace(SPEC, memory_mb=512)
    entry = msgspec.structs.replace(
        entry, versions=tuple(msgspec.structs.replace(each, spec=spec) for each in entry.versions)
    )
    table = FunctionTable()
    told(table, function("a"), function("b", (1, 2)), function("none", live=None), entry)
    assert table.kinds == {Kind.of(SPEC): 2, large: 1}
    table.put(function("b", live=None))
    table.drop("large")
    table.drop("large")
    assert table.kinds == {Kind.of(SPEC): 1}


def test_functions_that_keep_instances() -> None:
    table = FunctionTable()
    stopped = msgspec.structs.replace(function("s", minimum=1), stopped=True)
    told(table, function("a", minimum=2), function("b"), stopped)
    assert names(table.with_minimum()) == ["a"]
    table.put(function("b", minimum=1))
    table.put(function("a", minimum=0))
    assert names(table.with_minimum()) == ["b"]
    table.drop("b")
    assert table.with_minimum() == []
    told(table, function("c", minimum=1))
    assert names(table.with_minimum()) == ["c"]
    told(table, msgspec.structs.replace(function("d"), windows=(Window("* * * * *", 1),)))
    assert names(table.with_minimum()) == ["d"]


def test_a_route_tells_what_routers_need_and_no_secret() -> None:
    route = route_of(function("hello", (1, 2), live=2))
    assert (route.name, route.live, route.auth, route.rate, route.burst) == ("hello", 2, "public", 5.0, 10)
    assert [(each.id, each.number, each.concurrency, each.timeout_s) for each in route.versions] == [
        ("hello-2", 2, 4, 12.0),
        ("hello-1", 1, 4, 12.0),
    ]
    assert b"secret" not in msgspec.msgpack.encode(route)


def test_a_route_says_whose_pages_and_whose_signatures_are_good() -> None:
    signing = Signing("X-Signature", "sha256", (b"key",))
    entry = msgspec.structs.replace(function("hello"), cors=("https://app.example",), signing=signing)
    route = route_of(entry)
    assert (route.cors, route.signing) == (("https://app.example",), signing)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(route), type=Route) == route
    assert "key'" not in repr([entry, route])


def test_live_is_one_version_only() -> None:
    entry = function("hello", (1, 2), live=2)
    assert [is_live(entry, version) for version in entry.versions] == [False, True]
    assert not is_live(None, entry.versions[1])
    assert not is_live(function("hello", (1, 2), live=None), entry.versions[1])
    other = msgspec.structs.replace(entry.versions[1], id="from an earlier life")
    assert not is_live(entry, other)
