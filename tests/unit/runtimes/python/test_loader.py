"""Handlers are imported for real, in processes of their own: tests/integration/runtimes."""

import os
import sys
from collections.abc import Callable, Collection
from importlib import machinery
from pathlib import Path
from types import ModuleType

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


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Collection[str]]:
    """Prepares the process for the folder; all is put back afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    return lambda: loader.prepare(make_order(code=str(tmp_path)), {})


def module_of(handler: str, code: Path, names: Collection[str]) -> ModuleType:
    name = handler.partition(".")[0]
    sys.modules.pop(name, None)
    meta_path = list(sys.meta_path)
    try:
        loader.load(make_order(code=str(code), handler=handler), names)
        assert sys.meta_path == meta_path
        return sys.modules[name]
    finally:
        sys.modules.pop(name, None)


def test_a_module_that_is_known_to_be_there_is_imported_as_if_it_had_been_looked_for(
    tmp_path: Path, prepared: Callable[[], Collection[str]]
) -> None:
    (tmp_path / "unit_found.py").write_text("from unit_beside import handler")
    (tmp_path / "unit_beside.py").write_text("def handler(event, context): ...")
    names = prepared()
    found = module_of("unit_found.handler", tmp_path, names)
    searched = module_of("unit_found.handler", tmp_path, ())
    assert found is not searched
    assert found.__spec__ == searched.__spec__
    assert (found.__file__, found.__cached__) == (searched.__file__, searched.__cached__)
    assert found.__package__ == searched.__package__
    assert type(found.__loader__) is type(searched.__loader__)
    del sys.modules["unit_beside"]


@pytest.mark.parametrize("other", ["unit_taken/__init__.py", "unit_taken.pyc", "unit_taken.abi3.so"])
def test_python_itself_looks_for_a_module_that_may_be_in_several_places(
    tmp_path: Path, prepared: Callable[[], Collection[str]], other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unit_taken.py").write_text("def handler(event, context): ...")
    (tmp_path / other).parent.mkdir(exist_ok=True)
    (tmp_path / other).write_text("def handler(event, context): ...")
    names = prepared()
    asked: list[str] = []
    monkeypatch.setattr(loader, "_Found", lambda name, path: asked.append(name))
    if other.endswith(".so"):
        with pytest.raises(LoadError):
            module_of("unit_taken.handler", tmp_path, names)
    else:
        module_of("unit_taken.handler", tmp_path, names)
    assert asked == []


def test_a_program_of_pythons_own_comes_before_any_folder(
    tmp_path: Path, prepared: Callable[[], Collection[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those, one that nothing has imported yet; the others are refused by name."""
    name = next(each for each in sorted(sys.builtin_module_names) if each not in sys.modules)
    (tmp_path / f"{name}.py").write_text("def handler(event, context): ...")
    names = prepared()
    asked: list[str] = []
    monkeypatch.setattr(loader, "_Found", lambda name, path: asked.append(name))
    with pytest.raises(LoadError, match='has no "handler"'):
        module_of(f"{name}.handler", tmp_path, names)
    assert asked == []


@pytest.mark.parametrize("what", ["folder", "link to nothing"])
def test_what_has_the_name_of_a_module_and_is_none_is_not_found(
    tmp_path: Path, prepared: Callable[[], Collection[str]], what: str
) -> None:
    if what == "folder":
        (tmp_path / "unit_none.py").mkdir()
    else:
        (tmp_path / "unit_none.py").symlink_to(tmp_path / "nowhere")
    names = prepared()
    with pytest.raises(LoadError) as raised:
        module_of("unit_none.handler", tmp_path, names)
    assert raised.value.code == loader.MODULE_NOT_FOUND


def test_folders_are_looked_into_as_python_does(tmp_path: Path) -> None:
    hook = next(each for each in reversed(sys.path_hooks) if "FileFinder" in repr(each))
    ours = machinery.FileFinder(str(tmp_path), *loader.LOADERS)
    assert vars(ours) == vars(hook(str(tmp_path)))


def test_a_module_that_cannot_be_imported_leaves_no_finder(
    tmp_path: Path, prepared: Callable[[], Collection[str]]
) -> None:
    (tmp_path / "unit_broken.py").write_text("import unit_not_there")
    names, meta_path = prepared(), list(sys.meta_path)
    with pytest.raises(LoadError):
        loader.load(make_order(code=str(tmp_path), handler="unit_broken.handler"), names)
    assert sys.meta_path == meta_path
