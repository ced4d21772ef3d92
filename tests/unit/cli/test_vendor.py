"""Which dependencies are fetched, and when those of an earlier time are used. Without pip and npm."""

from pathlib import Path

import pytest

from cli.vendor import _cached, _digest, _has_node_dependencies, _requirement_files, dependencies
from plat.errors import PlatError
from plat.model import FunctionSpec

PYTHON = FunctionSpec(name="a")
NODE = FunctionSpec(name="a", runtime="node")


def never(_: str) -> None:
    raise AssertionError("nothing slow was to happen")


@pytest.mark.parametrize(
    ("spec", "files"),
    [
        (PYTHON, {}),
        (PYTHON, {"requirements.txt": ""}),
        (PYTHON, {"requirements.txt": "# flask\n\n  # none\n"}),
        (PYTHON, {"package.json": '{"dependencies": {"x": "1"}}'}),
        (PYTHON, {"requirements.txt": "flask", "vendor/flask.py": ""}),
        (NODE, {"requirements.txt": "flask"}),
        (NODE, {"package.json": "{}"}),
        (NODE, {"package.json": '{"devDependencies": {"x": "1"}}'}),
        (NODE, {"package.json": '{"dependencies": {"x": "1"}}', "node_modules/x/index.js": ""}),
    ],
)
def test_nothing_to_fetch(tmp_path: Path, spec: FunctionSpec, files: dict[str, str]) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert dependencies(tmp_path, spec, never) == []


@pytest.mark.parametrize("content", ["{", "[]", "3"])
def test_a_package_json_that_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "package.json").write_text(content)
    with pytest.raises(PlatError, match="is no JSON object"):
        _has_node_dependencies(tmp_path)


def test_included_files_count_too(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "-r more/base.txt\n--constraint=limits.txt\nflask\n-r nowhere.txt\n"
    )
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "base.txt").write_text("-r ../requirements.txt\n")
    (tmp_path / "limits.txt").write_text("flask<4\n")
    files = _requirement_files(tmp_path / "requirements.txt")
    found = {path.relative_to(tmp_path.resolve()).as_posix() for path in files}
    assert found == {"requirements.txt", "more/base.txt", "limits.txt"}


def test_another_list_or_another_language_is_another_key(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("flask")
    first = _digest("python 3.11", [path])
    assert _digest("python 3.11", [path]) == first
    assert _digest("python 3.12", [path]) != first
    path.write_text("flask<4")
    assert _digest("python 3.11", [path]) != first


def test_what_was_made_once_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []

    def install(into: Path) -> None:
        made.append(into)
        (into / "file").write_text("content")

    assert _cached("key", install) == _cached("key", install)
    assert (_cached("key", install) / "file").read_text() == "content"
    assert len(made) == 1


def test_what_failed_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def install(into: Path) -> None:
        (into / "half").touch()
        raise PlatError("invalid", "no")

    with pytest.raises(PlatError):
        _cached("key", install)
    assert list((tmp_path / "plat" / "dependencies").iterdir()) == []
