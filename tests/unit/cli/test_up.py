"""What a start decides: settings, the environment of each service, their order."""

import sys
from pathlib import Path

import pytest

from cli.config import save
from cli.up import commands, service_environ, settled
from plat.credentials import SavedAccess
from plat.settings import Settings, load

SETTINGS = Settings(data="/d", token="secret", routers=2, drain_s=1.5, port=9000)


@pytest.fixture(autouse=True)
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("PLAT_CONFIG", raising=False)


def test_a_service_reads_exactly_the_settings_that_were_settled() -> None:
    environ = service_environ(SETTINGS, {"PLAT_PORT": "1", "PLAT_DRIVER": "docker"}, with_token=True)
    assert load({}, environ) == SETTINGS


def test_other_variables_are_handed_on() -> None:
    given = {"PATH": "/bin", "PLAT_URL": "http://x", "PLAT_CONFIG": "/c", "XDG_DATA_HOME": "/x"}
    environ = service_environ(SETTINGS, given, with_token=True)
    assert given.items() <= environ.items()


def test_the_admin_s_token_looks_like_one_of_ours_unless_it_was_chosen() -> None:
    """So that no function sees it, even after it was replaced."""
    made = settled(Settings(data="/d"), 1).token
    assert made is not None and made.startswith("plat_")
    assert settled(Settings(data="/d", token="chosen"), 1).token == "chosen"


def test_a_service_that_faces_the_network_gets_no_token() -> None:
    environ = service_environ(SETTINGS, {"PLAT_TOKEN": "secret"}, with_token=False)
    assert "secret" not in environ.values()
    assert load({}, environ).token is None


def test_only_routers_get_what_json_web_tokens_are_signed_with() -> None:
    settings = Settings(data="/d", token="secret", jwt_secret="x" * 32)
    assert load({}, service_environ(settings, {}, with_token=False)).jwt_secret == "x" * 32
    assert load({}, service_environ(settings, {"PLAT_JWT_SECRET": "y"}, with_token=True)).jwt_secret is None


def test_the_core_first_then_each_router(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLAT_TOKEN", raising=False)
    core, *routers = commands(SETTINGS, lifeline=5, lock=6)
    assert core.argv == (sys.executable, "-m", "cli.main", "core", "--lifeline", "5")
    assert [router.argv[3:6] for router in routers] == [
        ("router", "--index", "0"),
        ("router", "--index", "1"),
    ]
    assert [each.name for each in (core, *routers)] == ["core", "router-0", "router-1"]
    assert core.descriptors == (5, 6)
    assert core.environ["PLAT_TOKEN"] == "secret"
    assert all("PLAT_TOKEN" not in router.environ for router in routers)


def test_a_first_start_makes_a_token_and_a_later_one_keeps_it() -> None:
    first, other = settled(Settings(), 9000).token, settled(Settings(), 9000).token
    assert first is not None
    assert other is not None
    assert first != other
    assert len(first) >= 43  # 256 bits
    save(SavedAccess(token=first))
    assert settled(Settings(), 9000).token == first
    assert settled(Settings(token="given"), 9000).token == "given"


def test_the_port_that_was_had_and_an_absolute_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = settled(Settings(port=0, data="here"), 12_345)
    assert settings.base_url == "http://127.0.0.1:12345"
    assert settings.data == str(tmp_path / "here")
