"""A function's folder: what plat.toml says, which files belong to it, and the page about both."""

import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli.project import ALWAYS_IGNORED, entries, read_project, tree
from plat.decoding import describe
from plat.errors import PlatError
from plat.model import FunctionSpec, Scale

PAGE = Path(__file__).parents[3] / "docs" / "plat-toml.md"
ROW = re.compile(r"^\| `([a-z_.]+)` \| ([^|]+?) \| ([^|]+?) \|", re.MULTILINE)


def write(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def names(folder: Path) -> list[str]:
    return [entry.name for entry in entries(folder)]


class TestPlatToml:
    def test_only_the_name_must_be_there(self, tmp_path: Path) -> None:
        assert read_project(write(tmp_path, **{"plat.toml": 'name = "a"'})) == FunctionSpec(name="a")

    def test_tables_are_read(self, tmp_path: Path) -> None:
        write(tmp_path, **{"plat.toml": 'name = "a"\n[scale]\nmax = 3\nidle_s = 5\n[env]\nX = "1"'})
        spec = read_project(tmp_path)
        assert (spec.scale, spec.env) == (Scale(max=3, idle_s=5.0), {"X": "1"})

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ('name = "A"', 'name = "A": expected lower-case letters'),
            ('name = "a"\n[scale]\nmx = 1', 'Unknown key "scale.mx". Did you mean "scale.max"?'),
            ('name = "a"\n[scale]\nmax = 0', "scale.max = 0: expected a whole number from 1 to 1000."),
            ("name =", "Invalid value"),
            ("", 'The key "name" is missing'),
        ],
    )
    def test_what_is_wrong_is_said_with_the_file(self, tmp_path: Path, content: str, said: str) -> None:
        with pytest.raises(PlatError) as refused:
            read_project(write(tmp_path, **{"plat.toml": content}))
        assert refused.value.detail.startswith(f"{tmp_path / 'plat.toml'}: {said}")

    def test_a_folder_without_one_says_how_to_get_one(self, tmp_path: Path) -> None:
        with pytest.raises(PlatError, match=r"does not exist\. Make a function with"):
            read_project(tmp_path)

    def test_a_file_that_is_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "plat.toml").write_bytes(b"\xff")
        with pytest.raises(PlatError, match=r"plat\.toml: 'utf-8'"):
            read_project(tmp_path)


class TestFiles:
    def test_all_but_what_is_always_left_out(self, tmp_path: Path) -> None:
        kept = ["lib/a.py", "main.py", "node_modules/x/index.js", "sub/plat.toml"]
        left = [
            "plat.toml",
            ".platignore",
            ".git/config",
            "__pycache__/a.pyc",
            "lib/__pycache__/b.py",
            "old.pyc",
        ]
        left += [".venv/bin/python", "sub/.git/HEAD", ".DS_Store"]
        write(tmp_path, **dict.fromkeys([*kept, *left], ""))
        assert names(tmp_path) == kept

    @pytest.mark.parametrize(
        ("patterns", "kept"),
        [
            ("*.md", ["a.py", "docs/b.txt", "docs/c.py"]),
            ("docs/", ["README.md", "a.py"]),
            ("/a.py", ["README.md", "docs/b.txt", "docs/c.py"]),
            ("docs/*\n!docs/c.py", ["README.md", "a.py", "docs/c.py"]),
            ("*\n!a.py", ["a.py"]),
            ("# comment\n\n", ["README.md", "a.py", "docs/b.txt", "docs/c.py"]),
            ("**/c.py\n[RA]*", ["a.py", "docs/b.txt"]),
        ],
    )
    def test_patterns_are_those_of_git(self, tmp_path: Path, patterns: str, kept: list[str]) -> None:
        files = dict.fromkeys(["a.py", "README.md", "docs/b.txt", "docs/c.py"], "")
        write(tmp_path, **files, **{".platignore": patterns})
        assert names(tmp_path) == kept

    def test_a_default_can_be_taken_back(self, tmp_path: Path) -> None:
        write(tmp_path, **{"kept.pyc": "", ".platignore": "!*.pyc"})
        assert names(tmp_path) == ["kept.pyc"]

    def test_links_inside_are_kept_as_links(self, tmp_path: Path) -> None:
        write(tmp_path, **{"lib/a.py": ""})
        (tmp_path / "link").symlink_to("lib")
        (tmp_path / "lib" / "up").symlink_to("../lib/a.py")
        (tmp_path / "dangling").symlink_to("nowhere")
        assert names(tmp_path) == ["dangling", "lib/a.py", "lib/up", "link"]

    @pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "lib/../../outside", ".."])
    def test_links_out_are_refused(self, tmp_path: Path, target: str) -> None:
        (tmp_path / "link").symlink_to(target)
        with pytest.raises(PlatError, match=r"link links to .*: an archive can only hold links"):
            names(tmp_path)

    def test_what_is_no_file_is_refused_unless_it_is_ignored(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(PlatError, match=r"pipe is no file, folder or link: name it in \.platignore"):
            names(tmp_path)
        write(tmp_path, **{".platignore": "pipe"})
        assert names(tmp_path) == []

    def test_a_name_that_no_archive_can_have_is_refused(self, tmp_path: Path) -> None:
        Path(os.fsdecode(bytes(tmp_path) + b"/\xff")).touch()
        with pytest.raises(PlatError, match="is no name for an archive"):
            names(tmp_path)

    def test_a_made_tree_gets_its_prefix(self, tmp_path: Path) -> None:
        write(tmp_path, **{"flask/app.py": "", "flask/__pycache__/app.pyc": "", "x.pyc": ""})
        assert sorted(entry.name for entry in tree(tmp_path, "vendor")) == [
            "vendor/flask/app.py",
            "vendor/x.pyc",
        ]


class TestPage:
    def test_it_lists_every_key_with_its_default_and_what_is_allowed(self) -> None:
        listed = {name: (default, allowed) for name, default, allowed in ROW.findall(PAGE.read_text())}
        assert listed == dict(_rows(FunctionSpec, ""))

    def test_its_example_is_valid_and_shows_every_table(self, tmp_path: Path) -> None:
        example = PAGE.read_text().partition("```toml\n")[2].partition("```")[0]
        spec = read_project(write(tmp_path, **{"plat.toml": example}))
        assert spec.limits.burst == 200
        for table in ("[scale]", "[limits]", "[access]", "[env]"):
            assert table in example

    @pytest.mark.parametrize("pattern", ALWAYS_IGNORED)
    def test_it_names_what_is_always_left_out(self, pattern: str) -> None:
        text = PAGE.read_text()
        for name in ("*.pyc", "*.pyo") if pattern == "*.py[co]" else (pattern.lstrip("/"),):
            assert f"`{name}`" in text


def _rows(kind: type[msgspec.Struct], prefix: str) -> list[tuple[str, tuple[str, str]]]:
    rows = []
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            rows += _rows(field.type, f"{field.name}.")
        else:
            rows.append((prefix + field.name, (_shown(field.default), describe(field.type))))
    return rows


def _shown(default: Any) -> str:
    return "none" if default in (None, "", msgspec.NODEFAULT) else f"`{default}`"
