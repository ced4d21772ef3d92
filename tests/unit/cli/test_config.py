"""The CLI's own files: what is written can be read again, by nobody else, and never in half."""

import stat
from pathlib import Path

import pytest

from cli.config import curl_auth_path, curl_header, save, saved_token
from cli.failure import FailedError
from plat.credentials import Access, SavedAccess, config_path, read_saved


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PLAT_CONFIG", raising=False)
    return tmp_path


def test_saved_and_read_again() -> None:
    assert saved_token() is None
    access = SavedAccess(url="http://127.0.0.1:9000", token='quo"te\\d')
    save(access)
    assert read_saved(config_path()) == access
    assert saved_token() == 'quo"te\\d'


def test_both_files_are_for_their_owner_only_and_nothing_else_is_left() -> None:
    for token in ("first", "second"):
        save(SavedAccess(token=token))
    folder = config_path().parent
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "config.toml": 0o600,
        "curl-auth": 0o600,
    }
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert curl_auth_path().read_text() == "Authorization: Bearer second\n"


def test_a_folder_that_cannot_be_made_is_named(home: Path) -> None:
    (home / "config").touch()
    with pytest.raises(FailedError, match=r"config\.toml cannot be written"):
        save(SavedAccess(token="t"))


def test_a_curl_line_names_the_token_without_saying_it(home: Path) -> None:
    assert curl_header(Access("http://x", "secret", "config")) == f"-H @{home}/config/plat/curl-auth"
    assert (
        curl_header(Access("http://x", "secret", "environment")) == '-H "Authorization: Bearer $PLAT_TOKEN"'
    )


def test_a_folder_with_a_space_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/my config")
    assert curl_header(Access("http://x", "secret", "config")) == "-H '@/my config/plat/curl-auth'"
