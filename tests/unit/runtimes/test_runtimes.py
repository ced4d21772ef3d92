"""What each runtime declares is there, and stands apart from the platform."""

import ast
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import msgspec
import pytest

from plat.model import FunctionSpec
from runtimes import NODE, PYTHON, Runtime

both = pytest.mark.parametrize("runtime", [PYTHON, NODE], ids=lambda runtime: runtime.name)


@both
def test_its_files_are_there(runtime: Runtime) -> None:
    assert Path(runtime.argv[-1]).exists()
    assert runtime.folder.is_dir()
    assert runtime.dockerfile.read_text().count("ARG BASE") == 1
    assert (runtime.template / ".platignore").is_file()


def test_only_python_can_be_forked() -> None:
    assert PYTHON.fork_argv == (*PYTHON.argv, "fork-server")
    assert NODE.fork_argv == ()


@both
def test_it_is_an_entry_point(runtime: Runtime) -> None:
    (entry,) = entry_points(group="plat.runtimes", name=runtime.name)
    assert entry.load() == runtime


@both
def test_its_template_is_a_valid_function(runtime: Runtime) -> None:
    text = (runtime.template / "plat.toml").read_text()
    assert text.count("{{name}}") == 1
    spec = msgspec.convert(tomllib.loads(text.replace("{{name}}", "new")), FunctionSpec)
    assert (spec.name, spec.runtime, spec.access.auth) == ("new", runtime.name, "token")
    module = spec.handler.rpartition(".")[0]
    assert [each for each in (".py", ".js") if (runtime.template / (module + each)).exists()]


def test_examples_are_valid_functions() -> None:
    folders = sorted(each.parent for each in Path("examples").glob("*/plat.toml"))
    assert [each.name for each in folders] == ["fastapi", "flask", "hello", "hello-node", "sse", "thumbnail"]
    for folder in folders:
        spec = msgspec.convert(tomllib.loads((folder / "plat.toml").read_text()), FunctionSpec)
        assert spec.name == folder.name


def test_the_python_runtime_imports_the_standard_library_only() -> None:
    for path in PYTHON.folder.glob("plat_runtime/*.py"):
        for node in ast.walk(ast.parse(path.read_text(), feature_version=(3, 9))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in names:
                assert name.partition(".")[0] in sys.stdlib_module_names, f"{path.name} imports {name}"
