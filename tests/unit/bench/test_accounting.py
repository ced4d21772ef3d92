import os

from bench import accounting
from bench.accounting import Reading, parse_stat, spent

STAT = "42 (a) b (c) R 1 1 1 0 -1 4194304 101 0 0 0 7 3 0 0 20 0 1 0 425390"


def test_ticks_are_found_behind_a_name_with_brackets() -> None:
    assert parse_stat(STAT) == (7, 3)


def test_the_scheduler_s_time_is_divided_as_the_ticks_say() -> None:
    cpu = spent(Reading(10, 10, 1.0), Reading(40, 20, 1.42))
    assert cpu.total_s == 1.42 - 1.0
    assert abs(cpu.user_s / cpu.system_s - 3) < 1e-9


def test_the_ticks_count_where_a_thread_took_its_time_with_it() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    cpu = spent(Reading(0, 0, 5.0), Reading(ticks, ticks, 5.1))
    assert abs(cpu.total_s - 2.0) < 1e-9


def test_nothing_spent_is_nothing() -> None:
    assert spent(Reading(5, 5, 1.0), Reading(5, 5, 1.0)).total_s == 0


def test_a_process_is_of_its_own_family_and_has_spent_something() -> None:
    assert os.getpid() in accounting.family(os.getpid())
    assert accounting.read([os.getpid()]).scheduled_s > 0
