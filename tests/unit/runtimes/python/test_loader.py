"""Handlers are imported for real, in processes of their own: tests/integration/runtimes."""

import os
import sys
from pathlib import Path

import pytest

from runtimes.python.plat_runtime import loader
from runtimes.python.plat_runtime.loader import LoadError
from tests.unit.runtimes.python.requests import make_order


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def load_error(package: Path, handler: str) -> LoadError:
    known = set(sys.modules)
    try:
        with pytest.raises(LoadError) as raised:
            loader.load(make_order(code=str(package), handler=handler))
    finally:
        for name in set(sys.modules) - known:
            del sys.modules[name]
    return raised.value


@pytest.mark.parametrize(
    ("source", "handler", "code", "detail"),
    [
        ("", "unit_a.handler", loader.NOT_FOUND, 'has no "handler"'),
        ("def handle(): pass", "unit_a.handler", loader.NOT_FOUND, 'Did you mean "handle"?'),
        ("handler = 5", "unit_a.handler", loader.NOT_FOUND, "is a int, not a function"),
        ("", "unit_b.handler", loader.MODULE_NOT_FOUND, 'Did you mean "unit_a"?'),
        ("", "unit_a.inner.handler", loader.MODULE_NOT_FOUND, "no unit_a/inner.py"),
        ("", "deep/er/module.handler", loader.MODULE_NOT_FOUND, "no deep/er/module.py"),
        ("", "handler", loader.NOT_FOUND, "module.function"),
        ("import unit_nowhere", "unit_a.handler", loader.IMPORT_FAILED, "unit_nowhere"),
        ("import unit_a.inner", "unit_a.handler", loader.IMPORT_FAILED, "unit_a.inner"),
        ("from json import nothing", "unit_a.handler", loader.IMPORT_FAILED, "ImportError"),
        ("raise KeyError('x')", "unit_a.handler", loader.IMPORT_FAILED, "raised KeyError: 'x'"),
        ("raise SystemExit('x')", "unit_a.handler", loader.IMPORT_FAILED, "sys.exit('x')"),
        ("raise KeyboardInterrupt", "unit_a.handler", loader.IMPORT_FAILED, "KeyboardInterrupt"),
        ("eval('1 +')", "unit_a.handler", loader.IMPORT_FAILED, "SyntaxError"),
        ("x = (", "unit_a.handler", loader.SYNTAX_ERROR, "unit_a.py, line 1: "),
        ("if 1:\nx", "unit_a.handler", loader.SYNTAX_ERROR, "unit_a.py, line 2: "),
        ("x = 'é'.encode(\n\n", "unit_a.handler", loader.SYNTAX_ERROR, "unit_a.py, line 1: "),
    ],
)
def test_load_errors(package: Path, source: str, handler: str, code: str, detail: str) -> None:
    (package / "unit_a.py").write_text(source)
    error = load_error(package, handler)
    assert error.code == code
    assert detail in error.detail
    assert bool(error.trace) == (code in (loader.IMPORT_FAILED, loader.SYNTAX_ERROR))
    assert "plat_runtime" not in error.trace
    assert "importlib" not in error.trace


def test_a_module_named_as_one_of_pythons_is_refused(package: Path) -> None:
    (package / "json.py").write_text("def handler(): pass")
    error = load_error(package, "json.handler")
    assert (error.code, "Rename json.py" in error.detail) == (loader.IMPORT_FAILED, True)


def test_an_empty_package_says_so(package: Path) -> None:
    assert "It has no Python file." in load_error(package, "main.handler").detail


def test_what_was_imported_ahead_of_time_gives_way_to_modules_of_the_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unit_ahead.py").touch()
    (tmp_path / "vendor" / "unit_asyncio").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    ahead = {
        "unit_ahead": ["unit_ahead", "unit_ahead.config"],
        "unit_asyncio": ["unit_asyncio.tasks"],
        "json": ["json"],
    }
    for name in [name for names in ahead.values() for name in names]:
        monkeypatch.setitem(sys.modules, name, sys.modules["json"])
    loader.prepare(make_order(code=str(tmp_path)), ahead)
    assert [name for name in sys.modules if name.startswith("unit_a")] == []
    assert "json" in sys.modules


def test_what_an_instance_has_only_because_it_was_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    own = set(sys.modules)
    for name in ("unit_ahead", "unit_ahead.config", "runtimes.unit"):
        monkeypatch.setitem(sys.modules, name, sys)
    found = loader.imported_ahead(own)
    assert {top: sorted(names) for top, names in found.items()} == {
        "unit_ahead": ["unit_ahead", "unit_ahead.config"]
    }, "this package itself is there in any case"
