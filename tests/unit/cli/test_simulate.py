"""`plat simulate` from outside: what it prints, draws and refuses."""

import json
from pathlib import Path

import pytest

from cli.main import run

ROOT = Path(__file__).parents[3]
TRACE = "function,arrival_s,duration_s\nf,0,0.1\nf,10,0.1\n"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace.csv"
    path.write_text(TRACE)
    return path


def test_it_prints_what_came_of_the_calls(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--trace", str(trace)]) == 0
    printed = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert printed["calls"] == "2"
    assert printed["served cold"] == "1 (50.00%)"
    assert printed["wait max"] == "250.0 ms"


def test_as_json_it_has_the_instances_over_time(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--trace", str(trace), "--step", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["served"] == {"hot": 1, "queued": 0, "paused": 0, "warm": 0, "cold": 1}
    assert [moment["at_s"] for moment in report["timeline"][:3]] == [0, 1, 2]


def test_it_draws(trace: Path, tmp_path: Path) -> None:
    assert run(["simulate", "--trace", str(trace), "--plot", str(tmp_path / "out.svg")]) == 0
    assert (tmp_path / "out.svg").read_text().startswith("<svg")


def test_the_example_is_run_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    folder = ROOT / "examples" / "traces"
    assert (
        run(["simulate", "--trace", str(folder / "azure-like.csv"), "--policy", str(folder / "policy.toml")])
        == 0
    )
    assert "served cold" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("idel_s = 5", 'policy.toml: Unknown key "idel_s". Did you mean "idle_s"?'),
        ("max = ", "policy.toml is not TOML"),
        ("memory_mb = 64", "memory_mb = 64: an instance of f needs 128"),
    ],
)
def test_a_policy_that_is_refused(
    trace: Path, tmp_path: Path, policy: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(policy)
    assert run(["simulate", "--trace", str(trace), "--policy", str(path)]) == 2
    assert said in capsys.readouterr().err


def test_files_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = str(tmp_path / "gone")
    assert run(["simulate", "--trace", gone]) == 2
    assert f"{gone} cannot be read" in capsys.readouterr().err
    (tmp_path / "trace.csv").write_text(TRACE)
    assert run(["simulate", "--trace", str(tmp_path / "trace.csv"), "--policy", gone]) == 2


def test_a_plot_that_cannot_be_written(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "none" / "out.svg"
    assert run(["simulate", "--trace", str(trace), "--plot", str(plot)]) == 1
    assert f"{plot} cannot be written" in capsys.readouterr().err
