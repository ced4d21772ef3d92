"""Import the handler, and tell apart the ways in which that fails: each has its own code and advice."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import sys
import time
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from importlib import machinery, util
from pathlib import Path
from types import ModuleType

from . import handlers, tracebacks
from .order import Order

MODULE_NOT_FOUND = "handler_module_not_found"
NOT_FOUND = "handler_not_found"
IMPORT_FAILED = "handler_import_failed"
SYNTAX_ERROR = "handler_syntax_error"

LOADERS = (
    (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES),
    (machinery.SourceFileLoader, machinery.SOURCE_SUFFIXES),
    (machinery.SourcelessFileLoader, machinery.BYTECODE_SUFFIXES),
)
"""What Python's own finder of a folder is made with, in its order."""


class LoadError(Exception):
    """Why the handler cannot serve. `trace` is the user's own traceback, "" where there is none."""

    def __init__(self, code: str, detail: str, trace: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.trace = trace


def imported_ahead(own_imports: Set[str]) -> dict[str, list[str]]:
    """The modules that an instance has only because it was warm or forked, by their first name.

    Asked before there is an order: to touch hundreds of names takes a forked process 0.3 ms.
    """
    ahead: dict[str, list[str]] = {}
    for name in sys.modules.keys() - own_imports:
        ahead.setdefault(name.partition(".")[0], []).append(name)
    ahead.pop(__name__.partition(".")[0], None)
    return ahead


def prepare(order: Order, ahead: Mapping[str, Iterable[str]]) -> Collection[str]:
    """Make the process the function's: its variables, its folder, and its import path. What is in the folder.

    Of the modules that are there already, those that were imported `ahead` may hide none of the function's:
    an instance that was started with its function would not have them.
    """
    os.environ.update(order.environ)
    if "TZ" in os.environ:
        time.tzset()
    os.chdir(order.code)
    code = os.getcwd()  # noqa: PTH109 - the folder without links, and a fifth of what resolve() takes
    path = [code, f"{code}/vendor"]
    path += [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    sys.path[:] = [*path, *(each for each in sys.path if each not in path)]
    sys.dont_write_bytecode = True  # the code is read-only, and the same for every instance
    for folder in path:
        sys.path_importer_cache.pop(folder, None)
    # What `sys.path_hooks` would give, without asking first whether the folder is a zip archive.
    sys.path_importer_cache[code] = machinery.FileFinder(code, *LOADERS)
    names = _names(code)
    others = path[1:] if "vendor" in names else path[2:]
    theirs = [name for folder in others for name in _names(folder)]
    for found in {name.partition(".")[0] for name in (*names, *theirs)}:
        for name in ahead.get(found, ()):
            del sys.modules[name]  # who has imported it keeps it
    return names


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208
    except OSError:  # it need not be there
        return []


def load(order: Order, names: Collection[str] = ()) -> handlers.Handler:
    """The handler of an order that was prepared; `names` are in its folder. Raises LoadError."""
    module_name, _, name = order.handler.replace("/", ".").rpartition(".")
    if not module_name or not name:
        raise LoadError(NOT_FOUND, f'The handler "{order.handler}" is not of the form module.function.')
    module = _import(module_name, order, names)
    try:
        target = getattr(module, name)
    except AttributeError:
        raise _no_such_function(module, name, order) from None
    try:
        return handlers.of(target, order.handler)
    except handlers.HandlerShapeError as error:
        raise LoadError(NOT_FOUND, str(error)) from None


def _import(name: str, order: Order, names: Collection[str]) -> ModuleType:
    _refuse_taken_name(name, order)
    try:
        with _found_already(name, names):
            return importlib.import_module(name)
    except BaseException as error:
        raise _import_error(error, name, order) from error


class _Found:
    """A finder of one module, for one time."""

    def __init__(self, name: str, path: str) -> None:
        self._name = name
        self._path = path

    def find_spec(self, name: str, *_: object) -> machinery.ModuleSpec | None:
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        loader = machinery.SourceFileLoader(name, self._path)
        return util.spec_from_file_location(name, self._path, loader=loader, submodule_search_locations=None)


def _is_part_of_python(name: str) -> bool:
    """Then no folder is looked into."""
    return name in sys.builtin_module_names or machinery.FrozenImporter.find_spec(name) is not None


@contextlib.contextmanager
def _found_already(name: str, names: Collection[str]) -> Iterator[None]:
    """Python would look for the module in four ways, one after the other: that takes 0.15 ms.

    Where the folder has only a `name.py`, and no program of Python's own has the name, they find the same.
    """
    theirs = [each for each in names if each.partition(".")[0] == name]
    path = f"{sys.path[0]}/{name}.py"
    if theirs != [f"{name}.py"] or _is_part_of_python(name) or not os.path.isfile(path):  # noqa: PTH113
        yield
        return
    found = _Found(name, path)
    sys.meta_path.insert(0, found)
    try:
        yield
    finally:
        if found in sys.meta_path:
            sys.meta_path.remove(found)


def _refuse_taken_name(name: str, order: Order) -> None:
    """A user's `queue.py` would never be imported: the standard library's is there already."""
    top = name.partition(".")[0]
    if top not in sys.modules:
        return
    file = getattr(sys.modules[top], "__file__", None)
    own = [each for each in (f"{top}.py", f"{top}/__init__.py") if Path(order.code, each).exists()]
    if own and (file is None or not Path(file).samefile(Path(order.code, own[0]))):
        detail = f'The module "{top}" has the name of one that Python itself uses. Rename {own[0]}.'
        raise LoadError(IMPORT_FAILED, detail)


def _import_error(error: BaseException, name: str, order: Order) -> LoadError:
    if isinstance(error, ModuleNotFoundError) and _is_handlers_own(error, name):
        return _no_such_module(name, order)
    trace = tracebacks.user_traceback(error)
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_file():
        where = f"{_shown(error.filename, order)}, line {error.lineno}"
        return LoadError(SYNTAX_ERROR, f"{where}: {error.msg}.", trace)
    if isinstance(error, SystemExit):
        detail = f'Importing "{name}" called sys.exit({error.code!r}).'
        return LoadError(IMPORT_FAILED, detail, trace)
    short = traceback.format_exception_only(type(error), error)[-1].strip()
    return LoadError(IMPORT_FAILED, f'Importing "{name}" raised {short}', trace)


def _is_handlers_own(error: ModuleNotFoundError, name: str) -> bool:
    """Whether the module itself (or a package above it) is missing, and not an import in it."""
    missing = error.name or ""
    return (name == missing or name.startswith(missing + ".")) and not tracebacks.has_user_frame(
        error.__traceback__
    )


def _no_such_module(name: str, order: Order) -> LoadError:
    known = _modules(Path(order.code))
    path = name.replace(".", "/") + ".py"
    there = f"It has {', '.join(known[:10])}." if known else "It has no Python file."
    hint = _did_you_mean(name, known)
    detail = f'The handler "{order.handler}" is in the module "{name}", but the package has no {path}.'
    return LoadError(MODULE_NOT_FOUND, f"{detail} {there}{hint}")


def _no_such_function(module: ModuleType, name: str, order: Order) -> LoadError:
    known = [each for each, value in vars(module).items() if callable(value) and not each.startswith("_")]
    hint = _did_you_mean(name, known)
    return LoadError(
        NOT_FOUND, f'The module "{module.__name__}" has no "{name}" (handler "{order.handler}").{hint}'
    )


def _modules(code: Path) -> list[str]:
    files = [each.stem for each in code.glob("*.py") if each.stem != "__init__"]
    packages = [each.parent.name for each in code.glob("*/__init__.py")]
    return sorted(files + packages)


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(word, list(known), n=1)
    return f' Did you mean "{nearest[0]}"?' if nearest else ""


def _shown(filename: str, order: Order) -> str:
    """A file of the package by its path in it."""
    try:
        return str(Path(filename).resolve().relative_to(Path(order.code).resolve()))
    except ValueError:
        return filename
