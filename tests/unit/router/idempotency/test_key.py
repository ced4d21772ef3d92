"""Which keys are taken, whose they are, and what makes two calls the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plat.errors import PlatError
from router.idempotency.key import LONGEST_KEY, fingerprint, read_key, scope, wait_s

UUID = "8e03978e-40d5-43dd-bc93-6894a57f9324"


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (UUID, UUID),
        (f'"{UUID}"', UUID),
        (f"  {UUID}\t", UUID),
        ("x", "x"),
        ("a;b=c/+=", "a;b=c/+="),
        ('"with, space"', "with, space"),
        (r'"a\"b\\c"', 'a"b\\c'),
        ("x" * LONGEST_KEY, "x" * LONGEST_KEY),
        ('"' + "x" * LONGEST_KEY + '"', "x" * LONGEST_KEY),
    ],
)
def test_keys_that_are_taken(value: str, key: str) -> None:
    assert read_key([value]) == key


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["  "],
        ['""'],
        ['"'],
        ["a b"],
        ["a,b"],
        ["a", "a"],
        ["a", "b"],
        ['"a'],
        ['a"'],
        ['"a"b'],
        ['"a";p=1'],
        [r'"a\b"'],
        ["\x7f"],
        ["a\tb"],
        ["é"],
        ['"é"'],
        ["\udcff"],
        ["x" * (LONGEST_KEY + 1)],
        ['"' + "x" * (LONGEST_KEY + 1) + '"'],
    ],
)
def test_keys_that_are_refused(values: list[str]) -> None:
    with pytest.raises(PlatError) as raised:
        read_key(values)
    assert raised.value.code == "idempotency_key_invalid"


@given(st.text())
def test_any_text_is_taken_or_refused(value: str) -> None:
    try:
        key = read_key([value])
    except PlatError:
        return
    assert 1 <= len(key) <= LONGEST_KEY
    assert key.isascii()


def test_a_key_is_one_caller_s_for_one_function() -> None:
    scopes = [
        scope("f", "ann", "k"),
        scope("f", "bob", "k"),
        scope("g", "ann", "k"),
        scope("f", None, "k"),
        scope("f", "", "k"),
        scope("f", "ann", "l"),
        scope("f", "annk", ""),
        scope("f", "a\0nn", "k"),
    ]
    assert len(set(scopes)) == len(scopes)
    assert scope("f", "ann", "k") == scopes[0]


def test_what_makes_another_call() -> None:
    prints = [
        fingerprint("POST", "/function/f", [], b"body"),
        fingerprint("PUT", "/function/f", [], b"body"),
        fingerprint("POST", "/function/f?a=1", [], b"body"),
        fingerprint("POST", "/function/f:2", [], b"body"),
        fingerprint("POST", "/function/f", [], b"body2"),
        fingerprint("POST", "/function/f", [], b""),
        fingerprint("POST", "/function/f", ["a", ""], b"body"),
        fingerprint("POST", "/function/f", ["", "a"], b"body"),
    ]
    assert len(set(prints)) == len(prints)


@given(
    st.lists(st.text(max_size=3), max_size=4),
    st.lists(st.text(max_size=3), max_size=4),
    st.binary(max_size=4),
)
def test_no_two_calls_have_one_fingerprint(one: list[str], other: list[str], body: bytes) -> None:
    same = fingerprint("POST", "/", one, body) == fingerprint("POST", "/", other, body)
    assert same == (one == other)


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ([], None),
        (["respond-async"], None),
        (["wait=0"], 0.0),
        (["wait=10"], 10.0),
        (["respond-async, wait=10"], 10.0),
        (["respond-async", "Wait = 3"], 3.0),
        (['wait="7"'], 7.0),
        (["wait=5;x=1, wait=9"], 5.0),
        (["await=5"], None),
        (["wait=-1"], None),
        (["wait=soon"], None),
        (["wait=1000000000000"], None),
    ],
)
def test_how_long_the_client_waits(prefer: list[str], seconds: float | None) -> None:
    assert wait_s(prefer) == seconds
