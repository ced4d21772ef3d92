import pytest

from bench.figures import Result, exact, spread


def test_a_row_is_made_once() -> None:
    result = Result("cpu", "")
    result.row("a", "x").add(cpu_us=1.0)
    result.row("a", "x").add(cpu_us=3.0)
    result.row("b", "y").note("late")
    result.row("b", "y").note("late")
    assert result.median("a", "x", "cpu_us") == 2.0
    assert result.median("a", "x", "p50_ms") is None
    assert result.median("a", "nobody", "cpu_us") is None
    assert result.rows[1].notes == ["late"]
    assert (result.cases(), result.contenders()) == (["a", "b"], ["x", "y"])


def test_a_spread_is_minimum_median_maximum() -> None:
    assert spread([5.0, 1.0, 2.0]) == (1.0, 2.0, 5.0)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.0456, "0.0456"), (1.234, "1.23"), (12.34, "12.3"), (12345.6, "12346")]
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert exact(value) == text
