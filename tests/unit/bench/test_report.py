from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import store
from bench.cold import QUESTIONS as COLD_QUESTIONS
from bench.figures import Result
from bench.plan import QUESTIONS
from bench.report import SECTIONS, page, plot


def cpu() -> Result:
    result = Result("cpu", "How it\nwas done.", machine={"commit": "abc1234", "date": "2026-01-02"})
    result.skipped = {"Caddy": "not installed: caddy"}
    result.not_measured = ["TLS"]
    for value in (10.0, 12.0, 11.0):
        result.row("90 B, TCP, 5120/s", "nginx").add(cpu_us=value, calls_per_s=5120)
        result.row("90 B, TCP, 5120/s", "plat router").add(cpu_us=value + 1, calls_per_s=5120)
    result.row("90 B, TCP, 5120/s", "plat router").note("the rate was not reached")
    return result


def latency() -> Result:
    result = Result("latency", "")
    for level in (20, 85):
        for contender in ("nginx", "plat <router>"):
            row = result.row(f"90 B, TCP, c = 64 at {level}%", contender)
            row.add(p99_ms=level / 10, p50_ms=0.1)
            row.add(p99_ms=level / 5, p50_ms=0.2)
    return result


def test_every_question_has_its_section() -> None:
    assert {*QUESTIONS, *COLD_QUESTIONS, "load"} == set(SECTIONS)


def test_the_page_says_what_where_when_and_what_not() -> None:
    text = page({"cpu": cpu()})
    assert "| 90 B, TCP, 5120/s | nginx | 11.0 [10.0 to 12.0] | 5120 |  |" in text
    assert "the rate was not reached" in text
    assert "Measured: commit abc1234, date 2026-01-02. Repeats: 3." in text
    assert "How it was done." in text
    assert "* Caddy did not take part: not installed: caddy" in text
    assert "* Not measured: TLS" in text
    assert "![CPU per call at the same rate](cpu.svg)" in text
    assert "* met: plat router / nginx, CPU per call, TCP is 1.09 (at most 1.15)" in text


def test_questions_without_an_answer_are_named() -> None:
    assert "## Not measured\n\n* Peak in a closed loop\n" in page({"cpu": cpu()})
    assert "quick" not in page({"cpu": cpu()})


def test_a_quick_run_says_so() -> None:
    result = cpu()
    result.quick = True
    assert "A quick run: not to be quoted." in page({"cpu": result})


def test_the_same_answers_make_the_same_page() -> None:
    assert page({"cpu": cpu(), "latency": latency()}) == page({"latency": latency(), "cpu": cpu()})


@pytest.mark.parametrize("result", [cpu(), latency(), Result("peak", "")], ids=lambda each: each.question)
def test_a_plot_is_svg(result: Result) -> None:
    root = ElementTree.fromstring(plot(result))
    assert root.tag.endswith("svg")


def test_bars_have_their_figures() -> None:
    drawn = plot(cpu())
    assert "11.0 [10.0 to 12.0]" in drawn
    assert drawn.count("<rect") == 3


def test_lines_have_a_panel_and_a_legend() -> None:
    drawn = plot(latency())
    assert "90 B, TCP, c = 64" in drawn
    assert "plat &lt;router&gt;" in drawn
    assert drawn.count("<polyline") == 2


def test_page_and_plots_are_made_from_the_files(tmp_path: Path) -> None:
    store.save(tmp_path, cpu())
    store.save(tmp_path, latency())
    assert store.publish(tmp_path).read_text() == page(store.read(tmp_path))
    assert (tmp_path / "latency.svg").read_text() == plot(latency())
