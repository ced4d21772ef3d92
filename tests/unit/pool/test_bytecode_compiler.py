"""The program that compiles: what it makes of a folder."""

import importlib.util
import sys
from pathlib import Path

import pytest

from pool.bytecode_compiler import compile_tree

TAG = sys.implementation.cache_tag


@pytest.mark.parametrize(
    ("source", "is_compiled"),
    [
        (b"X = 1\n", True),
        (b"", True),
        (b"# -*- coding: latin-1 -*-\nX = '\xe4'\n", True),
        (b"def (:\n", False),
        (b"print 'Python 2'\n", False),
        (b"X = '\xe4'\n", False),
        (b"# -*- coding: no-such-coding -*-\n", False),
        (b"X = 1\0\n", False),
        (b"(" * 10_000, False),
    ],
)
def test_what_compiles_and_what_does_not(tmp_path: Path, source: bytes, is_compiled: bool) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "one.py").write_bytes(source)
    compile_tree(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target" / "__pycache__" / f"one.{TAG}.pyc").exists() is is_compiled


def test_the_place_of_each(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "a" / "b").mkdir(parents=True)
    (source / "a" / "b" / "c.py").write_text("X = 1")
    (source / "a" / "data.txt").touch()
    compile_tree(source, tmp_path / "target")
    [compiled] = (tmp_path / "target").rglob("*.pyc")
    found = importlib.util.cache_from_source(str(source / "a" / "b" / "c.py"))
    assert str(compiled.relative_to(tmp_path / "target")) == str(Path(found).relative_to(source))
