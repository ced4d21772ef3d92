"""Which address and which token count, and what is said about a config file that is wrong."""

from pathlib import Path

import pytest

from plat.credentials import Access, config_path, find_access, read_saved
from plat.errors import PlatError

SAVED = 'url = "http://saved:1"\ntoken = "saved-token"\n'


def environ(folder: Path, saved: str | None = None, **more: str) -> dict[str, str]:
    path = folder / "config.toml"
    if saved is not None:
        path.write_text(saved)
    return {"PLAT_CONFIG": str(path), **more}


def test_without_anything_it_is_this_machine_without_a_token(tmp_path: Path) -> None:
    assert find_access(environ=environ(tmp_path)) == Access("http://127.0.0.1:8080", None, "none")


def test_the_file_then_the_environment_then_what_is_given(tmp_path: Path) -> None:
    variables = environ(tmp_path, SAVED)
    assert find_access(environ=variables) == Access("http://saved:1", "saved-token", "config")
    variables |= {"PLAT_URL": "https://set/", "PLAT_TOKEN": "set-token"}
    assert find_access(environ=variables) == Access("https://set", "set-token", "environment")
    given = find_access("http://given", "given-token", variables)
    assert given == Access("http://given", "given-token", "argument")


def test_an_empty_variable_is_one_that_is_not_set(tmp_path: Path) -> None:
    variables = environ(tmp_path, SAVED, PLAT_URL="", PLAT_TOKEN="")
    assert find_access(environ=variables) == Access("http://saved:1", "saved-token", "config")


@pytest.mark.parametrize(
    ("variables", "path"),
    [
        ({"PLAT_CONFIG": "/etc/plat.toml", "XDG_CONFIG_HOME": "/x"}, "/etc/plat.toml"),
        ({"XDG_CONFIG_HOME": "/x"}, "/x/plat/config.toml"),
        ({"XDG_CONFIG_HOME": ""}, str(Path("~/.config/plat/config.toml").expanduser())),
        ({}, str(Path("~/.config/plat/config.toml").expanduser())),
    ],
)
def test_where_the_file_is(variables: dict[str, str], path: str) -> None:
    assert str(config_path(variables)) == path


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"url = ", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"ulr = 'x'", 'Unknown key "ulr". Did you mean "url"?'),
        (b"token = 3", "token = 3: expected text."),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(PlatError) as refused:
        read_saved(path)
    assert refused.value.detail.startswith(str(path))
    assert said in refused.value.detail
