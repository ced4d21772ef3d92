"""Compiled modules beside their sources: taken if they are there, refused if they are of older sources."""

import os
from pathlib import Path

import pytest

from plat.errors import PlatError
from router import compiled, fastpath


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name in ("fastpath.py", "fastpath.cpython-311-x86_64-linux-gnu.so", "compiled__mypyc.so"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (100, 100))
    return tmp_path


def test_a_fresh_module_is_fine(package: Path) -> None:
    assert compiled.is_compiled(package)
    compiled.check(package)


def test_a_changed_source_is_noticed(package: Path) -> None:
    os.utime(package / "fastpath.py", (101, 101))
    with pytest.raises(PlatError, match=r"fastpath\.py is newer .* make compiled"):
        compiled.check(package)


def test_also_below_the_package(package: Path) -> None:
    (package / "access").mkdir()
    for name, time in (("identity.py", 101), ("identity.cpython-311-x86_64-linux-gnu.so", 100)):
        (package / "access" / name).touch()
        os.utime(package / "access" / name, (time, time))
    with pytest.raises(PlatError, match=r"identity\.py is newer"):
        compiled.check(package)


def test_without_any_there_is_nothing_to_notice(tmp_path: Path) -> None:
    (tmp_path / "fastpath.py").touch()
    assert not compiled.is_compiled(tmp_path)
    compiled.check(tmp_path)


@pytest.mark.compiled
def test_what_is_tested_is_compiled() -> None:
    assert compiled.is_compiled()


def test_what_is_said_is_what_runs() -> None:
    assert compiled.is_compiled() == (Path(fastpath.__file__).suffix == ".so")
