"""A new function's folder: named, whole, and never over something else."""

from pathlib import Path

import pytest

from cli.failure import UsageFaultError
from cli.init import create, template_of
from cli.main import run
from cli.project import entries, read_project


@pytest.mark.parametrize("runtime", ["python", "node"])
def test_each_runtime_s_template_can_be_deployed_as_it_is(runtime: str, tmp_path: Path) -> None:
    create("my-function", template_of(runtime), tmp_path / "new")
    spec = read_project(tmp_path / "new")
    assert (spec.name, spec.runtime) == ("my-function", runtime)
    module = spec.handler.partition(".")[0]
    assert [entry.name.partition(".")[0] for entry in entries(tmp_path / "new")] == [module]


def test_only_the_function_s_own_name_is_set(tmp_path: Path) -> None:
    template = tmp_path / "template"
    (template / "__pycache__").mkdir(parents=True)
    (template / "plat.toml").write_text('# first\nname = "x" # its name\n[env]\nname = "kept"\n')
    create("mine", template, tmp_path / "new")
    assert (tmp_path / "new" / "plat.toml").read_text() == '# first\nname = "mine"\n[env]\nname = "kept"\n'
    assert not (tmp_path / "new" / "__pycache__").exists()


def test_an_empty_folder_is_used_and_any_other_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    create("mine", template_of("python"), tmp_path / "empty")
    before = (tmp_path / "empty" / "main.py").read_text()
    for taken in (tmp_path / "empty", tmp_path / "empty" / "main.py"):
        with pytest.raises(UsageFaultError, match="is not empty: choose another folder with --dir"):
            create("other", template_of("node"), taken)
    assert (tmp_path / "empty" / "main.py").read_text() == before


def test_a_runtime_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(UsageFaultError) as refused:
        template_of("pyton")
    assert refused.value.detail.startswith('No runtime "pyton". Did you mean "python"? There are: ')
    assert "node, python" in refused.value.detail


@pytest.mark.parametrize("name", ["Hello", "a_b", "-a", "x" * 64, "../x"])
def test_a_bad_name_is_usage_and_says_the_rule(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "--", name]) == 2
    assert "1 to 63 lower-case letters, digits and inner hyphens" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_folder_has_the_function_s_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "hello"]) == 0
    assert capsys.readouterr().out == "hello is ready. Deploy it with: plat deploy hello\n"
    assert run(["init", "hello", "--dir", "elsewhere", "--runtime", "node", "--json"]) == 0
    assert capsys.readouterr().out.strip() == '{"function":"hello","runtime":"node","folder":"elsewhere"}'
    assert (tmp_path / "elsewhere" / "main.js").exists()
