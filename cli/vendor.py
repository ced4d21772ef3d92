"""A function's dependencies, fetched where it is packed: `requirements.txt` and `package.json`.

What was installed once for the same files and the same language version is kept and used again.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from cli.failure import FailedError
from cli.project import Entry, tree
from plat.errors import PlatError
from plat.model import FunctionSpec

REQUIREMENTS = "requirements.txt"
NODE_FILES = ("package.json", "package-lock.json", ".npmrc")
VENDOR = "vendor"
NODE_MODULES = "node_modules"

_INCLUDED = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[\s=]+(\S+)", re.MULTILINE)

Report = Callable[[str], None]


def dependencies(folder: Path, spec: FunctionSpec, report: Report) -> list[Entry]:
    """What to pack besides the function's own files. `report` is told before anything slow.

    Raises FailedError with what pip or npm said when it fails.
    """
    if spec.runtime == "python" and _has_requirements(folder) and not (folder / VENDOR).exists():
        return list(tree(_python(folder, report), VENDOR))
    if spec.runtime == "node" and _has_node_dependencies(folder) and not (folder / NODE_MODULES).exists():
        return list(tree(_node(folder, report), NODE_MODULES))
    return []


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "plat" / "dependencies"


def _has_requirements(folder: Path) -> bool:
    path = folder / REQUIREMENTS
    return path.is_file() and any(
        line.strip() and not line.strip().startswith("#") for line in path.read_text().splitlines()
    )


def _has_node_dependencies(folder: Path) -> bool:
    path = folder / "package.json"
    if not path.is_file():
        return False
    try:
        return bool(json.loads(path.read_bytes()).get("dependencies"))
    except (ValueError, AttributeError) as error:
        raise PlatError("invalid", f"{path} is no JSON object: {error}") from error


def _python(folder: Path, report: Report) -> Path:
    language = f"python {platform.python_version()} {platform.machine()}"
    digest = _digest(language, _requirement_files(folder / REQUIREMENTS))

    def install(into: Path) -> None:
        report(f"Installing {REQUIREMENTS}")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
        target = into / VENDOR
        _run([*pip, "--no-compile", "--target", str(target), "-r", REQUIREMENTS], folder)
        # Scripts begin with the path of this very Python: of no use elsewhere.
        shutil.rmtree(target / "bin", ignore_errors=True)

    return _cached(digest, install) / VENDOR


def _node(folder: Path, report: Report) -> Path:
    files = [folder / name for name in NODE_FILES if (folder / name).is_file()]
    digest = _digest(f"node {platform.machine()}", files)

    def install(into: Path) -> None:
        report("Installing package.json")
        for path in files:
            shutil.copy(path, into)
        npm = shutil.which("npm")
        if npm is None:
            raise FailedError(f"{folder} has a package.json, and npm is not installed: install it.")
        verb = "ci" if (folder / "package-lock.json").is_file() else "install"
        _run([npm, verb, "--omit=dev", "--no-audit", "--no-fund"], into)
        (into / NODE_MODULES).mkdir(exist_ok=True)

    return _cached(digest, install) / NODE_MODULES


def _requirement_files(path: Path) -> Iterator[Path]:
    """The file and those that it includes."""
    waiting, seen = [path.resolve()], set()
    while waiting:
        current = waiting.pop()
        if current in seen or not current.is_file():
            continue
        seen.add(current)
        yield current
        waiting += [(current.parent / name).resolve() for name in _INCLUDED.findall(current.read_text())]


def _digest(language: str, files: Iterator[Path] | list[Path]) -> str:
    digest = hashlib.sha256(language.encode())
    for path in files:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


def _cached(digest: str, install: Callable[[Path], None]) -> Path:
    """The folder with what `install` makes. Half-made ones never get the final name."""
    final = cache_folder() / digest
    if final.is_dir():
        return final
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=final.parent, prefix=".making-") as temporary:
            made = Path(temporary) / "made"
            made.mkdir()
            install(made)
            _keep(made, final)
    except OSError as error:
        raise FailedError(f"Dependencies cannot be kept in {final.parent}: {error}.") from error
    return final


def _keep(made: Path, final: Path) -> None:
    try:
        made.rename(final)
    except OSError:
        if not final.is_dir():  # else another deploy was faster, with the same content
            raise


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(  # noqa: S603 - pip or npm, for files the user has written
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-4000:]
        name = "pip" if "pip" in command else "npm"
        detail = f"{name} could not install the dependencies of {folder} (status {done.returncode})."
        raise FailedError(detail, said=said)
