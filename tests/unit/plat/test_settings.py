"""Where a setting comes from, what is refused and how, and the page that lists them all."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plat.decoding import describe
from plat.settings import _LONGEST_SOCKET_NAME, SOCKET_PATH_LIMIT, Settings, SettingsError, load

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"
ROW = re.compile(r"^\| `([a-z_]+)` \| ([^|]+?) \| ([^|]+?) \|", re.MULTILINE)


def test_without_anything_the_defaults_count() -> None:
    assert load({}, {}) == Settings()


def test_a_flag_before_a_variable_before_the_file_before_the_default(tmp_path: Path) -> None:
    file = tmp_path / "plat.toml"
    file.write_text('port = 1\nadmin_port = 1\nhost = "file"\n')
    settings = load({"port": 3, "host": None}, {"PLAT_PORT": "2", "PLAT_ADMIN_PORT": "2"}, file)
    assert (settings.port, settings.admin_port, settings.host, settings.routers) == (3, 2, "file", 1)


def test_variables_that_are_none_of_a_service_s_are_left_alone() -> None:
    environ = {"PLAT_URL": "x", "PLAT_CONFIG": "x", "PLAT_TEST_REQUIRE": "docker", "PATH": "/bin"}
    assert load({}, environ) == Settings()


@pytest.mark.parametrize(
    ("flags", "environ", "said"),
    [
        ({"port": 70_000}, {}, "--port = 70000 (flags): Expected `int` <= 65535"),
        ({"admin_port": "x"}, {}, "--admin-port = 'x' (flags): Expected `int`, got `str`"),
        ({}, {"PLAT_ROUTERS": "0"}, "PLAT_ROUTERS = '0' (environment): Expected `int` >= 1"),
        ({}, {"PLAT_DRIVER": "dokcer"}, "PLAT_DRIVER = 'dokcer' (environment): Invalid enum value 'dokcer'"),
        ({}, {"PLAT_PROT": "1"}, 'Unknown setting "PLAT_PROT" (environment). Did you mean "PLAT_PORT"?'),
        ({}, {"PLAT_POOL_ADDRESS": "pool"}, "PLAT_POOL_ADDRESS = 'pool' (environment): \"pool\" is not an"),
    ],
)
def test_refused_by_name_value_and_source(flags: dict[str, Any], environ: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(flags, environ)
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("prot = 1", 'Unknown setting "prot" (configuration file). Did you mean "port"?'),
        ("port = 'x'", "port = 'x' (configuration file): Expected `int`"),
        ("port =", "Invalid value"),
    ],
)
def test_a_file_is_refused_too(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "plat.toml"
    file.write_text(content)
    with pytest.raises(SettingsError) as refused:
        load({}, {}, file)
    assert said in str(refused.value)


def test_a_secret_that_is_wrong_is_not_shown() -> None:
    with pytest.raises(SettingsError, match=r"length >= 32|at least 32") as refused:
        load({}, {"PLAT_JWT_SECRET": "hunter2"})
    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load({}, {}, tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"host": "0.0.0.0", "port": 80}, "http://127.0.0.1:80"),
        ({"host": "::"}, "http://[::1]:8080"),
        ({"public_url": "https://plat.example/"}, "https://plat.example"),
    ],
)
def test_where_users_reach_it(values: dict[str, Any], url: str) -> None:
    assert Settings(**values).base_url == url


def test_services_are_found_in_the_run_folder_or_where_they_are_told_to_be(tmp_path: Path) -> None:
    settings = Settings(data="/d", pool_address="tcp:pool:9000")
    assert str(settings.control) == "unix:/d/run/control.sock"
    assert str(settings.builder) == "unix:/d/run/builder.sock"
    assert str(settings.pool) == "tcp:pool:9000"
    assert settings.database == "sqlite+aiosqlite:////d/plat.db"
    assert Settings(database_url="postgresql+asyncpg://x").database == "postgresql+asyncpg://x"


@pytest.mark.parametrize("length", [10, 60, 70, 80, 300])
def test_sockets_always_fit(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    data = "/" + "x" * length
    run_dir = Settings(data=data).run_dir
    assert len(str(run_dir)) + _LONGEST_SOCKET_NAME <= SOCKET_PATH_LIMIT
    assert run_dir == Settings(data=data).run_dir
    assert run_dir != Settings(data=data + "y").run_dir


def test_the_data_folder_is_absolute_and_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/xdg")
    assert Settings().data_dir == Path("/xdg/plat")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert Settings().data_dir == Path("~/.local/share/plat").expanduser()
    assert Settings(data="here").data_dir == Path.cwd() / "here"


def test_the_page_lists_every_setting_with_its_default_and_what_is_allowed() -> None:
    listed = {name: (default, allowed) for name, default, allowed in ROW.findall(PAGE.read_text())}
    actual = {
        field.name: (_shown(field.default), describe(field.type))
        for field in msgspec.structs.fields(Settings)
    }
    assert listed == actual


def _shown(default: Any) -> str:
    return "none" if default in (None, "") else f"`{default}`"
