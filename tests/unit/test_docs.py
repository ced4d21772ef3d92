"""Pages that list things list all of them, and links between pages lead somewhere."""

import re
import tomllib
from pathlib import Path

import click
import pytest

from cli.main import COMMANDS, LazyGroup, cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)[^)]*\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    missing = [target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert missing == []


def test_every_dependency_has_its_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = {name_of(each) for each in [*project["dependencies"], *extras["dev"], *extras["postgres"]]}
    text = (ROOT / "docs" / "dependencies.md").read_text().lower()
    assert {name for name in needed if name not in text} == set()


def test_every_metric_has_its_line_and_no_other_has_one() -> None:
    files = [ROOT / package / "metrics.py" for package in ("router", "pool", "control", "builder")]
    counted = {name for file in files for name in re.findall(r'"(plat_[a-z_]+)"', file.read_text())}
    listed = set(
        re.findall(r"^\| `(plat_[a-z_]+)` \|", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE)
    )
    assert listed == counted


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=!~ ]", requirement)[0].lower()


def shown_commands() -> list[str]:
    assert isinstance(cli, LazyGroup)
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in COMMANDS}
    return [name for name, command in found.items() if command is not None and not command.hidden]


def test_every_command_has_its_part_of_the_page() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    headings = re.findall(r"^### (.+)$", text, re.MULTILINE)
    described = {name for heading in headings for name in re.findall(r"`plat (\w+)", heading)}
    assert described == set(shown_commands())


@pytest.mark.parametrize("name", shown_commands())
def test_every_option_is_on_the_page(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    text = (ROOT / "docs" / "cli.md").read_text()
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert any(f"`{option}" in text or f" {option}" in text for option in parameter.opts)


def test_the_readme_s_commands_exist() -> None:
    used = set(re.findall(r"^plat (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert used <= set(shown_commands())
    assert {"init", "deploy", "invoke", "logs", "scale", "rollback", "delete"} <= used
