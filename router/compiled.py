"""Whether this router runs compiled modules (`make compiled`), and whether they fit their sources."""

from pathlib import Path

from plat.errors import PlatError

FOLDER = Path(__file__).parent


def is_compiled(folder: Path = FOLDER) -> bool:
    """Python takes a compiled module where there is one."""
    return any(folder.glob("fastpath.*.so"))


def check(folder: Path = FOLDER) -> None:
    """Raises PlatError for a module older than its source: it would run what is no longer there to read."""
    for library in folder.rglob("*.so"):
        source = library.with_name(f"{library.name.partition('.')[0]}.py")
        if source.exists() and source.stat().st_mtime > library.stat().st_mtime:
            raise PlatError(
                "internal",
                f"{source.name} is newer than the module compiled from it: run make compiled, or make pure.",
            )
