"""Code compiled ahead: what appears in a read-only folder, and what must not."""

import asyncio
import marshal
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pool import bytecode
from pool.bytecode import add_bytecode

TAG = sys.implementation.cache_tag


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Unpacked as the cache does it: read-only."""
    code = tmp_path / "cache" / ("ab" * 32)
    (code / "package" / "below").mkdir(parents=True)
    (code / "data").mkdir()
    (code / "main.py").write_text("from package.below import value\nprint(value.X)\n")
    (code / "package" / "__init__.py").touch()
    (code / "package" / "below" / "value.py").write_text("X = 42\n")
    (code / "package" / "broken.py").write_text("def (:\n")
    (code / "package" / "latin.py").write_bytes(b"# -*- coding: latin-1 -*-\nX = '\xe4'\n")
    (code / "data" / "text").touch()
    for folder, _, names in os.walk(code, topdown=False):
        for name in names:
            Path(folder, name).chmod(0o444)
        Path(folder).chmod(0o555)
    return code


def compiled(code: Path) -> set[str]:
    return {str(path.relative_to(code)) for path in code.rglob("*.pyc")}


def beside(code: Path) -> list[str]:
    return [path.name for path in code.parent.iterdir()]


async def test_each_file_that_compiles_has_its_bytecode(code: Path) -> None:
    await add_bytecode(code)
    assert compiled(code) == {
        f"__pycache__/main.{TAG}.pyc",
        f"package/__pycache__/__init__.{TAG}.pyc",
        f"package/__pycache__/latin.{TAG}.pyc",
        f"package/below/__pycache__/value.{TAG}.pyc",
    }
    assert beside(code) == [code.name]


async def test_it_is_read_only_and_ours(code: Path) -> None:
    await add_bytecode(code)
    for path in (code, code / "package", code / "package" / "__pycache__"):
        assert path.stat().st_mode & 0o777 == 0o555
    for file in code.rglob("*.pyc"):
        found = file.stat()
        assert (found.st_mode & 0o777, found.st_uid, found.st_gid) == (0o444, os.getuid(), os.getgid())


async def test_it_is_used_whatever_the_date_of_the_source_is(code: Path) -> None:
    await add_bytecode(code)
    (cached,) = (code / "package" / "below" / "__pycache__").iterdir()
    head, body = cached.read_bytes()[:16], cached.read_bytes()[16:]
    assert int.from_bytes(head[4:8], "little") == 0b01, "hash-based and never checked (PEP 552)"
    assert 42 in marshal.loads(body).co_consts
    os.utime(code / "package" / "below" / "value.py", (1, 1))
    traced = await asyncio.to_thread(traced_run, code)
    assert traced.stdout == "42\n"
    assert f"code object from '{code / 'package/below/__pycache__' / cached.name}'" in traced.stderr
    assert "wrote" not in traced.stderr


def traced_run(code: Path) -> "subprocess.CompletedProcess[str]":
    """What `python -v` tells is where it has each module from."""
    command = [sys.executable, "-v", str(code / "main.py")]
    return subprocess.run(command, capture_output=True, text=True, check=True)


async def test_what_the_package_brought_stays(code: Path) -> None:
    (code / "package").chmod(0o755)
    own = code / "package" / "__pycache__"
    own.mkdir()
    (own / f"broken.{TAG}.pyc").write_bytes(b"mine")
    await add_bytecode(code)
    assert [path.name for path in own.iterdir()] == [f"broken.{TAG}.pyc"]
    assert (own / f"broken.{TAG}.pyc").read_bytes() == b"mine"
    assert (code / "package" / "below" / "__pycache__").exists()


@pytest.mark.parametrize(
    ("name", "made"), [("main.py", {f"__pycache__/main.{TAG}.pyc"}), ("main.js", set())], ids=["py", "js"]
)
async def test_little_code_is_compiled_too_and_other_code_starts_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, made: set[str]
) -> None:
    code = tmp_path / "cache" / "code"
    code.mkdir(parents=True)
    (code / name).write_text("x = 1")
    if not made:
        monkeypatch.setattr(bytecode, "_compile", None)
    await add_bytecode(code)
    assert compiled(code) == made


async def test_a_link_is_not_followed(code: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.py").write_text("X = 1")
    (code / "data").chmod(0o755)
    (code / "data" / "away").symlink_to(tmp_path / "outside")
    await add_bytecode(code)
    assert not any("secret" in name for name in compiled(code))
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["secret.py"]


async def test_a_folder_that_is_gone_meanwhile_is_no_error(code: Path) -> None:
    working = asyncio.ensure_future(add_bytecode(code))  # noqa: TID251 - a bare task is what is tested
    await asyncio.wait([working], timeout=0.02)
    code.rename(code.with_name("gone"))
    await working
    assert beside(code) == ["gone"]


async def test_cancelled_it_leaves_nothing_beside(code: Path) -> None:
    for after_s in (0.001, 0.002, 0.005, 0.02, 0.05, 0.1, 0.2):
        working = asyncio.ensure_future(add_bytecode(code))  # noqa: TID251 - a bare task is what is tested
        await asyncio.wait([working], timeout=after_s)
        working.cancel()
        await asyncio.wait([working])
        assert beside(code) == [code.name]


def test_only_plain_files_are_taken_of_what_the_compiler_made(code: Path, tmp_path: Path) -> None:
    """As if a stranger's source had taken over the compiler."""
    scratch = tmp_path / "scratch"
    made = scratch / "__pycache__"
    (made / "folder.pyc").mkdir(parents=True)
    (made / "link.pyc").symlink_to("/etc/passwd")
    (made / "program").touch()
    (made / f"main.{TAG}.pyc").touch()
    (scratch / "elsewhere" / "__pycache__").mkdir(parents=True)
    bytecode._move(scratch, code)
    assert [path.name for path in (code / "__pycache__").iterdir()] == [f"main.{TAG}.pyc"]
    assert not (code / "elsewhere").exists()
