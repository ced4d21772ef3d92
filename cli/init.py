"""`plat init`: a new function's folder, from its runtime's template."""

import shutil
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol, cast

import click

from cli.failure import FailedError, UsageFaultError
from cli.project import PROJECT_FILE
from cli.render import print_json
from cli.session import json_option
from plat.client import NAME_RULE
from plat.model import is_function_name
from plat.nearest import did_you_mean

GROUP = "plat.runtimes"


class Runtime(Protocol):
    """What the command needs of an entry point's object."""

    @property
    def template(self) -> Path: ...


@click.command()
@click.argument("name")
@click.option("--runtime", default="python", show_default=True, help="python or node.")
@click.option("--dir", "folder", type=click.Path(path_type=Path), help="Where to make it. Default: ./NAME")
@json_option
def init(name: str, runtime: str, folder: Path | None, as_json: bool) -> None:
    """Make a folder with a function that can be deployed as it is."""
    if not is_function_name(name):
        raise UsageFaultError(f'"{name}" cannot be a name: {NAME_RULE}.')
    target = folder or Path(name)
    create(name, template_of(runtime), target)
    if as_json:
        print_json({"function": name, "runtime": runtime, "folder": str(target)})
    else:
        click.echo(f"{target} is ready. Deploy it with: plat deploy {target}")


def template_of(runtime: str) -> Path:
    """Raises UsageFaultError naming the runtimes that are installed."""
    found: dict[str, EntryPoint] = {each.name: each for each in entry_points(group=GROUP)}
    if runtime not in found:
        known = ", ".join(sorted(found))
        raise UsageFaultError(f'No runtime "{runtime}".{did_you_mean(runtime, found)} There are: {known}.')
    return cast("Runtime", found[runtime].load()).template


def create(name: str, template: Path, target: Path) -> None:
    """Copy the template, its function named `name`. Nothing is ever overwritten."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageFaultError(f"{target} exists and is not empty: choose another folder with --dir.")
    try:
        shutil.copytree(template, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        _name(target / PROJECT_FILE, name)
    except OSError as error:
        raise FailedError(f"{target} cannot be made: {error}.") from error


def _name(path: Path, name: str) -> None:
    path.write_text("".join(_named_lines(path.read_text().splitlines(keepends=True), name)))


def _named_lines(lines: list[str], name: str) -> Iterator[str]:
    """The first `name = ...` line replaced: plat.toml's own, which stands before any table."""
    replaced = False
    for line in lines:
        if not replaced and line.partition("=")[0].strip() == "name":
            replaced = True
            yield f'name = "{name}"\n'
        else:
            yield line
