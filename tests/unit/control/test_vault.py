"""What is sealed can be read with its key, under its name, unchanged; and in no other way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.vault import NONCE_BYTES, UnreadableError, Vault, key_id

OLD, NEW = b"o" * 32, b"n" * 32


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_went_in_comes_out(value: str) -> None:
    vault = Vault([OLD])
    assert vault.open("A", vault.writes_with, vault.seal("A", value)) == value


def test_nothing_of_it_can_be_seen_and_no_two_look_alike() -> None:
    vault = Vault([OLD])
    sealed = {vault.seal("A", "hunter2") for _ in range(1000)}
    assert len({each[:NONCE_BYTES] for each in sealed}) == 1000
    assert not any(b"hunter2" in each for each in sealed)


def test_the_first_key_writes_and_all_of_them_read() -> None:
    former = Vault([OLD])
    sealed = former.seal("A", "v")
    both = Vault([NEW, OLD])
    assert both.writes_with == key_id(NEW)
    assert both.open("A", former.writes_with, sealed) == "v"
    with pytest.raises(UnreadableError, match="not at hand"):
        Vault([NEW]).open("A", former.writes_with, sealed)


def test_it_is_bound_to_its_name() -> None:
    vault = Vault([OLD])
    with pytest.raises(UnreadableError, match='"B" was changed'):
        vault.open("B", vault.writes_with, vault.seal("A", "v"))


@pytest.mark.parametrize("at", [0, NONCE_BYTES, -1])
def test_a_bit_that_was_turned_is_noticed(at: int) -> None:
    vault = Vault([OLD])
    sealed = bytearray(vault.seal("A", "value"))
    sealed[at] ^= 1
    with pytest.raises(UnreadableError):
        vault.open("A", vault.writes_with, bytes(sealed))


@pytest.mark.parametrize("sealed", [b"", b"x" * 11, b"x" * 12, b"x" * 27])
def test_what_is_cut_short_is_noticed(sealed: bytes) -> None:
    vault = Vault([OLD])
    with pytest.raises(UnreadableError):
        vault.open("A", vault.writes_with, sealed)


def test_neither_name_nor_text_of_it_tells_the_key() -> None:
    assert OLD.hex() not in key_id(OLD) and len(key_id(OLD)) == 16
    assert repr(Vault([OLD])) == f"Vault({key_id(OLD)})"
