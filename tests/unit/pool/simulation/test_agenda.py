"""In order of time, then in order of noting."""

from math import inf

from pool.simulation.agenda import Agenda


def test_things_happen_in_their_order() -> None:
    agenda, seen = Agenda(), []
    for name, when in (("late", 2.0), ("first", 1.0), ("second", 1.0)):
        agenda.at(when, lambda name=name: seen.append((agenda.now, name)))  # type: ignore[misc]
    while agenda.next_at < inf:
        agenda.advance()
    assert seen == [(1.0, "first"), (1.0, "second"), (2.0, "late")]
