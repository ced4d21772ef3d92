"""What is kept of decisions: what did something or had another reason; bounded, and in order."""

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from plat.model import DecisionInputs, DecisionView
from pool.decisions import Decisions, inputs_of
from pool.scaling import Decision, IdleInstance, Need

START = datetime(2026, 1, 2, tzinfo=UTC)


def need(**changes: object) -> Need:
    plain = Need(
        live=True,
        stopped=False,
        min=0,
        max=20,
        idle_s=60.0,
        concurrency=1,
        queued=0,
        ready=1,
        on_the_way=0,
        idle=(),
        retry_at=float("-inf"),
    )
    return msgspec.structs.replace(plain, **changes)


def moment(second: float) -> datetime:
    return START + timedelta(seconds=second)


def enough(count: int = 1) -> Decision:
    return Decision(0, (), f"{count} instances are enough")


def start(count: int = 1) -> Decision:
    return Decision(count, (), f"{count} calls wait")


class Noted:
    """Decisions of one function, each a second after the one before."""

    def __init__(self, **bounds: int) -> None:
        self.decisions = Decisions(**bounds)
        self._second = 0

    def __call__(self, *decisions: Decision, version: int = 1) -> None:
        for each in decisions:
            self.decisions.note("hello", version, need(), each, moment(self._second))
            self._second += 1

    def event(self, reason: str) -> None:
        self.decisions.note_event("hello", 1, reason, moment(self._second))
        self._second += 1

    @property
    def kept(self) -> list[DecisionView]:
        return self.decisions.of("hello")

    @property
    def reasons(self) -> list[tuple[str, int]]:
        return [(each.reason, each.times) for each in self.kept]


def test_a_decision_is_kept_with_its_inputs_and_what_it_did() -> None:
    decisions = Decisions()
    seen = need(queued=3, idle=(IdleInstance("a", 5.0),), paused=(IdleInstance("b", 1.0),), room=4)
    done = Decision(2, ("x",), "3 calls wait", resume=("b",), pause=("c", "d"))
    decisions.note("hello", 7, seen, done, START)
    [view] = decisions.of("hello")
    assert (view.function, view.version, view.at, view.until, view.times) == ("hello", 7, START, START, 1)
    assert (view.start, view.resume, view.pause, view.stop) == (2, ["b"], ["c", "d"], ["x"])
    assert view.reason == "3 calls wait"
    assert view.inputs is not None
    assert (view.inputs.queued, view.inputs.idle, view.inputs.paused, view.inputs.room) == (3, 1, 1, 4)


def test_every_input_is_shown() -> None:
    given = {field.name for field in msgspec.structs.fields(Need)}
    shown = {field.name for field in msgspec.structs.fields(DecisionInputs)}
    assert shown - {"backing_off"} == given - {"retry_at"}
    assert not inputs_of(need()).backing_off
    assert inputs_of(need(retry_at=5.0)).backing_off
    assert inputs_of(need()).room is None
    assert msgspec.json.encode(inputs_of(need(retry_at=5.0)))


def test_what_repeats_itself_is_counted() -> None:
    noted = Noted()
    noted(*[enough()] * 5)
    [view] = noted.kept
    assert (view.times, view.at, view.until) == (5, moment(0), moment(4))


def test_other_numbers_are_no_other_reason() -> None:
    noted = Noted()
    noted(
        Decision(0, (), "the last start failed; next attempt in 1.5 s"),
        Decision(0, (), "the last start failed; next attempt in 0.25 s"),
        enough(),
    )
    assert noted.reasons == [
        ("the last start failed; next attempt in 1.5 s", 2),
        ("1 instances are enough", 1),
    ]


def test_reasons_that_take_turns_do_not_push_out_what_was_done() -> None:
    noted = Noted()
    noted(start())
    for count in range(100):
        noted(enough(), Decision(0, (), f"{count} calls wait; the maximum of 1 is reached"))
    assert noted.reasons == [
        ("1 calls wait", 1),
        ("1 instances are enough", 100),
        ("0 calls wait; the maximum of 1 is reached", 100),
    ]


