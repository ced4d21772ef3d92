"""Where keys come from, what is no key, and what a file of our own looks like."""

import base64
from pathlib import Path

import pytest

from control.keyring import OWN_FILE, Keyring, parse_keys
from control.vault import key_id
from plat.errors import PlatError
from plat.settings import Settings

FIRST, SECOND = (base64.b64encode(letter * 32).decode() for letter in (b"a", b"b"))


def test_our_own_is_made_at_its_first_use_for_nobody_else_to_read(tmp_path: Path) -> None:
    keyring = Keyring(Settings(data=str(tmp_path)))
    assert not (tmp_path / OWN_FILE).exists()
    written_with = keyring.vault().writes_with
    assert (tmp_path / OWN_FILE).stat().st_mode & 0o777 == 0o600
    assert Keyring(Settings(data=str(tmp_path))).vault().writes_with == written_with


def test_a_setting_comes_before_a_file_and_a_file_before_our_own(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{SECOND}\n{FIRST}\n")
    with_file = Settings(data=str(tmp_path), secret_key_file=str(file))
    with_both = Settings(data=str(tmp_path), secret_key_file=str(file), secret_key=f"{FIRST}, {SECOND}")
    assert Keyring(with_file).vault().writes_with == key_id(b"b" * 32)
    assert Keyring(with_both).vault().writes_with == key_id(b"a" * 32)
    assert not Keyring(with_file).is_own and not Keyring(with_both).is_own
    assert not (tmp_path / OWN_FILE).exists()


def test_a_new_key_reads_what_the_former_wrote_until_that_is_forgotten(tmp_path: Path) -> None:
    keyring = Keyring(Settings(data=str(tmp_path)))
    former = keyring.vault()
    sealed = former.seal("A", "v")
    keyring.add_key()
    both = keyring.vault()
    assert both.writes_with != former.writes_with
    assert both.open("A", former.writes_with, sealed) == "v"
    keyring.keep_first()
    assert keyring.vault().writes_with == both.writes_with
    assert len((tmp_path / OWN_FILE).read_text().split()) == 1
    assert (tmp_path / OWN_FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", " , ", "secret", "c2hvcnQ=", FIRST[:-1], "é" * 44, FIRST + ",x"])
def test_what_is_no_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(PlatError, match="PLAT_SECRET_KEY") as caught:
        parse_keys(text, "PLAT_SECRET_KEY")
    assert FIRST not in caught.value.detail
