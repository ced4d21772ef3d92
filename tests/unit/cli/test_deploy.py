"""What a deploy packs and prints."""

import zipfile
from pathlib import Path

import pytest

from cli.deploy import Deployed, curl_line, pack_folder, summary
from cli.failure import UsageFaultError
from plat.credentials import Access
from plat.model import FunctionSpec

URL = "http://127.0.0.1:8080/function/hello"
SAVED = Access("http://127.0.0.1:8080", "secret", "config")
SPEC = FunctionSpec(name="hello")


def test_a_public_function_s_line_has_no_header() -> None:
    assert curl_line(URL, SAVED, public=True) == f"curl {URL}"


def test_a_token_never_is_in_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/c")
    monkeypatch.delenv("PLAT_CONFIG", raising=False)
    assert curl_line(URL, SAVED, public=False) == f"curl -H @/c/plat/curl-auth {URL}"
    from_environment = Access("http://127.0.0.1:8080", "secret", "environment")
    assert curl_line(URL, from_environment, public=False) == (
        f'curl -H "Authorization: Bearer $PLAT_TOKEN" {URL}'
    )


def test_what_is_said() -> None:
    done = Deployed(function="hello", version=3, unchanged=False, url=URL, curl=f"curl {URL}")
    assert summary(done) == f"Version 3 of hello is live.\n{URL}\ncurl {URL}"
    same = Deployed(function="hello", version=3, unchanged=True, url=URL, curl=f"curl {URL}")
    assert summary(same).startswith("Unchanged: version 3 is live already.\n")


def test_a_folder_is_packed(tmp_path: Path) -> None:
    folder = tmp_path / "hello"
    folder.mkdir()
    (folder / "plat.toml").write_text('name = "hello"')
    (folder / "main.py").write_text("x = 1\n")
    told: list[str] = []
    packed = pack_folder(folder, SPEC, tmp_path / "code.zip", told.append)
    with zipfile.ZipFile(packed.path) as archive:
        assert archive.namelist() == ["main.py"]
    assert told == ["Packing"]


def test_a_folder_with_nothing_to_deploy_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "hello"
    folder.mkdir()
    (folder / "plat.toml").write_text('name = "hello"')
    with pytest.raises(UsageFaultError, match="has no files to deploy"):
        pack_folder(folder, SPEC, tmp_path / "code.zip", print)
