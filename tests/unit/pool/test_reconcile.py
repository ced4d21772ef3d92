"""What a listing of the machine means."""

from datetime import UTC, datetime

from plat.feed import VersionEntry
from plat.model import VersionSpec
from pool.drivers.base import Running
from pool.reconcile import discovered, plan, version_id_of


def running(
    instance: str, version_id: str = "v1", function: str = "hello", number: int = 1, *, managed: bool = True
) -> Running:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    return Running(instance, version_id, function, number, f"unix:/{instance}", began, managed)


def version(version_id: str = "v1") -> VersionEntry:
    spec = VersionSpec("python", "main.handler", "body", 1, 30.0, 128, 1.0, {})
    return VersionEntry(version_id, "hello", 1, "0" * 64, spec)


VERSIONS = {"v1": version("v1"), "v2": version("v2")}


def test_nothing_runs_and_nothing_is_known() -> None:
    done = plan([], set(), VERSIONS)
    assert (done.adopt, done.stop, done.gone) == ((), (), ())


def test_what_is_known_and_runs_is_left_alone() -> None:
    done = plan([running("a"), running("b", "gone")], {"a", "b"}, VERSIONS)
    assert (done.adopt, done.stop, done.gone) == ((), (), ())


def test_what_runs_and_is_not_known_is_adopted() -> None:
    done = plan([running("a"), running("b", "v2"), running("c")], {"c"}, VERSIONS)
    assert [(each.instance, entry.id) for each, entry in done.adopt] == [("a", "v1"), ("b", "v2")]
    assert not done.stop


def test_ours_of_a_version_that_nobody_knows_is_stopped() -> None:
    stranger = running("b", "", "other", managed=False)
    done = plan([running("a", "v9"), stranger], set(), VERSIONS)
    assert [each.instance for each in done.stop] == ["a"]
    assert not done.adopt


def test_what_is_known_and_does_not_run_has_gone() -> None:
    assert plan([running("b")], {"c", "a", "b"}, VERSIONS).gone == ("a", "c")


def test_a_listing_is_read_once() -> None:
    """A driver may give an iterator."""
    done = plan(iter([running("a")]), {"b"}, VERSIONS)
    assert (len(done.adopt), done.gone) == (1, ("b",))


def test_a_container_started_by_hand_is_routed_and_never_stopped() -> None:
    by_hand = running("a", "", "theirs", 0, managed=False)
    (function,) = discovered([by_hand], {"hello"})
    assert (function.name, function.live, function.auth, function.min) == ("theirs", 1, "token", 0)
    (entry,) = function.versions
    assert entry.id == version_id_of(by_hand) == "label:theirs:1"
    assert entry.spec.concurrency == 0
    done = plan([by_hand], set(), {entry.id: entry})
    assert [each.instance for each, _ in done.adopt] == ["a"]
    assert not done.stop


def test_functions_that_control_knows_are_not_discovered() -> None:
    listed = [running("a", "", "hello", managed=False), running("b", "v1", "hello")]
    assert discovered(listed, {"hello"}) == []


def test_two_containers_of_one_function_are_one_function() -> None:
    listed = [running(each, "", "theirs", 3, managed=False) for each in ("a", "b")]
    (function,) = discovered(listed, set())
    assert function.live == 3
    assert [each.number for each in function.versions] == [3]