def test_after_something_was_done_a_reason_is_told_again() -> None:
    noted = Noted()
    noted(enough(), start(), enough(2), enough(2))
    assert noted.reasons == [
        ("1 instances are enough", 1),
        ("1 calls wait", 1),
        ("2 instances are enough", 2),
    ]


def test_what_did_something_is_counted_only_if_it_is_equal() -> None:
    noted = Noted()
    stop_a, stop_b = (Decision(0, (each,), "idle: 1 of 2 instances are not needed") for each in "ab")
    noted(start(1), start(1), start(2), stop_a, stop_b, enough(), stop_b)
    assert [(each.start, each.stop, each.times) for each in noted.kept] == [
        (1, [], 2), (2, [], 1), (0, ["a"], 1), (0, ["b"], 1), (0, [], 1), (0, ["b"], 1),
    ]  # fmt: skip


def test_versions_do_not_interrupt_each_other() -> None:
    noted = Noted()
    for _ in range(3):
        noted(enough(), version=1)
        noted(enough(), version=2)
    assert [(each.version, each.times) for each in noted.kept] == [(1, 3), (2, 3)]


def test_events_have_a_reason_and_no_inputs() -> None:
    noted = Noted()
    noted(enough())
    noted.event("evicted for other")
    noted(enough(0))
    assert noted.reasons == [
        ("1 instances are enough", 1), ("evicted for other", 1), ("0 instances are enough", 1),
    ]  # fmt: skip
    assert noted.kept[1].inputs is None


def test_an_event_between_equal_decisions_is_counted_too() -> None:
    noted = Noted()
    for free in range(50):
        noted.event(f"128 MB are needed, {free} MB are free")
        noted(Decision(0, (), "1 calls wait; the machine has memory for 0 of the 1 more"))
    assert [each.times for each in noted.kept] == [50, 50]


def test_the_last_ones_are_kept() -> None:
    noted = Noted(per_function=3)
    noted(*(start(count) for count in range(1, 6)))
    assert [each.start for each in noted.kept] == [3, 4, 5]
    assert len(noted.decisions) == 3


def test_beyond_the_bound_the_functions_decided_on_the_longest_ago_are_forgotten() -> None:
    decisions = Decisions(per_function=2, in_all=4)
    for second, name in enumerate("aabac"):
        decisions.note(name, 1, need(), start(second + 1), moment(second))
    assert [len(decisions.of(each)) for each in "abc"] == [2, 1, 1]
    decisions.note("d", 1, need(), start(), moment(9))
    assert [len(decisions.of(each)) for each in "abcd"] == [2, 0, 1, 1]
    assert len(decisions) == 4


def test_a_function_that_is_gone_is_forgotten() -> None:
    noted = Noted()
    noted(start())
    noted.decisions.forget("hello")
    noted.decisions.forget("never")
    assert (noted.kept, len(noted.decisions)) == ([], 0)


DECIDED = st.builds(
    Decision,
    st.integers(0, 2),
    st.sampled_from([(), ("a",), ("b",)]),
    st.sampled_from(["1 instances are enough", "2 instances are enough", "calls wait"]),
)
EVENT = st.sampled_from(["a start failed", "evicted"])


@given(st.lists(st.tuples(st.sampled_from("fgh"), st.integers(1, 2), DECIDED | EVENT), max_size=80))
def test_whatever_is_noted_nothing_grows_and_the_order_stays(
    noted: list[tuple[str, int, Decision | str]],
) -> None:
    decisions = Decisions(per_function=4, in_all=8)
    for second, (name, version, what) in enumerate(noted):
        if isinstance(what, str):
            decisions.note_event(name, version, what, moment(second))
        else:
            decisions.note(name, version, need(), what, moment(second))
        latest = max(decisions.of(name), key=lambda each: each.until)
        assert (latest.until, latest.version) == (moment(second), version)
    kept = {name: decisions.of(name) for name in "fgh"}
    assert len(decisions) == sum(len(each) for each in kept.values()) <= 8
    for views in kept.values():
        assert len(views) <= 4
        assert [each.at for each in views] == sorted(each.at for each in views)
        assert all((each.until > each.at) is (each.times > 1) for each in views)
